// What `print` and template strings show must have a value already: their operands bind nothing, so what stands in them
// must be declared outside. And what gives no value cannot be one.
import type { Body, Expr, Rule, Term } from '../ast/ast.ts'
import { walkRule, walkTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import { GENERATED } from '../ast/names.ts'
import { type SafetyChecker, termVars } from './safety.ts'
import type { TypeOf } from './type-env.ts'

type Vars = ReadonlySet<string>

/** Calls of what gives no value where one is needed. */
export function checkVoidCalls(
  rules: readonly Rule[],
  typeOf: TypeOf,
  diagnostics: Diagnostics,
): void {
  for (const rule of rules) {
    walkRule(rule, (term) => {
      const name = term.kind === 'call' ? operatorName(term.operator) : undefined
      const type = name === undefined ? undefined : typeOf(name)
      if (type && !type.result)
        diagnostics.add('rego_type_error', term.loc, `${name} used as value`)
    })
  }
}

export class DeclaredChecker {
  readonly #safety: SafetyChecker
  readonly #diagnostics: Diagnostics
  readonly #original: ReadonlyMap<string, string>

  constructor(
    safety: SafetyChecker,
    diagnostics: Diagnostics,
    original: ReadonlyMap<string, string>,
  ) {
    this.#safety = safety
    this.#diagnostics = diagnostics
    this.#original = original
  }

  templates(rule: Rule): void {
    const args = this.#args(rule)
    const known = this.#templatesOf(rule.body, args)
    const { ref, key, value } = rule.head
    for (const term of [...ref.slice(1), key, value]) if (term) this.#template(term, known)
    if (rule.else) this.templates(rule.else)
  }

  prints(rule: Rule): void {
    const args = this.#args(rule)
    for (const term of [rule.head.key, rule.head.value]) if (term) this.#printsIn(term, args)
    this.#prints(rule.body, args)
    if (rule.else) this.prints(rule.else)
  }

  #args({ head }: Rule): Vars {
    return new Set(['input', 'data', ...(head.args ?? []).flatMap((arg) => [...termVars(arg)])])
  }

  /** Everything that a body binds is known in its templates. */
  #templatesOf(body: Body, around: Vars): Vars {
    const known = new Set([...around, ...this.#safety.bound(body, around)])
    for (const expr of body) {
      const { node } = expr
      if (node.kind === 'every') {
        this.#template(node.domain, known)
        const names = [node.value.name, ...(node.key ? [node.key.name] : [])]
        this.#templatesOf(node.body, new Set([...known, ...names]))
      } else if (node.kind === 'body') this.#templatesOf(node.body, known)
      for (const term of termsOf(expr)) this.#template(term, known)
    }
    return known
  }

  #template(term: Term, known: Vars): void {
    walkTerm(term, (t) => {
      if (t.kind === 'template') {
        for (const part of t.parts) if (part.kind === 'expr') this.#part(part, known)
        return false
      }
      if (!t.kind.endsWith('Comprehension') || !('body' in t)) return true
      const inner = this.#templatesOf(t.body, known)
      const heads = t.kind === 'objectComprehension' ? [t.key, t.value] : [t.term]
      for (const head of heads) this.#template(head, inner)
      return false
    })
  }

  #part({ node }: Expr, known: Vars): void {
    const terms = node.kind === 'term' ? [node.term] : node.kind === 'call' ? node.args : []
    for (const term of terms) {
      if (node.kind === 'term' && term.kind === 'var') continue
      this.#undeclared(term, known)
      this.#template(term, known)
    }
  }

  #undeclared(term: Term, known: Vars): void {
    for (const name of termVars(term)) {
      if (known.has(name)) continue
      const shown = this.#original.get(name) ?? name
      const what = shown.startsWith('$') ? '_' : shown
      this.#diagnostics.add('rego_compile_error', term.loc, `var ${what} is undeclared`)
    }
  }

  #prints(body: Body, around: Vars): void {
    for (const [i, expr] of body.entries()) {
      const { node } = expr
      const before = body.slice(0, i)
      const known = new Set([
        ...around,
        ...this.#safety.bound(before, around),
        ...generatedIn(before),
      ])
      if (node.kind === 'call' && isOperator(node.operator, 'print')) {
        for (const arg of node.args) this.#undeclared(arg, known)
        continue
      }
      if (node.kind === 'every') {
        const names = [node.value.name, ...(node.key ? [node.key.name] : [])]
        this.#prints(node.body, new Set([...known, ...names]))
      } else if (node.kind === 'body') this.#prints(node.body, known)
      for (const term of termsOf(expr)) this.#printsIn(term, known)
    }
  }

  #printsIn(term: Term, known: Vars): void {
    walkTerm(term, (t) => {
      if (!t.kind.endsWith('Comprehension') || !('body' in t)) return true
      this.#prints(t.body, known)
      return false
    })
  }
}

function termsOf({ node, with: mods }: Expr): readonly Term[] {
  const given = mods.map(({ value }) => value)
  switch (node.kind) {
    case 'term':
      return [node.term, ...given]
    case 'call':
      return [...node.args, ...given]
    case 'someIn':
      return [node.value, node.domain, ...given]
    case 'every':
      return [node.domain, ...given]
    default:
      return given
  }
}

function generatedIn(body: Body): string[] {
  const names: string[] = []
  for (const expr of body) {
    for (const term of termsOf(expr)) {
      walkTerm(
        term,
        (t) => void (t.kind === 'var' && t.name.startsWith(GENERATED) && names.push(t.name)),
      )
    }
  }
  return names
}
