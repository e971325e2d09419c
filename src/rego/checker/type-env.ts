// What is known of types at one point: a tree of the documents that rules make, with what one body knows of its variables
// in a layer above it. A lookup goes from layer to layer; documents that no layer knows may be anything.
import type { Comprehension, RefTerm, Term, VarTerm } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'
import { scalarText } from '../ast/scalar-text.ts'
import {
  ANY,
  BOOLEAN,
  type FunctionType,
  NULL,
  NUMBER,
  type ObjectType,
  or,
  select,
  STRING,
  type Type,
  values,
} from '../builtins/types.ts'

export class TypeNode {
  value: Type | undefined
  children: Map<string, TypeNode> | undefined

  child(key: string | undefined): TypeNode | undefined {
    return key === undefined ? undefined : this.children?.get(key)
  }

  #grow(key: string): TypeNode {
    this.children ??= new Map()
    let child = this.children.get(key)
    if (!child) {
      child = new TypeNode()
      this.children.set(key, child)
    }
    return child
  }

  /** The node at a path, made when there is none. */
  #at([key, ...rest]: readonly string[]): TypeNode {
    return key === undefined ? this : this.#grow(key).#at(rest)
  }

  put(path: readonly string[], type: Type | undefined): void {
    this.#at(path).value = type
  }

  /** Puts a rule's type at a path, into what other rules gave to it, above it and below it. */
  insert(path: readonly string[], type: Type): void {
    for (const i of path.keys()) {
      const above = this.#at(path.slice(0, i + 1))
      const rest = path.slice(i + 1)
      if (above.value?.kind === 'object' && rest.length > 0)
        above.value = within(above.value, rest, type)
    }
    const node = this.#at(path)
    node.value = merged(node.value, type)
    if (type.kind !== 'object') return
    for (const [below, leaf] of leaves(node)) {
      if (node.value?.kind === 'object') node.value = within(node.value, below, leaf)
    }
  }

  /** A node as one object: its children, and whatever base documents add. */
  get extent(): Type {
    if (this.value) return this.value
    const fixed = new Map<string, Type>()
    for (const [key, child] of this.children ?? []) {
      if (!key.startsWith('v') && key !== 'null') fixed.set(key, child.extent)
    }
    return { kind: 'object', fixed, rest: [STRING, ANY] }
  }
}

function* leaves(node: TypeNode, path: readonly string[] = []): Generator<[string[], Type]> {
  for (const [key, child] of node.children ?? []) {
    if (child.value) yield [[...path, key], child.value]
    else yield* leaves(child, [...path, key])
  }
}

/** An object type to which something is added below some path. */
function within(object: ObjectType, [key, ...rest]: readonly string[], type: Type): ObjectType {
  const empty: ObjectType = { kind: 'object', fixed: new Map(), rest: undefined }
  const inner = rest.length > 0 ? within(empty, rest, type) : type
  const own = key === undefined || key.startsWith('v') ? undefined : typeOfKey(key)
  const [k, v] = object.rest ?? []
  return { ...object, rest: [or(k, own), or(v, inner)] }
}

function typeOfKey(key: string): Type {
  if (key.startsWith('"')) return STRING
  if (key === 'null') return NULL
  return key === 'true' || key === 'false' ? BOOLEAN : NUMBER
}

const isOpenObject = (type: Type): type is ObjectType =>
  type.kind === 'object' && type.fixed.size === 0

/** The type of a document that several rules add to. */
function merged(a: Type | undefined, b: Type | undefined): Type | undefined {
  if (!a || !b) return a ?? b
  if (a.kind === 'any' && b.kind !== 'any') return merged(b, a)
  if (a.kind === 'set' && b.kind === 'set') return { kind: 'set', of: or(a.of, b.of) }
  if (isOpenObject(a) && isOpenObject(b)) {
    const value = a.rest?.[1] && b.rest?.[1] ? merged(a.rest[1], b.rest[1]) : undefined
    return { ...a, rest: [or(a.rest?.[0], b.rest?.[0]), value ?? or(a.rest?.[1], b.rest?.[1])] }
  }
  if (isOpenObject(a) && b.kind === 'any') {
    const at = b.of.findIndex(isOpenObject)
    const known = b.of[at] as ObjectType | undefined
    if (known) {
      const rest = [or(known.rest?.[0], a.rest?.[0]), or(known.rest?.[1], a.rest?.[1])] as const
      return { kind: 'any', of: b.of.with(at, { ...known, rest }) }
    }
  }
  return or(a, b)
}

/** Types of builtins and declared functions, by name. */
export type TypeOf = (name: string) => FunctionType | undefined

export class TypeEnv {
  /** Documents that this layer knows. */
  tree: TypeNode | undefined
  readonly next: TypeEnv | undefined
  /** Types of variables; the layer of a `with` shares them with what is around it, for they outlive it. */
  readonly #vars: Map<string, Type | undefined>
  readonly #typeOf: TypeOf

  constructor(typeOf: TypeOf, next?: TypeEnv, vars?: Map<string, Type | undefined>) {
    this.#typeOf = typeOf
    this.next = next
    this.#vars = vars ?? new Map()
  }

  wrap(): TypeEnv {
    return new TypeEnv(this.#typeOf, this)
  }
  /** A layer for one expression with replaced documents. */
  wrapWith(tree: TypeNode): TypeEnv {
    const layer = new TypeEnv(this.#typeOf, this, this.#vars)
    layer.tree = tree
    return layer
  }

  set(name: string, type: Type | undefined): void {
    this.#vars.set(name, type)
  }

  variable(name: string): Type | undefined {
    if (this.#vars.has(name)) return this.#vars.get(name)
    return this.next ? this.next.variable(name) : this.#typeOf(name)
  }

  ref(ref: RefTerm): Type | undefined {
    const [head] = ref.terms
    if (!isRoot(head)) {
      const known = head.kind === 'var' ? this.variable(head.name) : undefined
      if (known) return behind(known, ref.terms, 1)
      const name = operatorName(ref)
      return name === undefined ? undefined : this.#typeOf(name)
    }
    return this.#document(head.name, ref)
  }

  #document(root: string, ref: RefTerm): Type | undefined {
    const node = this.tree?.child(root)
    const found = node && inTree(node, ref.terms, 1)
    if (found) return found.type
    return this.next ? this.next.#document(root, ref) : ANY
  }
}

/** What a tree says of a path; undefined when it says nothing. */
function inTree(
  node: TypeNode,
  terms: readonly Term[],
  i: number,
): { type: Type | undefined } | undefined {
  const term = terms[i]
  if (!term) return { type: node.extent }
  const key = constantKey(term)
  const child = node.child(key)
  if (node.value && !child) return { type: behind(node.value, terms, i) }
  if (key === undefined) return { type: behind(node.extent, terms, i) }
  return child && inTree(child, terms, i + 1)
}

/** The type behind the terms of a reference into a value. */
function behind(type: Type | undefined, terms: readonly Term[], i: number): Type | undefined {
  let found = type
  for (const term of terms.slice(i)) {
    if (!found) return undefined
    const isKey = !['var', 'ref', 'array', 'object', 'set'].includes(term.kind)
    found = isKey ? selectTerm(found, term) : values(found)
  }
  return found
}

export function selectTerm(type: Type | undefined, term: Term): Type | undefined {
  const key = constantKey(term)
  return key === undefined ? undefined : select(type, key)
}

export function isRoot(term: Term): term is VarTerm & { readonly name: 'data' | 'input' } {
  return term.kind === 'var' && (term.name === 'data' || term.name === 'input')
}

/** How a term names a child of a node; undefined for what cannot name one. */
export function nodeKey(term: Term): string | undefined {
  return term.kind === 'var' ? `v${term.name}` : constantKey(term)
}

/** The JSON text of a constant; undefined for anything else. */
export function constantKey(term: Term): string | undefined {
  switch (term.kind) {
    case 'number':
      return /^-?(?:0|[1-9]\d*)$/.test(term.text) ? term.text : String(Number(term.text))
    case 'array':
    case 'set': {
      const items = term.items.map(constantKey)
      return items.includes(undefined) ? undefined : `[${items.join(',')}]`
    }
    case 'object': {
      const pairs = term.pairs.map(([k, v]) => {
        const [key, value] = [constantKey(k), constantKey(v)]
        if (key === undefined || value === undefined) return undefined
        return `${k.kind === 'string' ? key : JSON.stringify(key)}:${value}`
      })
      return pairs.includes(undefined) ? undefined : `{${pairs.join(',')}}`
    }
    default:
      return scalarText(term)
  }
}

/** How terms are shown in messages, with the names of the source. */
export type Show = (term: Term) => string

/** Tells the type of a term where it stands; undefined: nothing is known of it. */
export interface Types {
  of(term: Term, env: TypeEnv): Type | undefined
}

export function isComprehension(term: Term): term is Comprehension {
  return term.kind.endsWith('Comprehension')
}
