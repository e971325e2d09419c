/** Pointers (RFC 6901), split into their steps; the step `*` stands for each element or member. */
export type Pointers = readonly (readonly string[])[]

/** Each element of an array, or each member of an object. */
export const EACH = '*'

/** What the record does not hold in clear, by what it is in. */
export interface RecordRules {
  readonly args: Pointers
  readonly context: Pointers
  /** Look-ups, by name. */
  readonly facts: Pointers
  /** Bodies of upstreams' answers. */
  readonly result: Pointers
  /** Of reports and figures. */
  readonly metadata: Pointers
}

/** Whether there is anything that the record does not hold. */
export const hidesAny = (rules: RecordRules): boolean =>
  Object.values(rules).some((pointers: Pointers) => pointers.length > 0)

/** What either of two hides. */
export function unionOf(one: RecordRules, other: RecordRules): RecordRules {
  if (one === other || !hidesAny(other)) return one
  return {
    args: [...one.args, ...other.args],
    context: [...one.context, ...other.context],
    facts: [...one.facts, ...other.facts],
    result: [...one.result, ...other.result],
    metadata: [...one.metadata, ...other.metadata],
  }
}
