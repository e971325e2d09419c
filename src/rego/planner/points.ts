import type { Loc, Term } from '../ast/ast.ts'

export interface TracePoint extends Loc {
  /** The rule it stands in, as `data.authz.allow`; undefined in a query. */
  readonly rule: { readonly path: string; readonly row: number } | undefined
  /** `head`: computes what the head of a rule gives; `generated`: a rule without a body. Neither is written as a line. */
  readonly kind: 'expression' | 'head' | 'generated'
  readonly values: readonly TracedValue[]
}

/** A value that a point keeps, and where it is named in the source. */
export interface TracedValue {
  readonly slot: number
  readonly loc: Loc
  /** The name of a variable; a reference goes by its text. */
  readonly name: string | undefined
}

/** A value that a point keeps while it is planned. */
export interface Kept extends TracedValue {
  readonly term: Term
  /** Whether it was kept before what was taken out of the expression. */
  early?: boolean
}

/** A point under way. */
export interface Tracing {
  readonly point: number
  readonly kept: readonly Kept[]
}
