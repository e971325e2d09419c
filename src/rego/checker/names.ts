// What bodies and expressions name, and expressions with their terms mapped: helpers of the walk that resolves names.
import type { Body, Expr, Loc, RefTerm, Term, VarTerm } from '../ast/ast.ts'
import { walkBody, walkTerm } from '../ast/walk.ts'
import { isOperator } from '../ast/operators.ts'
import { isBuiltin } from '../builtins/builtins.ts'
import { compareTerms } from '../ast/term-order.ts'

/** Names of builtins that a body, outside of comprehensions, has as variables: not as what it calls or replaces. */
export function builtinNames(body: Body): string[] {
  const names: string[] = []
  const replaced = new Set<string>()
  const see = (term: Term): void => {
    walkTerm(term, (t) => {
      if (t.kind === 'var' && isBuiltin(t.name)) names.push(t.name)
      if (t.kind === 'call') t.args.forEach(see)
      return t.kind !== 'call' && !t.kind.endsWith('Comprehension')
    })
  }
  walkBody(
    body,
    () => false,
    (expr) => {
      const [term, ...more] = ownTerms(expr)
      if (term) [term, ...more].forEach(see)
      for (const { target, value } of expr.with) {
        for (const t of [target, value])
          walkTerm(t, (x) => void (x.kind === 'var' && replaced.add(x.name)))
      }
      return expr.node.kind === 'body'
    },
  )
  return names.filter((name) => !replaced.has(name))
}

function ownTerms({ node }: Expr): readonly Term[] {
  if (node.kind === 'term') return [node.term]
  if (node.kind === 'call') return node.args
  if (node.kind === 'every') return [node.domain]
  return node.kind === 'someIn' ? [node.value, node.domain] : []
}

export const inOrder = (terms: readonly Term[]): readonly Term[] =>
  terms.length < 2 ? terms : terms.toSorted(compareTerms)

export function mapBody(body: Body, f: (t: Term) => Term): Body {
  return body.map((expr) => mapExpr(expr, f))
}
// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function mapExpr(expr: Expr, f: (t: Term) => Term): Expr {
  const { node } = expr
  const mods = expr.with.map((w) => ({ ...w, target: f(w.target), value: f(w.value) }))
  const b = (body: Body) => mapBody(body, f)
  const v = (t: VarTerm): VarTerm => {
    const made = f(t)
    return made.kind === 'var' ? made : t
  }
  switch (node.kind) {
    case 'term':
      return { ...expr, with: mods, node: { ...node, term: f(node.term) } }
    case 'call':
      return { ...expr, with: mods, node: { ...node, args: node.args.map(f) } }
    case 'some':
      return expr
    case 'someIn':
      return {
        ...expr,
        with: mods,
        node: {
          ...node,
          key: node.key && f(node.key),
          value: f(node.value),
          domain: f(node.domain),
        },
      }
    case 'every':
      return {
        ...expr,
        with: mods,
        node: {
          ...node,
          key: node.key && v(node.key),
          value: v(node.value),
          domain: f(node.domain),
          body: b(node.body),
        },
      }
    case 'body':
      return { ...expr, with: mods, node: { ...node, body: b(node.body) } }
  }
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function termsOf(expr: Expr): Term[] {
  const { node } = expr
  const mods = expr.with.flatMap((w) => [w.target, w.value])
  switch (node.kind) {
    case 'term':
      return [node.term, ...mods]
    case 'call':
      return [...node.args, ...mods]
    case 'some':
      return mods
    case 'someIn':
      return [...(node.key ? [node.key] : []), node.value, node.domain, ...mods]
    case 'every':
      return [node.domain, ...node.body.flatMap(termsOf), ...mods]
    case 'body':
      return [...node.body.flatMap(termsOf), ...mods]
  }
}

export function argNames(args: readonly Term[]): string[] {
  const names: string[] = []
  for (const arg of args) walkTerm(arg, (t) => void (t.kind === 'var' && names.push(t.name)))
  return names
}

/** Names that a body declares itself, not in its closures. */
export function declares(body: Body): string[] {
  const names: string[] = []
  const pattern = (term: Term): void => {
    if (term.kind === 'var') names.push(term.name)
    else if (term.kind === 'array') term.items.forEach(pattern)
    else if (term.kind === 'object') for (const [, v] of term.pairs) pattern(v)
  }
  for (const { node } of body) {
    if (node.kind === 'some') for (const name of node.vars) names.push(name.name)
    else if (node.kind === 'someIn') {
      if (node.key) pattern(node.key)
      pattern(node.value)
    } else if (node.kind === 'call' && node.infix && isOperator(node.operator, 'assign')) {
      const [left] = node.args
      if (left) pattern(left)
    }
  }
  return names
}

export function assigns(expr: Expr, name: string): boolean {
  return declares([expr]).includes(name)
}

export function relocated(ref: RefTerm, loc: Loc): RefTerm {
  const [head, ...rest] = ref.terms
  return { kind: 'ref', loc, terms: [{ ...head, loc }, ...rest.map((t) => ({ ...t, loc }))] }
}
