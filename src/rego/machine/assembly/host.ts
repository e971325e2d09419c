// Calls into the host. Our own host functions take one string, the Rego text of the array of operands, and give one back:
// `=` and the result as Rego text, `!code: message` for an error, `` for undefined; `+1234;` before it is what the call
// costs of the budget beyond what any costs. So sets stay sets and numbers exact
// in any host, including one that hands operands over as JSON. Functions that an embedder declares take plain values.
import { alloc, charge, strictErrors } from './memory'
import { T_STR, tag, mkArray, mkInt, arrPush, strLen, strPtr, mkBool, count, arrAt } from './value'
import { opa_value_parse, textOf } from './text'
import { abortAt, noAnswer } from './errors'

// @ts-ignore: decorator
@external("env", "opa_builtin0")
declare function opa_builtin0(id: i32, ctx: i32): usize
// @ts-ignore: decorator
@external("env", "opa_builtin1")
declare function opa_builtin1(id: i32, ctx: i32, a: usize): usize
// @ts-ignore: decorator
@external("env", "opa_builtin2")
declare function opa_builtin2(id: i32, ctx: i32, a: usize, b: usize): usize
// @ts-ignore: decorator
@external("env", "opa_builtin3")
declare function opa_builtin3(id: i32, ctx: i32, a: usize, b: usize, c: usize): usize
// @ts-ignore: decorator
@external("env", "opa_builtin4")
declare function opa_builtin4(id: i32, ctx: i32, a: usize, b: usize, c: usize, d: usize): usize
// @ts-ignore: decorator
@external("env", "opa_println")
declare function opa_println(text: usize): void

/** What a call into the host costs of the budget: measured, five microseconds against eleven nanoseconds for a step. */
const HOST_COST: i32 = 400

/** Charges the steps of digits up to a semicolon, and says what is behind it. */
function chargeSaid(at: usize): usize {
  let steps: i32 = 0
  let p = at
  for (; load<u8>(p) != 59; p++) steps = steps * 10 + <i32>load<u8>(p) - 48
  charge(steps)
  return p + 1
}

/** Calls one of our host functions with an array of operands. */
export function callHost(id: i32, operands: usize): usize {
  const asked = textOf(operands, 1)
  charge(HOST_COST + <i32>(strLen(asked) >> 3))
  const answer = opa_builtin1(id, 0, asked)
  if (!answer || tag(answer) != T_STR || strLen(answer) == 0) return 0
  let p = strPtr(answer)
  let n = strLen(answer)
  charge(<i32>(n >> 3))
  if (load<u8>(p) == 43) {
    const end = chargeSaid(p + 1)
    n -= <u32>(end - p)
    p = end
    if (n == 0) return 0
  }
  if (load<u8>(p) == 61) return opa_value_parse(p + 1, n - 1)
  // `!!` stops the evaluation whether or not errors are strict.
  const always = n > 1 && load<u8>(p + 1) == 33
  if (!strictErrors && !always) return 0
  const from: u32 = always ? 2 : 1
  const text = alloc(n + 1)
  memory.copy(text, p + from, n - from)
  store<u8>(text + n - from, 0)
  abortAt(text)
  return 0
}

export function callNamed(id: i32, v: usize): usize {
  if (id < 0) return noAnswer()
  const operands = mkArray(1)
  arrPush(operands, v)
  return callHost(id, operands)
}

/** Calls a function that the embedder declared. */
export function callPlain(id: i32, operands: usize): usize {
  charge(HOST_COST)
  const n = count(operands)
  if (n == 0) return opa_builtin0(id, 0)
  if (n == 1) return opa_builtin1(id, 0, arrAt(operands, 0))
  if (n == 2) return opa_builtin2(id, 0, arrAt(operands, 0), arrAt(operands, 1))
  if (n == 3) return opa_builtin3(id, 0, arrAt(operands, 0), arrAt(operands, 1), arrAt(operands, 2))
  return opa_builtin4(id, 0, arrAt(operands, 0), arrAt(operands, 1), arrAt(operands, 2), arrAt(operands, 3))
}

/** Trace builds: counts that an expression was reached (0), held (1) or had a value (2). */
export function traceHit(point: usize, outcome: i32): void {
  const at = point + (outcome << 2)
  store<u32>(at, load<u32>(at) + 1)
}
/** Trace builds: remembers a value of an expression until it holds; what it held with stays. */
export function traceValue(point: usize, slot: usize, value: usize): void {
  if (load<u32>(point, 4) == 0) store<u32>(slot, value)
}

export function printLine(v: usize): usize {
  const text = tag(v) == T_STR ? v : textOf(v, 1)
  const n = strLen(text)
  const copy = alloc(n + 1)
  memory.copy(copy, strPtr(text), n)
  store<u8>(copy + n, 0)
  opa_println(copy)
  return mkBool(1)
}
