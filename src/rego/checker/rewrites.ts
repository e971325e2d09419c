// Calls that never reach evaluation as such: `print`, and what a rule asks about its own annotations.
import type { Annotations, Body, Expr, Loc, Module, Rule, Term } from '../ast/ast.ts'
import { mapTerm } from '../ast/walk.ts'
import { operatorName } from '../parser/terms.ts'
import { mapExpr } from './names.ts'

/** Removes `print`: like OPA without its print hook, which does not evaluate the operands either. */
export function dropPrints(rule: Rule): Rule {
  const term = (t: Term): Term => mapTerm(t, term, body)
  const body = (b: Body): Body => {
    const kept = b.filter(
      ({ node }) => !(node.kind === 'call' && operatorName(node.operator) === 'print'),
    )
    const [first] = b
    if (kept.length === 0 && first) return [trueExpr(first)]
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

function trueExpr(like: Expr): Expr {
  const term = { kind: 'boolean', value: true, loc: like.loc } as const
  return {
    kind: 'expr',
    node: { kind: 'term', term },
    negated: false,
    with: [],
    loc: like.loc,
    generated: true,
  }
}

/** `rego.metadata.rule()` and `.chain()` are constants of the rule that asks. */
export function metadataCalls(rule: Rule, module: Module, modules: readonly Module[]): Rule {
  const term = (t: Term): Term => {
    if (t.kind === 'call') {
      const name = t.args.length === 0 ? operatorName(t.operator) : undefined
      if (name === 'rego.metadata.chain') return toTerm(chainOf(rule, module, modules), t.loc)
      if (name === 'rego.metadata.rule') return toTerm(own(rule, module), t.loc)
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
          ? chainOf(rule, module, modules)
          : name === 'rego.metadata.rule'
            ? own(rule, module)
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
    else: rule.else && metadataCalls(rule.else, module, modules),
  }
}

interface Link {
  readonly path: readonly string[]
  readonly annotations?: Record<string, unknown>
}

function pathOf(rule: Rule, module: Module): string[] {
  const names = rule.head.ref.map((t) =>
    t.kind === 'string' ? t.value : t.kind === 'var' ? t.name : '',
  )
  return ['data', ...module.package.path, ...names].slice(1)
}

function annotationsFor(rule: Rule, module: Module): Annotations[] {
  return module.annotations.filter(({ scope, loc }) => {
    if (scope !== 'rule' && scope !== 'document') return false
    const next = module.rules
      .filter((r) => r.loc.row > loc.row)
      .sort((a, b) => a.loc.row - b.loc.row)[0]
    return next !== undefined && next.loc.row === rule.loc.row
  })
}

function own(rule: Rule, module: Module): unknown {
  const found = annotationsFor(rule, module).find(({ scope }) => scope === 'rule')
  return found ? plain(found) : {}
}

function chainOf(rule: Rule, module: Module, modules: readonly Module[]): Link[] {
  const path = pathOf(rule, module)
  const links: Link[] = []
  const forRule = annotationsFor(rule, module).filter(({ scope }) => scope === 'rule')
  const [first] = forRule
  links.push(first ? { path, annotations: plain(first) } : { path })
  for (const other of modules) {
    if (other.package.path.join('.') !== module.package.path.join('.')) continue
    for (const r of other.rules) {
      if (pathOf(r, other).join('.') !== path.join('.')) continue
      for (const a of annotationsFor(r, other)) {
        if (a.scope === 'document') links.push({ path, annotations: plain(a) })
      }
    }
  }
  for (const other of modules) {
    if (other.package.path.join('.') !== module.package.path.join('.')) continue
    for (const a of other.annotations) {
      if (a.scope === 'package') links.push({ path: module.package.path, annotations: plain(a) })
    }
  }
  for (let n = module.package.path.length; n > 0; n--) {
    const prefix = module.package.path.slice(0, n)
    for (const other of modules) {
      if (other.package.path.join('.') !== prefix.join('.')) continue
      for (const a of other.annotations) {
        if (a.scope === 'subpackages') links.push({ path: prefix, annotations: plain(a) })
      }
    }
  }
  return links
}

/** Annotations as the document a policy sees. */
export function plain(a: Annotations): Record<string, unknown> {
  const { title, description, organizations, authors, custom, entrypoint, scope } = a
  return {
    scope,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(organizations ? { organizations } : {}),
    ...(authors
      ? { authors: authors.map(({ name, email }) => ({ name, ...(email ? { email } : {}) })) }
      : {}),
    ...(a.relatedResources ? { related_resources: a.relatedResources } : {}),
    ...(a.schemas ? { schemas: a.schemas } : {}),
    ...(entrypoint ? { entrypoint } : {}),
    ...(custom && Object.keys(custom).length > 0 ? { custom } : {}),
    ...(a.labels && Object.keys(a.labels).length > 0 ? { labels: a.labels } : {}),
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
