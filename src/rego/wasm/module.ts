import { Reader } from './reader.ts'

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
  data: 11,
  dataCount: 12,
} as const

export interface Export {
  readonly name: string
  /** 0 function, 2 memory, 3 global. */
  readonly kind: number
  readonly index: number
}

export interface Global {
  readonly mutable: boolean
  readonly type: number
  /** The constant of an `i32.const` or `i64.const` initialiser; i64 only when it fits. */
  readonly init: number
}

/** A module taken apart as far as appending to it needs: bodies and data stay bytes. */
export interface Parts {
  readonly types: readonly Uint8Array[]
  readonly imports: readonly Uint8Array[]
  readonly functionImports: number
  readonly functions: readonly number[]
  readonly globals: readonly Global[]
  readonly exports: readonly Export[]
  readonly bodies: readonly Uint8Array[]
  readonly data: readonly Uint8Array[]
  readonly custom: ReadonlyMap<string, Uint8Array>
}

/** Reads a module without tables, element segments or a start function. */
export function readModule(bytes: Uint8Array): Parts {
  const reader = new Reader(bytes, 8)
  const types: Uint8Array[] = []
  const imports: Uint8Array[] = []
  const functions: number[] = []
  const globals: Global[] = []
  const exports: Export[] = []
  const bodies: Uint8Array[] = []
  const data: Uint8Array[] = []
  const custom = new Map<string, Uint8Array>()
  let functionImports = 0
  while (reader.at < bytes.length) {
    const id = reader.byte()
    const size = reader.u32()
    const end = reader.at + size
    if (id === SECTION.custom) {
      const name = reader.name()
      custom.set(name, bytes.subarray(reader.at, end))
      reader.at = end
      continue
    }
    // The data count is only needed by instructions on passive segments.
    const count = id === SECTION.dataCount ? 0 : reader.u32()
    for (let i = 0; i < count; i++) {
      const from = reader.at
      if (id === SECTION.type) {
        reader.byte()
        reader.take(reader.u32())
        reader.take(reader.u32())
        types.push(bytes.subarray(from, reader.at))
      } else if (id === SECTION.import) {
        if (passImport(reader) === FUNCTION) functionImports++
        imports.push(bytes.subarray(from, reader.at))
      } else if (id === SECTION.function) functions.push(reader.u32())
      else if (id === SECTION.global) globals.push(readGlobal(reader))
      else if (id === SECTION.export) {
        exports.push({ name: reader.name(), kind: reader.byte(), index: reader.u32() })
      } else if (id === SECTION.code) bodies.push(reader.take(reader.u32()))
      else if (id === SECTION.data) {
        reader.u32()
        reader.byte()
        reader.s32()
        reader.byte()
        reader.take(reader.u32())
        data.push(bytes.subarray(from, reader.at))
      } else throw new Error(`unexpected section ${id}`)
    }
    reader.at = end
  }
  return { types, imports, functionImports, functions, globals, exports, bodies, data, custom }
}

const FUNCTION = 0

/** Goes over an import, of a function or of a memory; answers which. */
function passImport(reader: Reader): number {
  reader.name()
  reader.name()
  const kind = reader.byte()
  if (kind === FUNCTION) {
    reader.u32()
    return kind
  }
  const limits = reader.byte()
  reader.u32()
  if ((limits & 1) !== 0) reader.u32()
  return kind
}

function readGlobal(reader: Reader): Global {
  const type = reader.byte()
  const mutable = reader.byte() === 1
  reader.byte()
  const init = reader.s32()
  reader.byte()
  return { mutable, type, init }
}
