import {
  EVAL_ERRORS,
  type EvalErrorCode,
  HOST_PREFIX,
  PAGE_BYTES,
  PAGES_MIN,
  TRACE_MISSING,
  TRACE_POINT_BYTES,
} from '../abi.ts'
import type { Budget, Compiled } from '../compile.ts'
import { project, type Projection } from './project.ts'
import { beginEvaluation, type HostFunction, hostFunctions } from './functions.ts'
import { fromJs, toJs, parseValue, writeJson } from './value.ts'

// An instance is one memory: constants, then data, then a heap that each evaluation begins anew where the data
// ends, by setting one pointer back. Nothing is freed and nothing is left over. An evaluation that made the memory
// grow too far leaves its instance behind: the next one gets a new instance of the
// same module, with the data put there again.

/** An evaluation that ended without an answer. */
export class EvalError extends Error {
  readonly code: EvalErrorCode
  constructor(code: EvalErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** A function that an embedder brings: plain JavaScript in, plain JavaScript or `undefined` out. */
export type PlainFunction = (...operands: unknown[]) => unknown

/** Documents as they lie in the memory of an instance; another instance of the same module takes them over as they are. */
export interface DataImage {
  readonly bytes: Uint8Array
  /** Where they begin, and where in them the root is. */
  readonly base: number
  readonly root: number
}

export interface LoadOptions {
  readonly data?: unknown
  /** Instead of `data`: what `dataImage` of an instance of the same module gave. */
  readonly image?: DataImage
  readonly builtins?: Readonly<Record<string, PlainFunction>>
  /** What of `input` the module reads, where it is loaded from its bytes alone: no more is given to it. */
  readonly reads?: Projection
  /** Tightens or widens what the module was compiled with. */
  readonly budget?: Budget
}

export interface PointCount {
  readonly reached: number
  readonly held: number
  /** How often there was a value to judge: reached without one is undefined, not false. */
  readonly valued: number
}

/** What became of a value that a trace build keeps: not looked at, undefined, or there. */
export type TraceValue = 'unseen' | 'missing' | { readonly json: string }

export interface Loaded {
  readonly entrypoints: readonly string[]
  /** The value of an entrypoint, or `undefined` when it has none. Throws EvalError. */
  evaluate(entrypoint: string, input?: unknown): unknown
  /** The same as JSON text, which keeps numbers that a double cannot hold. */
  evaluateText(entrypoint: string, inputJson?: string): string | undefined
  /** All solutions of a compiled query. */
  solutions(input?: unknown): Record<string, unknown>[]
  setData(data: unknown): void
  /** The documents it was loaded with, in memory that threads may share. */
  dataImage(): DataImage
  /** Steps that the last evaluation took. */
  steps(): number
  /** Counts of a trace build since it was loaded or reset, in the order of `tracePoints`. */
  trace(): PointCount[]
  /**
   * What a trace build with values kept in its last evaluation: those that an expression held with, else
   * the latest. To be read before the next evaluation.
   */
  traceValues(): TraceValue[]
  resetTrace(): void
  memoryBytes(): number
  close(): void
}

/**
 * An instance with more pages than this is replaced after an evaluation that made it so; one whose documents
 * take more is allowed as much again.
 */
const PAGES_KEPT_MAX = 512

const utf8 = new TextEncoder()
const decoder = new TextDecoder()
type Exports = Readonly<Record<string, (...args: number[]) => number>>

export function load(
  policy: Compiled | Uint8Array | WebAssembly.Module,
  options: LoadOptions = {},
): Loaded {
  if (policy instanceof WebAssembly.Module) return new Policy(policy, options)
  if (policy instanceof Uint8Array) return new Policy(new WebAssembly.Module(policy), options)
  const { wasm, reads } = policy
  return new Policy(new WebAssembly.Module(wasm), { reads, ...options })
}

class Policy implements Loaded {
  readonly #module: WebAssembly.Module
  readonly #options: LoadOptions
  readonly #pages: number
  #memory: WebAssembly.Memory
  #exports: Exports
  #globals: Readonly<Record<string, WebAssembly.Global>>
  #bytes: Uint8Array
  #calls: ((operands: number[]) => number)[] = []
  #base = 0
  #heap = 0
  #keptBytes = 0
  #data = 0
  #dataText = '{}'
  #closed = false
  /** What the last evaluation took, if its instance is gone. */
  #stepsBefore: number | undefined
  /** What the last evaluation of a trace build kept, if its instance is gone. */
  #valuesBefore: TraceValue[] | undefined
  readonly #numbers = new Map<string, number>()

  constructor(module: WebAssembly.Module, options: LoadOptions) {
    this.#module = module
    this.#options = options
    // A module whose constants need more than the usual start asks for them by name of the import; try until it fits.
    this.#pages = PAGES_MIN
    const first = this.#instantiate(this.#pages)
    this.#memory = first.memory
    this.#exports = first.exports
    this.#globals = first.globals
    this.#bytes = new Uint8Array(this.#memory.buffer)
    this.#prepare()
    if (options.image) this.#loadData()
    else this.setData(options.data ?? {})
  }

  get entrypoints(): readonly string[] {
    return [...this.#numbers.keys()]
  }

  #instantiate(pages: number): {
    memory: WebAssembly.Memory
    exports: Exports
    globals: Record<string, WebAssembly.Global>
  } {
    for (let initial = pages; ; initial *= 2) {
      const memory = new WebAssembly.Memory({ initial })
      const call = (id: number, _ctx: number, ...operands: number[]) =>
        (this.#calls[id] as (o: number[]) => number)(operands)
      const env: Record<string, unknown> = {
        memory,
        opa_abort: (address: number) => this.#abort(address),
        opa_println: () => undefined,
      }
      for (let i = 0; i <= 4; i++) env[`opa_builtin${i}`] = call
      try {
        const instance = new WebAssembly.Instance(this.#module, { env })
        const exports = instance.exports as unknown as Exports
        const globals = instance.exports as unknown as Record<string, WebAssembly.Global>
        return { memory, exports, globals }
      } catch (error) {
        if (!(error instanceof WebAssembly.LinkError) || initial > 65536 / 2) throw error
      }
    }
  }

  #call(name: string, ...args: number[]): number {
    const f = this.#exports[name]
    if (!f) throw new EvalError('eval_internal_error', `module lacks ${name}`)
    return f(...args)
  }

  #prepare(): void {
    const { budget } = this.#options
    const steps = this.#globals['rego_fuel_max']
    const pages = this.#globals['rego_pages_max']
    if (steps && budget?.steps !== undefined) steps.value = budget.steps
    if (pages && budget?.pages !== undefined) pages.value = budget.pages
    const names = JSON.parse(
      this.#text(this.#call('opa_json_dump', this.#call('builtins'))),
    ) as Record<string, number>
    const ours = hostFunctions()
    this.#calls = []
    for (const [name, id] of Object.entries(names)) {
      const own = ours[name]
      const theirs = this.#options.builtins?.[name]
      if (own) this.#calls[id] = ([operand]) => this.#callOwn(own, operand ?? 0)
      else if (theirs) this.#calls[id] = (operands) => this.#callPlain(theirs, operands)
      else
        throw new EvalError(
          'eval_internal_error',
          `module needs builtin ${name.replace(HOST_PREFIX, '')}`,
        )
    }
    const entrypoints = JSON.parse(
      this.#text(this.#call('opa_json_dump', this.#call('entrypoints'))),
    ) as Record<string, number>
    for (const [name, id] of Object.entries(entrypoints)) this.#numbers.set(name, id)
    this.#base = this.#call('opa_heap_ptr_get')
  }

  /** Our functions take and give text; it is read and written in place. */
  #callOwn(own: HostFunction, operand: number): number {
    const view = new DataView(this.#memory.buffer)
    const at = view.getUint32(operand + 8, true)
    const answer = own(
      decoder.decode(this.#view().subarray(at, at + view.getUint32(operand + 12, true))),
      this.#globals['rego_fuel']?.value,
    )
    if (answer === '') return 0
    const { address, length } = this.#put(answer)
    return this.#call('rego_string', address, length)
  }

  #callPlain(theirs: PlainFunction, operands: number[]): number {
    const args = operands.map((o) => toJs(parseValue(this.#text(this.#call('opa_value_dump', o)))))
    const answer = theirs(...args)
    if (answer === undefined) return 0
    const { address, length } = this.#put(writeJson(fromJs(answer)))
    return this.#call('opa_json_parse', address, length)
  }

  #view(): Uint8Array {
    if (this.#bytes.buffer !== this.#memory.buffer)
      this.#bytes = new Uint8Array(this.#memory.buffer)
    return this.#bytes
  }

  #put(text: string): { address: number; length: number } {
    const address = this.#call('opa_malloc', text.length * 3)
    const { written } = utf8.encodeInto(text, this.#view().subarray(address))
    return { address, length: written }
  }

  #text(address: number): string {
    const bytes = this.#view()
    return decoder.decode(bytes.subarray(address, bytes.indexOf(0, address)))
  }

  #abort(address: number): never {
    const text = this.#text(address)
    for (const code of EVAL_ERRORS) {
      const at = text.indexOf(`${code}: `)
      // In front of the code stands at most where the call is: `policy.rego:4: `.
      if (at < 0 || !/^(?:[^\n]*:\d+: )?$/.test(text.slice(0, at))) continue
      const message = text.slice(0, at) + text.slice(at + code.length + 2)
      throw new EvalError(code, message)
    }
    throw new EvalError('eval_internal_error', text.replace(/^eval_internal_error: /, ''))
  }

  setData(data: unknown): void {
    if (this.#options.image)
      throw new EvalError('eval_internal_error', 'it was loaded with an image')
    this.#dataText = JSON.stringify(data ?? {})
    this.#loadData()
  }

  dataImage(): DataImage {
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#heap - this.#base))
    bytes.set(this.#view().subarray(this.#base, this.#heap))
    return { bytes, base: this.#base, root: this.#data }
  }

  // Addresses inside are those of the instance it comes from: they fit where the heap begins at the same place, which
  // it does in every instance of a module.
  #loadImage({ bytes, base, root }: DataImage): void {
    if (base !== this.#base) throw new EvalError('eval_internal_error', 'image of another module')
    const over = base + bytes.length - this.#memory.buffer.byteLength
    if (over > 0) this.#grow(Math.ceil(over / PAGE_BYTES))
    this.#view().set(bytes, base)
    this.#call('opa_heap_ptr_set', base + bytes.length)
    this.#data = root
    this.#setHeap(base + bytes.length)
  }

  #loadData(): void {
    const { image } = this.#options
    if (image) return this.#loadImage(image)
    this.#call('opa_heap_ptr_set', this.#base)
    const { address, length } = this.#put(this.#dataText)
    this.#data = this.#call('opa_json_parse', address, length)
    if (this.#data === 0) throw new EvalError('rego_input_invalid', 'data is not JSON')
    this.#setHeap(this.#call('opa_heap_ptr_get'))
  }

  #setHeap(heap: number): void {
    this.#heap = heap
    // What the documents take is no reason to begin anew, only what evaluations add to them.
    this.#keptBytes = Math.max(PAGES_KEPT_MAX * PAGE_BYTES, 2 * heap)
  }

  #run(entrypoint: string, inputJson: string | undefined): string {
    if (this.#closed) throw new EvalError('eval_internal_error', 'the policy was closed')
    const id = this.#numbers.get(entrypoint)
    if (id === undefined)
      throw new EvalError('rego_entrypoint_unknown', `no entrypoint \`${entrypoint}\``)
    let length = 0
    try {
      if (inputJson !== undefined) {
        const room = inputJson.length * 3
        const over = this.#heap + room - this.#memory.buffer.byteLength
        if (over > 0) this.#grow(Math.ceil(over / PAGE_BYTES))
        length = utf8.encodeInto(inputJson, this.#view().subarray(this.#heap)).written
      }
      this.#stepsBefore = undefined
      this.#valuesBefore = undefined
      beginEvaluation()
      return this.#text(
        this.#call('opa_eval', 0, id, this.#data, this.#heap, length, this.#heap + length, 0),
      )
    } catch (error) {
      if (error instanceof EvalError) throw error
      if (error instanceof RangeError)
        throw new EvalError('rego_memory_exceeded', 'values are nested too deeply', {
          cause: error,
        })
      throw new EvalError(
        'eval_internal_error',
        error instanceof Error ? error.message : String(error),
        { cause: error },
      )
    } finally {
      if (this.#memory.buffer.byteLength > this.#keptBytes) this.#renew()
    }
  }

  #grow(pages: number): void {
    const limit = this.#globals['rego_pages_max']?.value ?? 65536
    if (this.#memory.buffer.byteLength / PAGE_BYTES + pages > limit) {
      throw new EvalError('rego_memory_exceeded', 'memory limit reached')
    }
    this.#memory.grow(pages)
  }

  /** Memory never shrinks, so an instance that became too large gives way to a fresh one. */
  #renew(): void {
    this.#stepsBefore = this.#stepsNow()
    const { at, slotsAt, slots } = this.#tracePlace()
    const counts = this.#view().slice(at, slotsAt)
    if (slots > 0) this.#valuesBefore = this.#lastValues()
    const made = this.#instantiate(this.#pages)
    this.#memory = made.memory
    this.#exports = made.exports
    this.#globals = made.globals
    this.#bytes = new Uint8Array(this.#memory.buffer)
    this.#prepare()
    this.#loadData()
    this.#view().set(counts, at) // of the same module, so they stand in the same place
  }

  // An evaluation that took all the memory there is leaves no room to write its values out.
  #lastValues(): TraceValue[] | undefined {
    try {
      return this.traceValues()
    } catch {
      return undefined
    }
  }

  evaluate(entrypoint: string, input?: unknown): unknown {
    const text = this.#run(entrypoint, this.#inputText(input))
    const [first] = JSON.parse(text) as { result?: unknown }[]
    return first?.result
  }

  evaluateText(entrypoint: string, inputJson?: string): string | undefined {
    const text = this.#run(entrypoint, inputJson)
    return text === '[]' ? undefined : text.slice('[{"result":'.length, -2)
  }

  solutions(input?: unknown): Record<string, unknown>[] {
    return JSON.parse(this.#run('query', this.#inputText(input))) as Record<string, unknown>[]
  }

  #inputText(input: unknown): string | undefined {
    return input === undefined
      ? undefined
      : JSON.stringify(project(this.#options.reads ?? true, input))
  }

  steps(): number {
    return this.#stepsBefore ?? this.#stepsNow()
  }
  #stepsNow(): number {
    return (this.#globals['rego_fuel_max']?.value ?? 0) - (this.#globals['rego_fuel']?.value ?? 0)
  }

  trace(): PointCount[] {
    const { at, count } = this.#tracePlace()
    const view = new DataView(this.#memory.buffer)
    return Array.from({ length: count }, (_, i) => ({
      reached: view.getUint32(at + i * TRACE_POINT_BYTES, true),
      held: view.getUint32(at + i * TRACE_POINT_BYTES + 4, true),
      valued: view.getUint32(at + i * TRACE_POINT_BYTES + 8, true),
    }))
  }
  traceValues(): TraceValue[] {
    if (this.#valuesBefore) return this.#valuesBefore
    const { slotsAt, slots } = this.#tracePlace()
    return Array.from({ length: slots }, (_, i) => {
      // Writing a value out may grow the memory, so the view is made anew.
      const address = new DataView(this.#memory.buffer).getUint32(slotsAt + i * 4, true)
      if (address === 0) return 'unseen'
      if (address === TRACE_MISSING) return 'missing'
      return { json: this.#text(this.#call('opa_json_dump', address)) }
    })
  }
  resetTrace(): void {
    this.#valuesBefore = undefined
    const { at, slotsAt, slots } = this.#tracePlace()
    this.#view().fill(0, at, slotsAt + slots * 4)
  }
  #tracePlace(): { at: number; count: number; slotsAt: number; slots: number } {
    const at: number = this.#globals['rego_trace']?.value ?? 0
    const count: number = this.#globals['rego_trace_points']?.value ?? 0
    const slots: number = this.#globals['rego_trace_slots']?.value ?? 0
    return { at, count, slotsAt: at + count * TRACE_POINT_BYTES, slots }
  }

  memoryBytes(): number {
    return this.#memory.buffer.byteLength
  }

  close(): void {
    this.#closed = true
    this.#memory = new WebAssembly.Memory({ initial: 0 })
    this.#bytes = new Uint8Array(0)
  }
}
