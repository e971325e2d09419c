// Rego's syntax tree. Nodes are plain data, tagged by `kind`; stages make new trees instead of changing old ones.
import type { SourceLocation } from '../diagnostics.ts'

export type Loc = SourceLocation

interface Node {
  readonly loc: Loc
}

export interface NullTerm extends Node {
  readonly kind: 'null'
}
export interface BooleanTerm extends Node {
  readonly kind: 'boolean'
  readonly value: boolean
}
/** Numbers keep the text they were written with. */
export interface NumberTerm extends Node {
  readonly kind: 'number'
  readonly text: string
}
export interface StringTerm extends Node {
  readonly kind: 'string'
  readonly value: string
  /** Written with backquotes; kept for the formatter. */
  readonly raw?: boolean
}
/** Wildcards are variables whose name begins with `$`. */
export interface VarTerm extends Node {
  readonly kind: 'var'
  readonly name: string
  /** Of a rule's or an import's name that became a reference: where the last such name of the module stands. */
  readonly lastUse?: LastUse
}
export interface LastUse {
  loc: Loc
}
export interface RefTerm extends Node {
  readonly kind: 'ref'
  readonly terms: readonly [Term, ...Term[]]
}
export interface ArrayTerm extends Node {
  readonly kind: 'array'
  readonly items: readonly Term[]
}
export interface SetTerm extends Node {
  readonly kind: 'set'
  readonly items: readonly Term[]
}
export interface ObjectTerm extends Node {
  readonly kind: 'object'
  readonly pairs: readonly (readonly [Term, Term])[]
}
export interface ArrayComprehension extends Node {
  readonly kind: 'arrayComprehension'
  readonly term: Term
  readonly body: Body
}
export interface SetComprehension extends Node {
  readonly kind: 'setComprehension'
  readonly term: Term
  readonly body: Body
}
export interface ObjectComprehension extends Node {
  readonly kind: 'objectComprehension'
  readonly key: Term
  readonly value: Term
  readonly body: Body
}
export interface CallTerm extends Node {
  readonly kind: 'call'
  /** A variable or a ref. */
  readonly operator: RefTerm
  readonly args: readonly Term[]
  /** Written with an infix operator; kept for the formatter. */
  readonly infix?: boolean
}
export interface TemplateTerm extends Node {
  readonly kind: 'template'
  readonly multiLine: boolean
  readonly parts: readonly (Term | Expr)[]
}

export type Comprehension = ArrayComprehension | SetComprehension | ObjectComprehension
/** Parentheses around a term, from the offset of the first; kept for the formatter. */
interface Enclosed {
  readonly parens?: { readonly start: number; readonly length: number }
}
export type Term = Enclosed & AnyTerm
type AnyTerm =
  | NullTerm
  | BooleanTerm
  | NumberTerm
  | StringTerm
  | VarTerm
  | RefTerm
  | ArrayTerm
  | SetTerm
  | ObjectTerm
  | Comprehension
  | CallTerm
  | TemplateTerm

export interface With extends Node {
  readonly target: Term
  readonly value: Term
}

/** `some x, y` */
export interface SomeNode {
  readonly kind: 'some'
  readonly vars: readonly VarTerm[]
}
/** `some k, v in xs` */
export interface SomeInNode {
  readonly kind: 'someIn'
  readonly key: Term | undefined
  readonly value: Term
  readonly domain: Term
}
export interface EveryNode {
  readonly kind: 'every'
  readonly key: VarTerm | undefined
  readonly value: VarTerm
  readonly domain: Term
  readonly body: Body
}
export interface TermNode {
  readonly kind: 'term'
  readonly term: Term
}
export interface CallNode {
  readonly kind: 'call'
  readonly operator: RefTerm
  readonly args: readonly Term[]
  readonly infix?: boolean
}
/** Holds when the body has a solution: the operands of `and` and `or`, and `not { ... }` when negated. */
export interface BodyNode {
  readonly kind: 'body'
  readonly body: Body
  /** How it was written; kept for the formatter. */
  readonly logical?: 'and' | 'or'
}
export type ExprNode = SomeNode | SomeInNode | EveryNode | TermNode | CallNode | BodyNode

export interface Expr extends Node {
  readonly kind: 'expr'
  readonly node: ExprNode
  readonly negated: boolean
  readonly with: readonly With[]
  /** Made by a rewriting stage; carries no place of its own for coverage. */
  readonly generated?: boolean
}
export type Body = readonly Expr[]

export interface Head extends Node {
  /** The whole reference, `p` in `p.q[x]` included; terms behind the first may be any term. */
  readonly ref: readonly [VarTerm, ...Term[]]
  /** Undefined for rules that are not functions. */
  readonly args: readonly Term[] | undefined
  /** `contains` and the old `p[x]`. */
  readonly key: Term | undefined
  readonly value: Term | undefined
  readonly assign: boolean
  readonly generatedValue: boolean
  readonly hasIf: boolean
  readonly hasContains: boolean
}

export interface Rule extends Node {
  readonly kind: 'rule'
  readonly isDefault: boolean
  readonly head: Head
  readonly body: Body
  readonly generatedBody: boolean
  readonly else: Rule | undefined
  /** Another body of the rule before it: `p { a } { b }`. */
  readonly chained?: boolean
}

export interface Import extends Node {
  readonly kind: 'import'
  readonly path: RefTerm
  readonly alias: string | undefined
}

export interface Comment extends Node {
  /** Without the `#`. */
  readonly text: string
}

export interface Annotations extends Node {
  readonly scope: 'rule' | 'document' | 'package' | 'subpackages'
  readonly title?: string
  readonly description?: string
  readonly organizations?: readonly string[]
  readonly relatedResources?: readonly { ref: string; description?: string }[]
  readonly authors?: readonly { name: string; email?: string }[]
  readonly schemas?: readonly unknown[]
  readonly custom?: Readonly<Record<string, unknown>>
  readonly labels?: Readonly<Record<string, unknown>>
  readonly entrypoint?: boolean
  /** The row below the block: what it belongs to starts there or later. */
  readonly endRow: number
}

export interface Module {
  readonly file: string
  readonly package: { readonly loc: Loc; readonly path: readonly string[] }
  readonly imports: readonly Import[]
  readonly rules: readonly Rule[]
  readonly comments: readonly Comment[]
  readonly annotations: readonly Annotations[]
  readonly v0: boolean
  /** Whether the words occur in the source at all, which spares most modules two rewrites. */
  readonly mentions: {
    readonly print: boolean
    readonly template: boolean
    readonly metadata: boolean
  }
}
