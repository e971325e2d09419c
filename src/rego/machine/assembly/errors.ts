// What a builtin does with operands it cannot take: undefined, or the end of the evaluation when errors are strict.
import { abortWith, strictErrors } from './memory'

/** An operand has the wrong type. */
export function wrongType(): usize {
  // eval_type_error: operand has the wrong type
  if (strictErrors) abortWith(memory.data<u8>([101, 118, 97, 108, 95, 116, 121, 112, 101, 95, 101, 114, 114, 111, 114, 58, 32, 111, 112, 101, 114, 97, 110, 100, 32, 104, 97, 115, 32, 116, 104, 101, 32, 119, 114, 111, 110, 103, 32, 116, 121, 112, 101, 0]))
  return 0
}

/** The operands are of the right type and still have no answer. */
export function noAnswer(): usize {
  // eval_builtin_error: illegal operand
  if (strictErrors) abortWith(memory.data<u8>([101, 118, 97, 108, 95, 98, 117, 105, 108, 116, 105, 110, 95, 101, 114, 114, 111, 114, 58, 32, 105, 108, 108, 101, 103, 97, 108, 32, 111, 112, 101, 114, 97, 110, 100, 0]))
  return 0
}
