// Makes the Rego compiler a package of its own: `node ops/pack-rego.mjs [--out DIR]` writes portcullis-rego-*.tgz, from
// what is built. What goes in is what its command reaches, found by following imports, so that nothing of the gate can
// slip in and nothing that is needed can be left out; dependencies come with the versions of the gate.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const root = path.resolve(import.meta.dirname, '..')
const dist = path.join(root, 'dist')
const ENTRIES = ['rego/index.js', 'cli/rego-main.js']
/** Rooms of the gate that the command may reach: texts, folders and suggestions, nothing that decides or keeps. */
const ROOMS = new Set(['rego', 'cli', 'lib', 'model', 'bundle'])
const DEPENDENCIES_MAX = 12
const BIN = "#!/usr/bin/env node\nimport '../dist/cli/rego-main.js'\n"

/** Imports, lazy imports, and libraries that are loaded at first use. */
const IMPORT =
  /^(?:import|export|\}).*? from '([^']+)'|\bimport\('([^']+)'\)|\blazily\('([^']+)'\)/gm

/** Files below dist that the entries reach, and the packages they name. */
export function reached(entries = ENTRIES) {
  const files = new Set()
  const packages = new Set()
  const queue = [...entries]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (files.has(file)) continue
    files.add(file)
    const text = fs.readFileSync(path.join(dist, file), 'utf8')
    for (const [, from, lazy, library] of text.matchAll(IMPORT)) {
      const name = from ?? lazy ?? library
      if (name.startsWith('.')) queue.push(path.posix.join(path.posix.dirname(file), name))
      else if (!name.startsWith('node:')) packages.add(packageOf(name))
    }
  }
  return { files: [...files], packages: [...packages].sort((a, b) => a.localeCompare(b)) }
}

const packageOf = (name) =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')

/** WebAssembly of the machine, the library's own workers, and the types of its door. */
function besides() {
  return fs
    .readdirSync(path.join(dist, 'rego'), { recursive: true })
    .filter((name) => /\.(wasm|mjs|d\.ts)$/.test(name))
    .map((name) => `rego/${name.split(path.sep).join('/')}`)
}

export function packageJson(packages) {
  const gate = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  const dependencies = Object.fromEntries(packages.map((name) => [name, gate.dependencies[name]]))
  const missing = packages.filter((name) => dependencies[name] === undefined)
  if (missing.length > 0) throw new Error(`not among the dependencies: ${missing.join(', ')}`)
  return {
    name: 'portcullis-rego',
    version: gate.version,
    description:
      'Rego to WebAssembly, in process: a library and a command, without the opa binary.',
    license: gate.license,
    type: 'module',
    engines: gate.engines,
    bin: { 'portcullis-rego': 'bin/portcullis-rego.js' },
    exports: {
      '.': { types: './dist/rego/index.d.ts', default: './dist/rego/index.js' },
      './package.json': './package.json',
    },
    dependencies,
  }
}

/** Lays the package out in a folder. @throws Error when it would hold more than the compiler */
export function layOut(folder) {
  const { files, packages } = reached()
  const foreign = files.filter((file) => !ROOMS.has(file.split('/')[0]))
  if (foreign.length > 0) throw new Error(`the command reaches ${foreign.join(', ')}`)
  if (packages.length > DEPENDENCIES_MAX) throw new Error(`${packages.length} dependencies`)
  const write = (name, content) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), content)
  }
  for (const file of [...files, ...besides()]) {
    write(`dist/${file}`, fs.readFileSync(path.join(dist, file)))
  }
  write('bin/portcullis-rego.js', BIN)
  write('package.json', `${JSON.stringify(packageJson(packages), null, 2)}\n`)
  write('README.md', fs.readFileSync(path.join(import.meta.dirname, 'rego-package', 'README.md')))
  write('LICENSE', fs.readFileSync(path.join(root, 'LICENSE')))
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { out: { type: 'string', default: '.' } } })
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'portcullis-rego-'))
  try {
    layOut(folder)
    const args = ['pack', '--silent', '--pack-destination', path.resolve(values.out)]
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const { status } = spawnSync(npm, args, { cwd: folder, stdio: 'inherit' })
    process.exitCode = status ?? 1
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}
