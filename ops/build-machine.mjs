// Compiles the machine (src/rego/machine/assembly, AssemblyScript) to src/rego/machine/machine.wasm, unless that is
// newer than its inputs. A custom section `machine` records what codegen needs beside the module itself: where static
// data ends and, for every function, which functions it calls, so that what a policy does not use can be left out.
import fs from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const source = path.join(root, 'src', 'rego', 'machine', 'assembly')
const target = path.join(root, 'src', 'rego', 'machine', 'machine.wasm')

function isFresh() {
  if (!fs.existsSync(target)) return false
  const built = fs.statSync(target).mtimeMs
  const inputs = [import.meta.filename ?? new URL(import.meta.url).pathname]
  for (const name of fs.readdirSync(source)) inputs.push(path.join(source, name))
  return inputs.every((file) => fs.statSync(file).mtimeMs <= built)
}

function leb(n) {
  const bytes = []
  do {
    const low = n & 127
    n >>>= 7
    bytes.push(n ? low | 128 : low)
  } while (n)
  return bytes
}

/** Function names in order of their index, and the names each one calls, from the text format. */
function readCalls(text) {
  const names = []
  const calls = []
  let current = -1
  for (const line of text.split('\n')) {
    const start = /^ \((import .*\(func|func) (\$\S+)/.exec(line)
    if (start) {
      current = names.length
      names.push(start[2].replace(/\)+$/, ''))
      calls.push(new Set())
      if (start[1] !== 'func') continue
    }
    if (current < 0) continue
    for (const call of line.matchAll(/\(call (\$\S+)|^ *call (\$\S+)/g)) {
      calls[current].add((call[1] ?? call[2]).replace(/\)+$/, ''))
    }
  }
  const index = new Map(names.map((name, i) => [name, i]))
  return calls.map((set) => [...set].map((name) => index.get(name)).filter((i) => i !== undefined))
}

if (!isFresh() && fs.existsSync(source)) {
  const asc = await import('assemblyscript/asc').catch(() => null)
  if (!asc) {
    if (fs.existsSync(target)) process.exit(0)
    console.error(
      'build-machine: AssemblyScript is not installed; run `npm ci` without --omit=dev first',
    )
    process.exit(1)
  }
  const outputs = new Map()
  const { error } = await asc.main(
    [
      'index.ts',
      '--runtime',
      'stub',
      '--importMemory',
      '--use',
      'abort=',
      '-O3',
      '--noAssert',
      '--initialMemory',
      '2',
      '--disableWarning',
      '201',
      '--enable',
      'simd',
      '--lowMemoryLimit',
      '0',
      '--outFile',
      'machine.wasm',
      '--textFile',
      'machine.wat',
    ],
    {
      readFile: (name, base) => {
        const file = path.resolve(base && base !== '.' ? path.resolve(source, base) : source, name)
        return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
      },
      writeFile: (name, contents) => void outputs.set(path.basename(name), contents),
      listFiles: () => [],
      stderr: { write: (text) => process.stderr.write(text) },
    },
  )
  if (error) {
    console.error(error.message)
    process.exit(1)
  }
  const wat = Buffer.from(outputs.get('machine.wat')).toString()
  if (process.env.MACHINE_WAT) fs.writeFileSync(process.env.MACHINE_WAT, wat)
  const ends = [...wat.matchAll(/^ \(data \S+ \(i32\.const (\d+)\) "((?:[^"\\]|\\.)*)"/gm)].map(
    ([, at, bytes]) => {
      const length = bytes.replace(/\\[0-9a-f]{2}|\\./gi, '.').length
      return Number(at) + length
    },
  )
  const meta = { dataEnd: Math.max(1024, ...ends), calls: readCalls(wat) }
  const payload = Buffer.from(JSON.stringify(meta))
  const name = Buffer.from('machine')
  const body = Buffer.concat([Buffer.from(leb(name.length)), name, payload])
  const section = Buffer.concat([Buffer.from([0, ...leb(body.length)]), body])
  fs.writeFileSync(target, Buffer.concat([Buffer.from(outputs.get('machine.wasm')), section]))
}
