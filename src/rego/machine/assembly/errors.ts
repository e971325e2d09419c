// What a builtin does with operands it cannot take: undefined, or the end of the evaluation when errors are strict. Texts
// are NUL-terminated.
import { abortWith, alloc, called, place, strictErrors } from './memory'

function lengthOf(text: usize): usize {
  let n: usize = 0
  if (text) while (load<u8>(text + n)) n++
  return n
}
function join(a: usize, b: usize): usize {
  const n = lengthOf(a)
  const m = lengthOf(b)
  const text = alloc(n + m + 1)
  memory.copy(text, a, n)
  memory.copy(text + n, b, m)
  store<u8>(text + n + m, 0)
  return text
}

/** Ends the evaluation, with where the call stands in front. */
export function abortAt(text: usize): void {
  abortWith(join(place, text))
}
function abortCall(code: usize, message: usize): void {
  abortAt(join(code, join(called, message)))
}

function typeError(message: usize): usize {
  // eval_type_error:
  if (strictErrors) abortCall(memory.data<u8>([101, 118, 97, 108, 95, 116, 121, 112, 101, 95, 101, 114, 114, 111, 114, 58, 32, 0]), message)
  return 0
}

/** An operand has the wrong type. */
export function wrongType(): usize {
  // operand has the wrong type
  return typeError(memory.data<u8>([111, 112, 101, 114, 97, 110, 100, 32, 104, 97, 115, 32, 116, 104, 101, 32, 119, 114, 111, 110, 103, 32, 116, 121, 112, 101, 0]))
}

/** One of two operands that have to be strings or collections of strings is not. */
export function wrongStrings(second: bool, found: usize): usize {
  if (!strictErrors) return 0
  // operand 1, operand 2
  const operand = second ? memory.data<u8>([111, 112, 101, 114, 97, 110, 100, 32, 50, 32, 0]) : memory.data<u8>([111, 112, 101, 114, 97, 110, 100, 32, 49, 32, 0])
  return typeError(join(operand, found))
}
/** The type of a value, in messages. */
export function typeName(tag: i32): usize {
  // null, boolean, number, string, array, object, set
  if (tag == 1) return memory.data<u8>([110, 117, 108, 108, 0])
  if (tag == 2) return memory.data<u8>([98, 111, 111, 108, 101, 97, 110, 0])
  if (tag == 3) return memory.data<u8>([110, 117, 109, 98, 101, 114, 0])
  if (tag == 4) return memory.data<u8>([115, 116, 114, 105, 110, 103, 0])
  if (tag == 5) return memory.data<u8>([97, 114, 114, 97, 121, 0])
  if (tag == 6) return memory.data<u8>([111, 98, 106, 101, 99, 116, 0])
  return memory.data<u8>([115, 101, 116, 0])
}
export function notStrings(tag: i32): usize {
  // must be one of {string, set, array} but got
  return join(memory.data<u8>([109, 117, 115, 116, 32, 98, 101, 32, 111, 110, 101, 32, 111, 102, 32, 123, 115, 116, 114, 105, 110, 103, 44, 32, 115, 101, 116, 44, 32, 97, 114, 114, 97, 121, 125, 32, 98, 117, 116, 32, 103, 111, 116, 32, 0]), typeName(tag))
}
export function notOfStrings(collection: i32, element: i32): usize {
  // must be array of strings but got array containing, must be set of strings but got set containing
  return join(collection == 5 ? memory.data<u8>([109, 117, 115, 116, 32, 98, 101, 32, 97, 114, 114, 97, 121, 32, 111, 102, 32, 115, 116, 114, 105, 110, 103, 115, 32, 98, 117, 116, 32, 103, 111, 116, 32, 97, 114, 114, 97, 121, 32, 99, 111, 110, 116, 97, 105, 110, 105, 110, 103, 32, 0]) : memory.data<u8>([109, 117, 115, 116, 32, 98, 101, 32, 115, 101, 116, 32, 111, 102, 32, 115, 116, 114, 105, 110, 103, 115, 32, 98, 117, 116, 32, 103, 111, 116, 32, 115, 101, 116, 32, 99, 111, 110, 116, 97, 105, 110, 105, 110, 103, 32, 0]), typeName(element))
}

/** The operands are of the right type and still have no answer. */
export function noAnswer(): usize {
  // eval_builtin_error: illegal operand
  if (strictErrors) abortCall(memory.data<u8>([101, 118, 97, 108, 95, 98, 117, 105, 108, 116, 105, 110, 95, 101, 114, 114, 111, 114, 58, 32, 0]), memory.data<u8>([105, 108, 108, 101, 103, 97, 108, 32, 111, 112, 101, 114, 97, 110, 100, 0]))
  return 0
}
