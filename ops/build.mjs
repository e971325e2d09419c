// Compiles src/ to dist/ and copies what tsc does not: worker files and WebAssembly.
// `--if-stale` does nothing when dist/ is newer than every source file.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { keepDeclarations } from './declarations.mjs'

const root = path.resolve(import.meta.dirname, '..')
const src = path.join(root, 'src')
const dist = path.join(root, 'dist')
const stamp = path.join(dist, '.built')
const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const COPIED = /\.(mjs|wasm|sql|proto)$/

function files(dir) {
  return fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
}

function isFresh() {
  if (!fs.existsSync(stamp)) return false
  const built = fs.statSync(stamp).mtimeMs
  const own = ['tsconfig.json', 'package.json', 'ops/build-dashboard.mjs']
  const inputs = [...files(src), ...own.map((name) => path.join(root, name))]
  return inputs.every((file) => fs.statSync(file).mtimeMs <= built)
}

function run(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

if (process.argv.includes('--if-stale') && isFresh()) process.exit(0)
if (!fs.existsSync(src)) process.exit(0) // a production install that carries only dist/
if (!fs.existsSync(tsc)) {
  if (fs.existsSync(stamp)) process.exit(0)
  console.error('build: TypeScript is not installed; run `npm ci` without --omit=dev first')
  process.exit(1)
}
const machine = path.join(root, 'ops', 'build-machine.mjs')
if (fs.existsSync(machine)) run([machine])
fs.rmSync(dist, { recursive: true, force: true })
run([tsc, '-p', 'tsconfig.json'])
keepDeclarations(dist, ['index', 'rego/index', 'client/index'])
for (const file of files(src)) {
  if (!COPIED.test(file) || file.includes('assembly')) continue
  const target = path.join(dist, path.relative(src, file))
  fs.mkdirSync(path.dirname(target), { recursive: true })
  fs.copyFileSync(file, target)
}
// The API reference: its page, and what swagger-ui needs of itself, so that nothing comes from elsewhere.
const docs = path.join(dist, 'docs')
fs.mkdirSync(docs, { recursive: true })
const swagger = path.join(root, 'node_modules', 'swagger-ui-dist')
for (const [from, name] of [
  [path.join(src, 'doors', 'api', 'docs'), 'index.html'],
  [path.join(src, 'doors', 'api', 'docs'), 'init.js'],
  [swagger, 'swagger-ui-bundle.js'],
  [swagger, 'swagger-ui.css'],
]) {
  fs.copyFileSync(path.join(from, name), path.join(docs, name))
}
// The dashboard: src/dashboard is for browsers, and bundled.
if (fs.existsSync(path.join(src, 'dashboard'))) {
  run([path.join(root, 'ops', 'build-dashboard.mjs')])
}
// Without it a first start makes its own, which takes longer.
const template = path.join(root, 'ops', 'embedded-template.mjs')
if (spawnSync(process.execPath, [template], { cwd: root, stdio: 'inherit' }).status !== 0) {
  console.error('build: no database was made ahead; the first start takes some seconds longer')
}
fs.writeFileSync(stamp, '')
