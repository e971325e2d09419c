// Which parts of `input` a policy reads. An embedder that knows them gives the evaluation these alone: what is
// never read need not be written as JSON, moved and parsed, which is most of what a decision costs when a
// request is large. The answer errs on the side of more: where a key is only known when a rule runs, everything
// from there on counts as read, and so does all of `input` where it is used as a whole.
import type { Expr, Module, Term } from './ast/ast.ts'
import { walkExpr, walkRule, walkTerm } from './ast/walk.ts'
import type { Projection } from './host/project.ts'

type Growing = Map<string, true | Growing>

/** What these modules and this query read of `input`, names resolved. */
export function inputReads(modules: readonly Module[], query: readonly Expr[] = []): Projection {
  const reader = new InputReader()
  for (const { rules } of modules) {
    for (const rule of rules) walkRule(rule, reader.term, reader.expr)
  }
  for (const expr of query) walkExpr(expr, reader.term, reader.expr)
  return reader.reads
}

class InputReader {
  #reads: true | Growing = new Map()

  get reads(): Projection {
    return this.#reads
  }

  readonly term = (term: Term): boolean | undefined => {
    if (term.kind === 'var' && term.name === 'input') this.#read([])
    if (term.kind !== 'ref') return undefined
    const [head, ...steps] = term.terms
    if (head.kind !== 'var' || head.name !== 'input') return undefined
    this.#read(steps)
    for (const step of steps) walkTerm(step, this.term, this.expr)
    return false
  }

  // `with input as ...` names what it replaces and does not read it; `with input.a as ...` changes a part of what
  // there is, whose surroundings therefore have to be there.
  readonly expr = (expr: Expr): boolean | undefined => {
    if (expr.with.length === 0) return undefined
    for (const { target, value } of expr.with) {
      if (target.kind === 'ref' && target.terms.length > 1) walkTerm(target, this.term, this.expr)
      walkTerm(value, this.term, this.expr)
    }
    walkExpr({ ...expr, with: [] }, this.term, this.expr)
    return false
  }

  #read(steps: readonly Term[]): void {
    const keys: string[] = []
    for (const step of steps) {
      if (step.kind !== 'string') break
      keys.push(step.value)
    }
    const last = keys.pop()
    if (last === undefined) this.#reads = true
    if (last === undefined || this.#reads === true) return
    let at = this.#reads
    for (const key of keys) {
      const inner = at.get(key) ?? new Map()
      if (inner === true) return
      at.set(key, inner)
      at = inner
    }
    at.set(last, true)
  }
}
