/** JSON as the gate holds it: parsed once, strictly, and never mutated afterwards. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}
