// Generated functions as text, one instruction a line: for golden files, whose diff a person reads. Calls into the machine
// go by its names and addresses of constants by their distance from its data, so that a rebuilt machine changes nothing.
import { machine } from '../../src/rego/codegen/machine.ts'
import { OP } from '../../src/rego/wasm/instructions.ts'
import { readModule } from '../../src/rego/wasm/module.ts'
import { Reader } from '../../src/rego/wasm/reader.ts'

const PLAIN = new Map<number, string>(Object.entries(OP).map(([name, code]) => [code, name]))
const OPENING = new Map([
  [0x02, 'block'],
  [0x03, 'loop'],
  [0x04, 'if'],
])
const INDEXED = new Map([
  [0x20, 'get'],
  [0x21, 'set'],
  [0x22, 'tee'],
  [0x0c, 'br'],
  [0x0d, 'brIf'],
])
const MEMORY = new Map([
  [0x28, 'load'],
  [0x2d, 'load8'],
  [0x36, 'store'],
  [0x3a, 'store8'],
])

/** The functions that a policy adds to the machine. */
export function ownFunctions(wasm: Uint8Array): string {
  const parts = readModule(wasm)
  const base = machine()
  const first = base.functionImports + base.functions.length
  const names = new Map([...base.functionIndex].map(([name, index]) => [index, name]))
  const globals = new Map([...base.globalIndex].map(([name, index]) => [index, name]))
  const callee = (index: number) =>
    index >= first ? `own${index - first}` : (names.get(index) ?? `machine function`)
  const own = parts.bodies.slice(base.bodies.length)
  const shown = { callee, global: (index: number) => globals.get(index) ?? 'global' }
  return own.map((body, at) => `own${at}\n${printBody(body, base.dataEnd, shown)}`).join('\n')
}

function printBody(
  body: Uint8Array,
  dataEnd: number,
  shown: { callee: (index: number) => string; global: (index: number) => string },
): string {
  const reader = new Reader(body)
  for (let runs = reader.u32(); runs > 0; runs--) {
    reader.u32()
    reader.byte()
  }
  const lines: string[] = []
  let depth = 1
  while (reader.at < body.length) {
    const code = reader.byte()
    if (code === 0x05 || code === 0x0b) depth--
    const line = printOne(code, reader, dataEnd, shown)
    if (reader.at < body.length) lines.push(`${'  '.repeat(depth)}${line}`)
    if (OPENING.has(code) || code === 0x05) depth++
  }
  return lines.join('\n')
}

function printOne(
  code: number,
  reader: Reader,
  dataEnd: number,
  shown: { callee: (index: number) => string; global: (index: number) => string },
): string {
  const opening = OPENING.get(code)
  if (opening) return opening + (reader.byte() === 0x40 ? '' : ' value')
  const indexed = INDEXED.get(code)
  if (indexed) return `${indexed} ${reader.u32()}`
  const memory = MEMORY.get(code)
  if (memory) return `${memory} +${(reader.byte(), reader.u32())}`
  switch (code) {
    case 0x05:
      return 'else'
    case 0x0b:
      return 'end'
    case 0x0e:
      return `brTable ${Array.from({ length: reader.u32() + 1 }, () => reader.u32()).join(' ')}`
    case 0x0f:
      return 'return'
    case 0x10:
      return `call ${shown.callee(reader.u32())}`
    case 0x23:
      return `globalGet ${shown.global(reader.u32())}`
    case 0x24:
      return `globalSet ${shown.global(reader.u32())}`
    case 0x41:
      return `const ${constant(reader.s32(), dataEnd)}`
    default:
      return PLAIN.get(code) ?? `0x${code.toString(16)}`
  }
}

const constant = (value: number, dataEnd: number): string =>
  value >= dataEnd ? `constants+${value - dataEnd}` : String(value)
