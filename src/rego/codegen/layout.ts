import { HOST_PREFIX, TRACE_POINT_BYTES } from '../abi.ts'
import type { BuiltinUse, Policy } from '../ir/ir.ts'
import { Constants } from './constants.ts'
import { type Machine, machineName } from './machine.ts'

// The machine is compiled once and never linked: a policy is appended to it. So its functions, globals and the end
// of its data are where everything here begins, and whatever code asks for (a constant, a text, a memo slot, a
// function) gets the next free place the first time and the same place from then on. What is never asked for is
// not in the module, and what the machine has and nothing calls is cut from it.

/** Functions of the machine that generated code calls. */
const CALLED = [
  'tick',
  'arrPush',
  'dot',
  'at',
  'equal',
  'compare',
  'length',
  'mkArray',
  'mkObject',
  'mkSet',
  'objPut',
  'insertOnce',
  'mergeOver',
  'setAdd',
  'caseOf',
  'traceHit',
  'traceValue',
  'conflictRule',
  'callHost',
  'callPlain',
  'scanCount',
  'scanView',
  'writtenSet',
  'plainOf',
  'badPath',
  'settled',
  'mkIndex',
  'withPath',
  'memoTable',
  'opa_heap_ptr_set',
  'opa_value_parse',
  'opa_json_parse',
  'opa_json_dump',
  'opa_value_dump',
  'abortWith',
  'mkStr',
  'atBase',
  'nestedChild',
  'nestedSet',
  'nestedInsert',
] as const
type Called = (typeof CALLED)[number]

interface BuiltinSite {
  readonly home: BuiltinUse['home']
  /** The machine's function, or the number by which the host knows it. */
  readonly index: number
}

/** Where everything of one policy is: functions, constants, memo slots. Asking for something puts it there. */
export class Layout {
  readonly #policy: Policy
  readonly #machine: Machine
  readonly #constants: Constants
  readonly #funcs = new Map<string, number>()
  readonly #slots = new Map<string, number>()
  readonly #builtins = new Map<string, BuiltinSite>()
  readonly #texts = new Map<string, number>()
  readonly #used = new Set<number>()
  readonly functions: Readonly<Record<Called, number>>
  /** Builtins that the host must bring, in the order of their numbers. */
  readonly hostBuiltins: string[] = []
  readonly firstFunction: number
  readonly memoGlobal: number
  readonly fuelGlobal: number
  readonly traceAddress: number
  /** Where strict builds leave the place and the name of a call; undefined when errors are not strict. */
  readonly callGlobals: { readonly place: number; readonly called: number } | undefined
  readonly null: number
  /** Whether some set is iterated as it was written. */
  readonly hasWrittenSets: boolean

  constructor(policy: Policy, machine: Machine, strictErrors: boolean) {
    this.#policy = policy
    this.#machine = machine
    const fixed = {
      null: this.#fixed('NULL'),
      true: this.#fixed('TRUE'),
      false: this.#fixed('FALSE'),
    }
    this.null = fixed.null
    this.hasWrittenSets = policy.hasWrittenSets ?? false
    this.#constants = new Constants((machine.dataEnd + 15) & ~15, fixed)
    this.firstFunction = machine.functionImports + machine.functions.length
    this.memoGlobal = machine.globals.length
    this.fuelGlobal = machine.globalIndex.get('fuel') ?? 0
    for (const [i, func] of policy.funcs.entries()) {
      this.#funcs.set(func.name, this.firstFunction + i)
      if (func.memo) this.#slots.set(func.name, this.#slots.size)
    }
    const functions: Partial<Record<Called, number>> = {}
    const used = this.#used
    for (const name of CALLED) {
      Object.defineProperty(functions, name, {
        get: () => {
          const index = machine.functionIndex.get(name)
          if (index === undefined) throw new Error(`machine lacks ${name}`)
          used.add(index)
          return index
        },
      })
    }
    this.functions = functions as Record<Called, number>
    for (const builtin of policy.static.builtins) this.#addBuiltin(builtin)
    this.callGlobals = strictErrors
      ? { place: this.#global('place'), called: this.#global('called') }
      : undefined
    const { tracePoints: points, traceSlots: slots } = policy
    this.traceAddress =
      points > 0 ? this.#constants.room(points * TRACE_POINT_BYTES + slots * 4) : 0
  }

  tracePoint(point: number): number {
    return this.traceAddress + point * TRACE_POINT_BYTES
  }
  traceSlot(slot: number): number {
    return this.tracePoint(this.#policy.tracePoints) + slot * 4
  }

  #global(name: string): number {
    const global = this.#machine.globalIndex.get(name)
    if (global === undefined) throw new Error(`machine lacks ${name}`)
    return global
  }

  #fixed(name: string): number {
    const global = this.#machine.globalIndex.get(name)
    const init = global === undefined ? undefined : this.#machine.globals[global]?.init
    if (init === undefined) throw new Error(`machine lacks ${name}`)
    return init
  }

  #addBuiltin({ name, home }: BuiltinUse): void {
    if (home === 'machine') {
      const index = this.#machine.functionIndex.get(machineName(name))
      if (index === undefined) throw new Error(`machine lacks builtin ${name}`)
      this.#used.add(index)
      this.#builtins.set(name, { home, index })
      if (name === 'lower' || name === 'upper') this.hostNumber(HOST_PREFIX + name)
    } else {
      this.#builtins.set(name, {
        home,
        index: this.hostNumber(home === 'host' ? HOST_PREFIX + name : name),
      })
    }
  }

  hostNumber(name: string): number {
    const known = this.hostBuiltins.indexOf(name)
    if (known >= 0) return known
    return this.hostBuiltins.push(name) - 1
  }

  /** The address of a NUL-terminated text. */
  terminated(text: string): number {
    const known = this.#texts.get(text) ?? this.#constants.text(text).address
    this.#texts.set(text, known)
    return known
  }
  file(index: number): string {
    return this.#policy.static.files[index] ?? ''
  }

  get used(): ReadonlySet<number> {
    return this.#used
  }
  get constants(): Constants {
    return this.#constants
  }
  get memoBytes(): number {
    return this.#slots.size * 4
  }

  func(name: string): number | undefined {
    return this.#funcs.get(name)
  }
  memoSlot(name: string): number {
    const slot = this.#slots.get(name)
    if (slot === undefined) throw new Error(`no memo slot for ${name}`)
    return slot
  }
  builtin(name: string): BuiltinSite {
    const site = this.#builtins.get(name)
    if (!site) throw new Error(`undeclared function ${name}`)
    return site
  }
  bool(value: boolean): number {
    return this.#fixed(value ? 'TRUE' : 'FALSE')
  }
  text(index: number): string {
    const text = this.#policy.static.strings[index]
    if (text === undefined) throw new Error(`no string ${index}`)
    return text
  }
  string(index: number): number {
    return this.#constants.string(this.text(index))
  }
  stringOf(text: string): number {
    return this.#constants.string(text)
  }
  number(text: string): number {
    return this.#constants.address({ kind: 'number', text })
  }
  /** A number that the IR names by the string that spells it. */
  numberRef(index: number): number {
    return this.number(this.text(index))
  }
  constant(index: number): number {
    const constant = this.#policy.static.constants[index]
    if (!constant) throw new Error(`no constant ${index}`)
    return this.#constants.address(constant)
  }
  funcsOfLength(length: number): { index: number; path: readonly string[] }[] {
    return this.#policy.funcs
      .filter(({ path }) => path.length === length)
      .map(({ name, path }) => ({ index: this.#funcs.get(name) ?? 0, path }))
  }
}
