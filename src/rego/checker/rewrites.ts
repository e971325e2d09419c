// Calls that never reach evaluation as such: `print`, and what a rule asks about its own annotations.
import type { Body, Loc, Module, Rule, Term } from '../ast/ast.ts'
import { trueExpr } from '../ast/true.ts'
import { mapTerm } from '../ast/walk.ts'
import { operatorName } from '../ast/operators.ts'
import type { Metadata } from './metadata.ts'
import { mapExpr } from './names.ts'

/** Removes `print`: like OPA without its print hook, which does not evaluate the operands either. */
export function dropPrints(rule: Rule): Rule {
  const term = (t: Term): Term => mapTerm(t, term, body)
  const body = (b: Body): Body => {
    const kept = b.filter(
      ({ node }) => !(node.kind === 'call' && operatorName(node.operator) === 'print'),
    )
    const [first] = b
    if (kept.length === 0 && first) return [trueExpr(first.loc)]
    return kept.map((expr) => {
      const { node } = expr
      if (node.kind === 'every')
        return mapExpr({ ...expr, node: { ...node, body: body(node.body) } }, term)
      if (node.kind === 'body') return { ...expr, node: { ...node, body: body(node.body) } }
      return mapExpr(expr, term)
    })
  }
  return { ...rule, body: body(rule.body), else: rule.else && dropPrints(rule.else) }
}

/** `rego.metadata.rule()` and `.chain()` are constants of the rule that asks. */
export function metadataCalls(rule: Rule, module: Module, metadata: Metadata): Rule {
  const term = (t: Term): Term => {
    if (t.kind === 'call') {
      const name = t.args.length === 0 ? operatorName(t.operator) : undefined
      if (name === 'rego.metadata.chain') return toTerm(metadata.chain(rule, module), t.loc)
      if (name === 'rego.metadata.rule') return toTerm(metadata.rule(rule, module), t.loc)
    }
    const inner = mapTerm(t, term, (b) => b.map((e) => mapExpr(e, term)))
    return inner
  }
  const { head } = rule
  const body = rule.body.map((e) => {
    const { node } = e
    if (node.kind === 'call') {
      const name = operatorName(node.operator)
      const replaced =
        name === 'rego.metadata.chain'
          ? metadata.chain(rule, module)
          : name === 'rego.metadata.rule'
            ? metadata.rule(rule, module)
            : undefined
      if (replaced !== undefined) {
        const value = toTerm(replaced, e.loc)
        const [output] = node.args
        if (!output) return { ...e, node: { kind: 'term', term: value } as const }
        const loc = e.loc
        const operator = { kind: 'ref', loc, terms: [{ kind: 'var', name: 'eq', loc }] } as const
        return {
          ...e,
          node: { kind: 'call', operator, args: [output, value], infix: true } as const,
        }
      }
    }
    return mapExpr(e, term)
  })
  return {
    ...rule,
    head: { ...head, key: head.key && term(head.key), value: head.value && term(head.value) },
    body,
    else: rule.else && metadataCalls(rule.else, module, metadata),
  }
}

function toTerm(value: unknown, loc: Loc): Term {
  if (value === null || value === undefined) return { kind: 'null', loc }
  if (typeof value === 'boolean') return { kind: 'boolean', value, loc }
  if (typeof value === 'number') return { kind: 'number', text: String(value), loc }
  if (typeof value === 'string') return { kind: 'string', value, loc }
  if (Array.isArray(value)) return { kind: 'array', items: value.map((v) => toTerm(v, loc)), loc }
  const pairs = Object.entries(value).map(([k, v]) => [toTerm(k, loc), toTerm(v, loc)] as const)
  return { kind: 'object', pairs, loc }
}
