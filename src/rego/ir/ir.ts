// The intermediate representation, as OPA documents it: a policy is static data, plans (one an entrypoint) and functions;
// a function is a list of blocks; a block stops at the first statement that is undefined, and then the next block runs.
// Statements beyond OPA's are marked.

export interface Location {
  readonly file: number
  readonly row: number
  readonly col: number
}

export type Local = number
/** What a statement reads: a local, a boolean, an interned string, or (ours) an interned constant of any kind. */
export type Operand =
  | { readonly type: 'local'; readonly value: Local }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string_index'; readonly value: number }
  | { readonly type: 'const_index'; readonly value: number }

export interface Block {
  readonly stmts: readonly Stmt[]
}

export type Stmt = (
  | { readonly type: 'ArrayAppendStmt'; readonly value: Operand; readonly array: Local }
  | { readonly type: 'AssignIntStmt'; readonly value: number; readonly target: Local }
  | { readonly type: 'AssignVarStmt'; readonly source: Operand; readonly target: Local }
  | { readonly type: 'AssignVarOnceStmt'; readonly source: Operand; readonly target: Local }
  | { readonly type: 'BlockStmt'; readonly blocks: readonly Block[] }
  | { readonly type: 'BreakStmt'; readonly index: number }
  | {
      readonly type: 'CallStmt'
      readonly func: string
      readonly args: readonly Operand[]
      readonly result: Local
    }
  | {
      readonly type: 'CallDynamicStmt'
      readonly path: readonly Operand[]
      readonly args: readonly Local[]
      readonly result: Local
    }
  | {
      readonly type: 'DotStmt'
      readonly source: Operand
      readonly key: Operand
      readonly target: Local
      readonly base?: boolean
    }
  | { readonly type: 'EqualStmt'; readonly a: Operand; readonly b: Operand }
  | { readonly type: 'NotEqualStmt'; readonly a: Operand; readonly b: Operand }
  | { readonly type: 'IsArrayStmt'; readonly source: Operand }
  | { readonly type: 'IsObjectStmt'; readonly source: Operand }
  | { readonly type: 'IsSetStmt'; readonly source: Operand }
  // Ours. The set `source`, to be iterated as its literal was written, which is the array.
  | {
      readonly type: 'WrittenSetStmt'
      readonly source: Local
      readonly array: Local
      readonly target: Local
    }
  // Ours. Ends the evaluation: a `with` names what is no document.
  | { readonly type: 'BadPathStmt' }
  // Ours. Ends the evaluation when keys in a value, or in the objects in it, had several values.
  | { readonly type: 'IsSettledStmt'; readonly source: Local }
  // Ours. An array, an object or a set.
  | { readonly type: 'IsCollectionStmt'; readonly source: Operand }
  | { readonly type: 'IsDefinedStmt'; readonly source: Local }
  | { readonly type: 'IsUndefinedStmt'; readonly source: Local }
  | { readonly type: 'LenStmt'; readonly source: Operand; readonly target: Local }
  | { readonly type: 'MakeArrayStmt'; readonly capacity: number; readonly target: Local }
  | { readonly type: 'MakeNullStmt'; readonly target: Local }
  | { readonly type: 'MakeNumberIntStmt'; readonly value: number; readonly target: Local }
  | { readonly type: 'MakeNumberRefStmt'; readonly index: number; readonly target: Local }
  | { readonly type: 'MakeObjectStmt'; readonly target: Local }
  | { readonly type: 'MakeSetStmt'; readonly target: Local }
  | { readonly type: 'NotStmt'; readonly block: Block }
  | {
      readonly type: 'ObjectInsertStmt'
      readonly key: Operand
      readonly value: Operand
      readonly object: Local
    }
  | {
      readonly type: 'ObjectInsertOnceStmt'
      readonly key: Operand
      readonly value: Operand
      readonly object: Local
    }
  | {
      readonly type: 'ObjectMergeStmt'
      readonly a: Local
      readonly b: Local
      readonly target: Local
    }
  | { readonly type: 'ResetLocalStmt'; readonly target: Local }
  | { readonly type: 'ResultSetAddStmt'; readonly value: Local }
  | { readonly type: 'ReturnLocalStmt'; readonly source: Local }
  | {
      readonly type: 'ScanStmt'
      readonly source: Local
      readonly key: Local
      readonly value: Local
      readonly block: Block
      readonly ordered?: boolean
    }
  | { readonly type: 'SetAddStmt'; readonly value: Operand; readonly set: Local }
  | {
      readonly type: 'WithStmt'
      readonly local: Local
      readonly path: readonly number[] | null
      readonly value: Operand
      readonly block: Block
      readonly keep?: Local
      readonly use?: Local
    }
  // Ours. Undefined when the comparison does not hold; saves a call, a boolean and a test.
  | {
      readonly type: 'CompareStmt'
      readonly op: 'lt' | 'lte' | 'gt' | 'gte'
      readonly a: Operand
      readonly b: Operand
    }
  // Ours. Put a value under a path of keys, or add it to the set there (which is made when there is no value).
  | {
      readonly type: 'NestedInsertStmt'
      readonly object: Local
      readonly path: readonly Operand[]
      readonly value: Operand
      readonly fallback: boolean
    }
  | {
      readonly type: 'NestedAddStmt'
      readonly object: Local
      readonly path: readonly Operand[]
      readonly value: Operand | undefined
    }
  // Ours. Marks a point of a trace build: 0 reached, 1 true, 2 had a value to judge.
  | { readonly type: 'TraceStmt'; readonly point: number; readonly outcome: 0 | 1 | 2 }
  // Ours. Keeps a value that the expression of a point looks at, or that it was not looked at, or had none.
  | {
      readonly type: 'TraceValueStmt'
      readonly point: number
      readonly slot: number
      readonly source: Operand | 'unseen' | 'missing'
    }
  // Ours. The rule index: which key of a constant object a value is, as a plain number; -1 for none, or without a source.
  | {
      readonly type: 'IndexStmt'
      readonly source: Operand | undefined
      readonly table: number
      readonly target: Local
    }
  // Ours. Undefined unless an IndexStmt left this number.
  | { readonly type: 'CaseStmt'; readonly source: Local; readonly at: number }
) &
  Partial<Location>

/** A constant that is laid out once in the module's data. Object and set members are sorted and unique. */
export type Constant =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: readonly Constant[] }
  | { readonly kind: 'object'; readonly pairs: readonly (readonly [Constant, Constant])[] }
  | { readonly kind: 'set'; readonly items: readonly Constant[] }

export interface Static {
  readonly strings: readonly string[]
  readonly constants: readonly Constant[]
  readonly builtins: readonly BuiltinUse[]
  readonly files: readonly string[]
}

export interface BuiltinUse {
  readonly name: string
  readonly args: number
  /** `machine`: compiled in; `host`: one of our host functions; `plain`: declared by the embedder. */
  readonly home: 'machine' | 'host' | 'plain'
}

export interface Plan {
  readonly name: string
  readonly blocks: readonly Block[]
}

export interface Func {
  readonly name: string
  readonly path: readonly string[]
  readonly params: readonly Local[]
  readonly return: Local
  readonly blocks: readonly Block[]
  /** Ours: the result depends on input and data alone, so one evaluation computes it once. */
  readonly memo: boolean
}

export interface Policy {
  readonly static: Static
  readonly plans: readonly Plan[]
  readonly funcs: readonly Func[]
  /** Ours: number of trace points; 0 unless it is a trace build. */
  readonly tracePoints: number
  readonly hasWrittenSets?: boolean
  /** Ours: number of values that the points keep. */
  readonly traceSlots: number
}
