import { isArray, Num, RegoObject, RegoSet, toBigInt, type Value } from '../value.ts'

/** A builtin in JavaScript. `undefined` is undefined; BuiltinError is an error, which is undefined too unless strict. */
export type HostBuiltin = (...operands: Value[]) => Value | undefined
export type Family = Readonly<Record<string, HostBuiltin>>

export class BuiltinError extends Error {
  readonly code: 'eval_builtin_error' | 'eval_type_error'
  constructor(
    message: string,
    code: 'eval_builtin_error' | 'eval_type_error' = 'eval_builtin_error',
  ) {
    super(message)
    this.code = code
  }
}

/** The most that one call into the host may cost, whatever is left: the evaluation ends where it would cost more. */
const MOST = 100_000_000
let spent = 0
let most = MOST
let evaluation = 0

/** An evaluation begins: what it has made it pays for. */
export function beginEvaluation(): void {
  evaluation++
}
export const evaluationNumber = (): number => evaluation

/** A call begins, of an evaluation that has so many steps left. */
export function beginSpending(left: number): void {
  spent = 0
  most = Math.min(MOST, left)
}

/** Work beyond what any call costs, in steps of the evaluation's budget: charged when the call returns. */
export function spend(steps: number): void {
  spent += steps
  if (spent > most) throw new SpentError()
}
export const spentSoFar = (): number => spent
export class SpentError extends Error {
  constructor() {
    super('evaluation budget spent')
  }
}
/** What an answer would take is beyond what an evaluation may have: no answer must look like none. */
export class TooLargeError extends Error {}
export function takeSpent(): number {
  const steps = spent
  spent = 0
  return steps
}

export function fail(message: string): never {
  throw new BuiltinError(message)
}

/** Whether something can be read: it throws where it cannot. */
export function holds(f: () => unknown): boolean {
  try {
    f()
    return true
  } catch {
    return false
  }
}

function typeName(v: Value | undefined): string {
  if (v === null || v === undefined) return 'null'
  if (v instanceof Num) return 'number'
  if (v instanceof RegoSet) return 'set'
  if (v instanceof RegoObject) return 'object'
  return isArray(v) ? 'array' : typeof v
}

export function wrongType(position: number, got: Value | undefined, ...want: string[]): never {
  const what = want.length === 1 ? want[0] : `one of {${want.join(', ')}}`
  throw new BuiltinError(
    `operand ${position} must be ${what} but got ${typeName(got)}`,
    'eval_type_error',
  )
}

export function text(v: Value | undefined, position: number): string {
  return typeof v === 'string' ? v : wrongType(position, v, 'string')
}
export function number(v: Value | undefined, position: number): Num {
  return v instanceof Num ? v : wrongType(position, v, 'number')
}
export function bigint(v: Value | undefined, position: number): bigint {
  const n = toBigInt(number(v, position))
  if (n === undefined) {
    throw new BuiltinError(
      `operand ${position} must be integer number but got floating-point number`,
      'eval_type_error',
    )
  }
  return n
}
/** What serves as an index or a count: written in digits, with nothing but zeros behind a point. */
export function int(v: Value | undefined, position: number): number {
  const { text: digits } = number(v, position)
  const value = /^[-+]?(?=[\d.]{1,19}$)(\d*)\.?0*$/.test(digits) ? Number(digits) : Number.NaN
  if (!(Math.abs(value) <= 2 ** 63)) {
    throw new BuiltinError(
      `operand ${position} must be integer number but got floating-point number`,
      'eval_type_error',
    )
  }
  return value
}
export function object(v: Value | undefined, position: number): RegoObject {
  return v instanceof RegoObject ? v : wrongType(position, v, 'object')
}
export function array(v: Value | undefined, position: number): readonly Value[] {
  return isArray(v) ? v : wrongType(position, v, 'array')
}
/** Members of an array or a set. */
export function members(v: Value | undefined, position: number): readonly Value[] {
  if (v instanceof RegoSet) return v.items
  return isArray(v) ? v : wrongType(position, v, 'array', 'set')
}
