// Runs the suite on each major of Node that the package promises, with the binaries of npm's `node` package:
//   npm run campaign:nodes [majors, comma separated] [test files...]
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../support/scratch.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const MAJORS = ['20', '22', '24']
const [given, ...files] = process.argv.slice(2)
const majors = given === undefined ? MAJORS : given.split(',')
const specs = files.length > 0 ? files : ['test/**/*.test.ts']

const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** The binary of a major, which npm installs as any package. */
function nodeOf(major: string): string {
  const folder = scratch(`node-${major}`)
  // Its script fetches the binary of this platform, from the registry too.
  const manifest = { private: true, allowScripts: { node: true } }
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest))
  const args = ['i', '--no-save', `node@${major}`]
  const { status, stderr } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return path.join(folder, 'node_modules', 'node', 'bin', 'node')
}

const failed: string[] = []
for (const major of majors) {
  const node = nodeOf(major)
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  if (!version.startsWith(`v${major}.`)) throw new Error(`node@${major} is ${version}`)
  const mocha = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js')
  const startedAt = performance.now()
  // What a test starts by the name `node` is of the same major.
  const env = {
    ...process.env,
    PATH: `${path.dirname(node)}:${process.env['PATH']}`,
    NO_COLOR: '1',
  }
  const { status, stdout } = spawnSync(node, [mocha, ...specs], {
    cwd: ROOT,
    encoding: 'utf8',
    env,
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
  const counts = stdout.match(/^ +\d+ (?:passing|failing|pending).*$/gm) ?? []
  say(`${version}: ${counts.map((one) => one.trim()).join(', ')}, in ${minutes} minutes`)
  if (status === 0) continue
  failed.push(version)
  say(stdout.slice(stdout.search(/^ +\d+ passing/m)))
}
if (failed.length > 0) throw new Error(`the suite fails on ${failed.join(', ')}`)
say('campaign:nodes holds')
