import type { Loc, RefTerm, Rule, Term } from '../ast/ast.ts'
import { walkRule } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { type PlacedRule, type RuleNode, rulesBelow } from '../ast/tree.ts'

/** A rule must not need itself, through whatever other rules. */
export function checkRecursion(tree: RuleNode, diagnostics: Diagnostics): Needs {
  const all = rulesBelow(tree)
  const edges = new Map<PlacedRule, Set<PlacedRule>>()
  for (const rule of all) edges.set(rule, dependencies(tree, rule))
  report(tree, all, edges, diagnostics)
  const places = new Map(all.map((rule, i) => [rule, i] as const))
  return all.map((rule) => Array.from(edges.get(rule) ?? [], (needed) => places.get(needed) ?? -1))
}

/** For each rule, in the order of the tree, which rules it needs. */
export type Needs = readonly (readonly number[])[]

function report(
  tree: RuleNode,
  all: readonly PlacedRule[],
  edges: ReadonlyMap<PlacedRule, ReadonlySet<PlacedRule>>,
  diagnostics: Diagnostics,
): void {
  const component = components(all, edges)
  for (const rule of all) {
    const own = component.get(rule) ?? []
    if (own.length > 1 || edges.get(rule)?.has(rule)) {
      const cycle = cycleFrom(rule, edges)
      const text = cycle.map(nameOf).join(' -> ')
      diagnostics.add(
        'rego_recursion_error',
        placeOf(tree, rule, new Set(own)),
        `rule ${nameOf(rule)} is recursive: ${text}`,
      )
    }
  }
}

/** The branch of a rule that closes the cycle. */
function placeOf(tree: RuleNode, placed: PlacedRule, cycle: ReadonlySet<PlacedRule>): Loc {
  for (let branch: Rule | undefined = placed.rule; branch; branch = branch.else) {
    const alone = { ...placed, rule: { ...branch, else: undefined } }
    if ([...dependencies(tree, alone)].some((other) => cycle.has(other))) return branch.loc
  }
  return placed.rule.loc
}

function nameOf({ path }: PlacedRule): string {
  return `data.${path.join('.')}`
}

export function dependencies(tree: RuleNode, { rule }: PlacedRule): Set<PlacedRule> {
  const found = new Set<PlacedRule>()
  const add = (ref: RefTerm) => {
    for (const target of rulesOf(tree, ref)) found.add(target)
  }
  walkRule(
    rule,
    (term) => {
      if (term.kind === 'ref' && isData(term)) add(term)
    },
    ({ node }) => {
      if (node.kind === 'call' && isData(node.operator)) add(node.operator)
      return true
    },
  )
  return found
}

export function isData(ref: RefTerm): boolean {
  const [head] = ref.terms
  return head.kind === 'var' && head.name === 'data'
}

/** A step of these may be any name, as far as can be seen here. */
const OPEN: ReadonlySet<Term['kind']> = new Set(['var', 'ref', 'call', 'template'])

/** Rules that a reference may read. */
export function rulesOf(tree: RuleNode, ref: RefTerm): Set<PlacedRule> {
  const found = new Set<PlacedRule>()
  const go = (node: RuleNode, terms: readonly Term[]): void => {
    for (const rule of node.rules) found.add(rule)
    const [term, ...rest] = terms
    if (!term) {
      for (const rule of rulesBelow(node)) found.add(rule)
    } else if (term.kind === 'string') {
      const child = node.children.get(term.value)
      if (child) go(child, rest)
    } else if (OPEN.has(term.kind)) {
      for (const child of node.children.values()) go(child, rest)
    }
  }
  go(tree, ref.terms.slice(1))
  return found
}

/** Tarjan's strongly connected components, without recursion of its own. */
function components(
  all: readonly PlacedRule[],
  edges: ReadonlyMap<PlacedRule, ReadonlySet<PlacedRule>>,
): Map<PlacedRule, readonly PlacedRule[]> {
  const index = new Map<PlacedRule, number>()
  const low = new Map<PlacedRule, number>()
  const open: PlacedRule[] = []
  const isOpen = new Set<PlacedRule>()
  const result = new Map<PlacedRule, readonly PlacedRule[]>()
  for (const start of all) {
    if (index.has(start)) continue
    const work: { rule: PlacedRule; next: Iterator<PlacedRule> }[] = []
    const enter = (rule: PlacedRule) => {
      index.set(rule, index.size)
      low.set(rule, index.get(rule) ?? 0)
      open.push(rule)
      isOpen.add(rule)
      work.push({ rule, next: (edges.get(rule) ?? new Set<PlacedRule>()).values() })
    }
    enter(start)
    while (work.length > 0) {
      const top = work[work.length - 1] as (typeof work)[number]
      const { value, done } = top.next.next()
      if (!done) {
        if (!index.has(value)) enter(value)
        else if (isOpen.has(value))
          low.set(top.rule, Math.min(low.get(top.rule) ?? 0, index.get(value) ?? 0))
        continue
      }
      work.pop()
      const parent = work[work.length - 1]?.rule
      if (parent) low.set(parent, Math.min(low.get(parent) ?? 0, low.get(top.rule) ?? 0))
      if (low.get(top.rule) === index.get(top.rule)) {
        const members: PlacedRule[] = []
        for (let rule = open.pop(); rule; rule = open.pop()) {
          isOpen.delete(rule)
          members.push(rule)
          result.set(rule, members)
          if (rule === top.rule) break
        }
      }
    }
  }
  return result
}

/** A shortest way from a rule back to itself. */
function cycleFrom(
  start: PlacedRule,
  edges: ReadonlyMap<PlacedRule, ReadonlySet<PlacedRule>>,
): PlacedRule[] {
  const before = new Map<PlacedRule, PlacedRule>()
  const queue = [start]
  for (const rule of queue) {
    for (const next of edges.get(rule) ?? []) {
      if (next === start) {
        const way = [start]
        for (let at: PlacedRule | undefined = rule; at && at !== start; at = before.get(at))
          way.unshift(at)
        return [start, ...way]
      }
      if (!before.has(next)) {
        before.set(next, rule)
        queue.push(next)
      }
    }
  }
  return [start]
}
