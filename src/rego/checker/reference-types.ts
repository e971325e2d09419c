// References: each step has to be a key that the document before it can have. Variables in them get the types of keys.
import type { Body, Expr, Loc, RefTerm, Term } from '../ast/ast.ts'
import { mapTerm } from '../ast/walk.ts'
import {
  isComprehension,
  isRoot,
  nodeKey,
  selectTerm,
  type Show,
  type TypeEnv,
  type TypeNode,
  type Types,
} from './type-env.ts'
import { unifyTerm } from './type-unify.ts'
import { ANY, keys, STRING, type Type, typeText, unifies, values } from '../builtins/types.ts'

interface Problem {
  readonly loc: Loc
  readonly message: string
  readonly hints?: readonly string[]
}

/** Where OPA reports a reference that cannot be: names that stand for one and the same path have one place. */
function placeOf({ loc, terms: [head] }: RefTerm): Pick<Problem, 'loc' | 'hints'> {
  const last = head.kind === 'var' ? head.lastUse?.loc : undefined
  if (!last || (last.row === loc.row && last.col === loc.col)) return { loc }
  return { loc: last, hints: [`the reference is in line ${loc.row}, column ${loc.col}`] }
}

export class RefChecker {
  readonly problems: Problem[] = []
  readonly #types: Types
  readonly #env: TypeEnv
  readonly #show: Show

  constructor(types: Types, env: TypeEnv, show: Show) {
    this.#types = types
    this.#env = env
    this.#show = show
  }

  expr({ node, with: mods }: Expr): void {
    switch (node.kind) {
      case 'term':
        return this.#term(node.term)
      case 'call':
        return node.args.forEach((arg) => this.#term(arg))
      case 'every':
        this.#term(node.domain)
        this.#body(node.body)
        return mods.forEach(({ value }) => this.#term(value))
      case 'body':
        return this.#body(node.body)
      default:
    }
  }

  #body(body: Body): void {
    for (const expr of body) this.expr(expr)
  }

  #term(term: Term): void {
    if (isComprehension(term)) return
    if (term.kind === 'ref') {
      const problem = this.#ref(term)
      if (problem) {
        this.problems.push({ ...placeOf(term), message: problem })
        if (problem.startsWith('function')) return
      }
      for (const inner of term.terms.slice(1)) this.#term(inner)
      return
    }
    mapTerm(
      term,
      (t) => (this.#term(t), t),
      (b) => b,
    )
  }

  #ref(ref: RefTerm): string | undefined {
    if (this.#env.ref(ref)?.kind === 'function') {
      return `function ${this.#show(ref)} used as reference, not called`
    }
    const [head] = ref.terms
    if (!isRoot(head)) {
      const known = head.kind === 'var' ? this.#env.variable(head.name) : undefined
      return known ? this.#leaf(ref, known, 1) : this.#leaf(ref, ANY, 0)
    }
    for (let env: TypeEnv | undefined = this.#env; env; env = env.next) {
      const node = env.tree?.child(head.name)
      if (!node) continue
      const found = this.#inTree(ref, node, 1)
      if (found.known) return found.problem
    }
    return this.#leaf(ref, ANY, 1)
  }

  /** Follows a reference through the tree of documents; not known means that another layer may know it. */
  #inTree(
    ref: RefTerm,
    node: TypeNode,
    i: number,
  ): { known: boolean; problem?: string | undefined } {
    if (node.value) return { known: true, problem: this.#leaf(ref, node.value, i) }
    const term = ref.terms[i]
    if (!term) return { known: true }
    const isPackage = i === 1 || i === 2
    if (isPackage && term.kind !== 'var' && term.kind !== 'string') {
      const have = this.#types.of(term, this.#env)
      return { known: true, problem: this.#invalid(ref, have, STRING) }
    }
    if (term.kind === 'var') {
      const wanted = keys(node.extent)
      const problem = this.#key(ref, term.name, wanted)
      if (problem !== undefined) return { known: true, problem }
    }
    const child = node.child(nodeKey(term))
    return child ? this.#inTree(ref, child, i + 1) : { known: false }
  }

  #key(ref: RefTerm, name: string, wanted: Type | undefined): string | undefined {
    const known = this.#env.variable(name)
    if (!known) this.#env.set(name, wanted)
    else if (!unifies(known, wanted)) return this.#invalid(ref, known, wanted)
    return undefined
  }

  /** Follows a reference through a type. */
  #leaf(ref: RefTerm, type: Type | undefined, i: number): string | undefined {
    const term = ref.terms[i]
    if (!term) return undefined
    const wanted = keys(type)
    if (!wanted) return `undefined ref: ${this.#show(ref)}\n  have: ${typeText(type)}`
    switch (term.kind) {
      case 'var': {
        const problem = this.#key(ref, term.name, wanted)
        if (problem !== undefined) return problem
        break
      }
      case 'ref': {
        const known = this.#env.ref(term)
        if (known && !unifies(known, wanted)) return this.#invalid(ref, known, wanted)
        break
      }
      case 'array':
      case 'object':
      case 'set':
        if (!unifyTerm(this.#types, this.#env, term, wanted, false))
          return this.#invalid(ref, this.#types.of(term, this.#env), wanted)
        break
      default: {
        const child = selectTerm(type, term)
        return child ? this.#leaf(ref, child, i + 1) : this.#invalid(ref, undefined, type)
      }
    }
    return this.#leaf(ref, values(type), i + 1)
  }

  #invalid(ref: RefTerm, have: Type | undefined, want: Type | undefined): string {
    const given = have ? `\n  have (type): ${typeText(have)}` : ''
    return `undefined ref: ${this.#show(ref)}${given}\n  want: ${typeText(want)}`
  }
}
