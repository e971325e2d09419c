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
