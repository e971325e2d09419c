// IR -> module: the machine, with the policy's functions, constants and entry points appended. Function bodies of the
// machine that the policy cannot reach become `unreachable`, which keeps indices while shedding most of the bytes.
import {
  ABI_EXPORTS,
  ABI_MINOR,
  ABI_VERSION,
  PAGE_BYTES,
  PAGES_MAX,
  PAGES_MIN,
  STEPS_MAX,
} from '../abi.ts'
import type { Policy } from '../ir/ir.ts'
import { Code, type Label, OP } from '../wasm/instructions.ts'
import { type Export, SECTION } from '../wasm/module.ts'
import { Writer } from '../wasm/writer.ts'
import { generateFunc, generatePlan } from './function.ts'
import { Layout } from './layout.ts'
import { type Machine, machine } from './machine.ts'

export interface CodegenOptions {
  readonly strictBuiltinErrors: boolean
  readonly steps: number
  readonly pages: number
}

export interface Generated {
  readonly wasm: Uint8Array
  /** Builtins that the host must bring, by the names it must know them. */
  readonly hostBuiltins: readonly string[]
}

const I32 = 0x7f
const STUB = new Uint8Array([0, OP.unreachable, 0x0b])
const defaults: CodegenOptions = { strictBuiltinErrors: false, steps: STEPS_MAX, pages: PAGES_MAX }

export function generate(policy: Policy, options: Partial<CodegenOptions> = {}): Generated {
  const settings = { ...defaults, ...options }
  const base = machine()
  const layout = new Layout(policy, base, settings.strictBuiltinErrors)
  const types = new Types(base)
  const functionTypes: number[] = []
  const bodies: Uint8Array[] = []
  for (const func of policy.funcs) {
    functionTypes.push(types.of(func.params.length, 1))
    bodies.push(generateFunc(layout, func))
  }
  const firstPlan = layout.firstFunction + bodies.length
  for (const plan of policy.plans) {
    functionTypes.push(types.of(3, 0))
    bodies.push(generatePlan(layout, plan))
  }
  const own: Export[] = []
  const add = (name: string, params: number, code: Code) => {
    own.push({ name, kind: 0, index: layout.firstFunction + bodies.length })
    functionTypes.push(types.of(params, 1))
    bodies.push(code.finish())
  }
  const dispatch = layout.firstFunction + bodies.length
  functionTypes.push(types.of(4, 0))
  bodies.push(generateDispatch(policy.plans.length, firstPlan).finish())
  add('eval', 1, generateEval(layout, base, dispatch))
  add('opa_eval', 7, generateOpaEval(layout, base, dispatch))
  add('builtins', 0, generateTable(layout, layout.hostBuiltins))
  add(
    'entrypoints',
    0,
    generateTable(
      layout,
      policy.plans.map(({ name }) => name),
    ),
  )
  const heapStart = (layout.constants.end + 15) & ~15
  const wasm = assemble(base, layout, {
    types,
    functionTypes,
    bodies,
    own,
    heapStart,
    settings,
    tracePoints: policy.tracePoints,
    traceSlots: policy.traceSlots,
  })
  return { wasm, hostBuiltins: layout.hostBuiltins }
}

/** Function types: the machine's, and those that generated functions add. */
class Types {
  readonly added: Uint8Array[] = []
  readonly #known = new Map<string, number>()

  constructor(base: Machine) {
    for (const [i, type] of base.types.entries()) this.#known.set(type.join(), i)
  }

  of(params: number, results: number): number {
    const bytes = new Uint8Array([
      0x60,
      params,
      ...Array<number>(params).fill(I32),
      results,
      ...Array<number>(results).fill(I32),
    ])
    const key = bytes.join()
    let index = this.#known.get(key)
    if (index === undefined) {
      index = this.#known.size
      this.#known.set(key, index)
      this.added.push(bytes)
    }
    return index
  }
}

/** (entrypoint, input, data, result set): runs the plan of that number. */
function generateDispatch(plans: number, first: number): Code {
  const code = new Code(4)
  const labels: Label[] = []
  const none = code.block()
  for (let i = plans - 1; i >= 0; i--) labels.unshift(code.block())
  code.get(0).brTable(labels, none)
  for (let i = 0; i < plans; i++) {
    code.end()
    code
      .get(1)
      .get(2)
      .get(3)
      .call(first + i)
      .return()
  }
  code.end()
  return code
}

function resetBudget(code: Code, layout: Layout, base: Machine): void {
  code.globalGet(globalOf(base, 'fuelMax')).globalSet(globalOf(base, 'fuel'))
  code.const(layout.memoBytes).call(layout.functions.memoTable).globalSet(layout.memoGlobal)
}

function generateEval(layout: Layout, base: Machine, dispatch: number): Code {
  const code = new Code(1)
  const result = code.newLocal()
  resetBudget(code, layout, base)
  code.call(layout.functions.mkSet).set(result)
  code.get(0).load(8).get(0).load(0).get(0).load(4).get(result).call(dispatch)
  code.get(0).get(result).store(12)
  return code.const(0)
}

/** (0, entrypoint, data, input text, its length, heap, format): the text of the result set. */
function generateOpaEval(layout: Layout, base: Machine, dispatch: number): Code {
  const code = new Code(7)
  const { functions: f } = layout
  const input = code.newLocal()
  const result = code.newLocal()
  code.get(5).call(f.opa_heap_ptr_set)
  resetBudget(code, layout, base)
  code.get(4)
  code.if()
  code.get(3).get(4).call(f.opa_value_parse).tee(input).op(OP.eqz)
  code.if()
  code
    .const(layout.constants.text('rego_input_invalid: input is not JSON').address)
    .call(f.abortWith)
  code.end()
  code.end()
  code.call(f.mkSet).set(result)
  code.get(1).get(input).get(2).get(result).call(dispatch)
  code.get(6)
  code.if()
  code.get(result).call(f.opa_value_dump).return()
  code.end()
  return code.get(result).call(f.opa_json_dump)
}

/** An object of names and their numbers, made from text when asked for. */
function generateTable(layout: Layout, names: readonly string[]): Code {
  const text = JSON.stringify(Object.fromEntries(names.map((name, i) => [name, i])))
  const { address, length } = layout.constants.text(text)
  return new Code(0).const(address).const(length).call(layout.functions.opa_json_parse)
}

function globalOf(base: Machine, name: string): number {
  const index = base.globalIndex.get(name)
  if (index === undefined) throw new Error(`machine lacks ${name}`)
  return index
}

interface Assembly {
  readonly types: Types
  readonly functionTypes: readonly number[]
  readonly bodies: readonly Uint8Array[]
  readonly own: readonly Export[]
  readonly heapStart: number
  readonly settings: CodegenOptions
  readonly tracePoints: number
  readonly traceSlots: number
}

function assemble(base: Machine, layout: Layout, parts: Assembly): Uint8Array {
  const out = new Writer(base.bodies.length * 64)
  out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
  out.section(SECTION.type, list([...base.types, ...parts.types.added]))
  out.section(SECTION.import, imports(base, parts.heapStart))
  const indices = new Writer()
  indices.u32(base.functions.length + parts.functionTypes.length)
  for (const type of [...base.functions, ...parts.functionTypes]) indices.u32(type)
  out.section(SECTION.function, indices)
  const { globals, exports } = globalSection(base, layout, parts)
  out.section(SECTION.global, globals)
  out.section(SECTION.export, exportSection(base, [...parts.own, ...exports]))
  const reached = reachable(base, layout)
  const code = new Writer(base.bodies.length * 64)
  code.u32(base.bodies.length + parts.bodies.length)
  for (const [i, body] of base.bodies.entries()) {
    code.sized(reached.has(i + base.functionImports) ? body : STUB)
  }
  for (const body of parts.bodies) code.sized(body)
  out.section(SECTION.code, code)
  const data = new Writer()
  data.u32(base.data.length + 1)
  for (const segment of base.data) data.bytes(segment)
  data
    .byte(0)
    .byte(0x41)
    .s32((base.dataEnd + 15) & ~15)
    .byte(0x0b)
    .sized(layout.constants.finish())
  out.section(SECTION.data, data)
  return out.finish()
}

function list(items: readonly Uint8Array[]): Writer {
  const writer = new Writer()
  writer.u32(items.length)
  for (const item of items) writer.bytes(item)
  return writer
}

/** The machine's imports; memory asks for as many pages as constants fill, and at least one for work. */
function imports(base: Machine, heapStart: number): Writer {
  const pages = Math.max(2, Math.ceil(heapStart / PAGE_BYTES) + 1)
  const writer = new Writer()
  writer.u32(base.imports.length)
  for (const entry of base.imports) {
    const isMemory = entry.at(-3) === 2 && entry.at(-2) === 0
    if (isMemory) writer.bytes(entry.subarray(0, -1)).u32(pages <= PAGES_MIN ? 2 : pages)
    else writer.bytes(entry)
  }
  return writer
}

function globalSection(
  base: Machine,
  layout: Layout,
  parts: Assembly,
): { globals: Writer; exports: Export[] } {
  const { settings } = parts
  const lower = layout.hostBuiltins.indexOf('rego.lower')
  const upper = layout.hostBuiltins.indexOf('rego.upper')
  const preset = new Map([
    [globalOf(base, 'heap'), parts.heapStart],
    [globalOf(base, 'fuel'), settings.steps],
    [globalOf(base, 'fuelMax'), settings.steps],
    [globalOf(base, 'pagesMax'), settings.pages],
    [globalOf(base, 'strictErrors'), settings.strictBuiltinErrors ? 1 : 0],
    [globalOf(base, 'hostLower'), lower],
    [globalOf(base, 'hostUpper'), upper],
  ])
  const globals = new Writer()
  const added: { name: string; mutable: boolean; init: number }[] = [
    { name: 'rego_memo', mutable: true, init: 0 },
    { name: 'opa_wasm_abi_version', mutable: false, init: ABI_VERSION },
    { name: 'opa_wasm_abi_minor_version', mutable: false, init: ABI_MINOR },
    { name: 'rego_trace', mutable: false, init: layout.traceAddress },
    { name: 'rego_trace_points', mutable: false, init: parts.tracePoints },
    { name: 'rego_trace_slots', mutable: false, init: parts.traceSlots },
  ]
  globals.u32(base.globals.length + added.length)
  for (const [i, { mutable, type, init }] of base.globals.entries()) {
    globals
      .byte(type)
      .byte(mutable ? 1 : 0)
      .byte(type === 0x7e ? 0x42 : 0x41)
    globals.s32(preset.get(i) ?? init).byte(0x0b)
  }
  const exports: Export[] = [
    { name: 'rego_fuel', kind: 3, index: globalOf(base, 'fuel') },
    { name: 'rego_fuel_max', kind: 3, index: globalOf(base, 'fuelMax') },
    { name: 'rego_pages_max', kind: 3, index: globalOf(base, 'pagesMax') },
  ]
  for (const [i, { name, mutable, init }] of added.entries()) {
    globals
      .byte(I32)
      .byte(mutable ? 1 : 0)
      .byte(0x41)
      .s32(init)
      .byte(0x0b)
    if (!mutable) exports.push({ name, kind: 3, index: base.globals.length + i })
  }
  return { globals, exports }
}

function exportSection(base: Machine, own: readonly Export[]): Writer {
  const exports: Export[] = [{ name: 'memory', kind: 2, index: 0 }]
  for (const name of ABI_EXPORTS) {
    exports.push({ name, kind: 0, index: base.functionIndex.get(name) ?? 0 })
  }
  exports.push({ name: 'rego_string', kind: 0, index: base.functionIndex.get('mkStr') ?? 0 })
  exports.push(...own)
  const writer = new Writer()
  writer.u32(exports.length)
  for (const { name, kind, index } of exports) writer.name(name).byte(kind).u32(index)
  return writer
}

/** Functions of the machine that the ABI or generated code reaches. */
function reachable(base: Machine, layout: Layout): Set<number> {
  const reached = new Set<number>()
  const queue = [...layout.used]
  for (const name of [...ABI_EXPORTS, 'mkStr']) queue.push(base.functionIndex.get(name) ?? 0)
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (reached.has(next)) continue
    reached.add(next)
    for (const callee of base.calls[next] ?? []) queue.push(callee)
  }
  return reached
}
