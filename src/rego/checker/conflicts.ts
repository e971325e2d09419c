import type { Module } from '../ast/ast.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { nodeAt, type PlacedRule, type RuleNode, rulesBelow } from '../ast/tree.ts'

/** Rules that cannot stand for one document, and rules where a package is. */
export function checkConflicts(
  modules: readonly Module[],
  tree: RuleNode,
  diagnostics: Diagnostics,
): void {
  visit(tree, (node) => checkNode(node, diagnostics))
  for (const module of modules) {
    const node = nodeAt(tree, module.package.path)
    if (!node) continue
    for (let n = 1; n <= module.package.path.length; n++) {
      const above = nodeAt(tree, module.package.path.slice(0, n))
      const clash = above?.rules.find(
        ({ suffix, rule }) =>
          suffix.length === 0 &&
          rule.head.ref.length === n - packageLength(above, rule.loc.file, modules),
      )
      if (above && clash && n === module.package.path.length) {
        const message = `package ${module.package.path.join('.')} conflicts with rule ${clash.rule.head.ref[0].name} defined at ${clash.rule.loc.file}:${clash.rule.loc.row}`
        diagnostics.add('rego_type_error', clash.rule.loc, message)
      }
    }
  }
}

function packageLength(node: RuleNode, file: string, modules: readonly Module[]): number {
  return modules.find((m) => m.file === file)?.package.path.length ?? node.path.length
}

function visit(node: RuleNode, f: (node: RuleNode) => void): void {
  f(node)
  for (const child of node.children.values()) visit(child, f)
}

function isSet({ rule }: PlacedRule): boolean {
  return rule.head.key !== undefined && rule.head.value === undefined
}

function checkNode(node: RuleNode, diagnostics: Diagnostics): void {
  const [first] = node.rules
  if (!first) return
  const name = `data.${node.path.join('.')}`
  const { loc } = first.rule
  const below = [...node.children.values()].flatMap(rulesBelow)
  const ground = node.rules.some(({ suffix }) => suffix.length === 0)
  // Within the object of a rule with open keys other rules may be, but no functions.
  const conflicts = ground ? below : below.filter(({ rule }) => rule.head.args)
  if (conflicts.length > 0) {
    const list = conflicts.map(
      ({ path, rule }) => `  rule data.${path.join('.')} at ${rule.loc.file}:${rule.loc.row}`,
    )
    diagnostics.add('rego_type_error', loc, `rule ${name} conflicts with:\n${list.join('\n')}`)
    return
  }
  const kinds = new Set(node.rules.map(isSet))
  const arities = new Set(node.rules.map(({ rule }) => rule.head.args?.length ?? 0))
  const complete = node.rules.filter((r) => !isSet(r) && r.suffix.length === 0).length
  const partial = node.rules.length - complete
  const sets = new Set(node.rules.filter(isSet).map(({ suffix }) => suffix.length === 0))
  if (sets.size > 1 || kinds.size > 1 || arities.size > 1 || (complete > 0 && partial > 0)) {
    diagnostics.add('rego_type_error', loc, `conflicting rules ${name} found`)
    return
  }
  const defaults = node.rules.filter(({ rule }) => rule.isDefault)
  if (defaults.length > 1) {
    const places = defaults.map(({ rule }) => `${rule.loc.file}:${rule.loc.row}`).join(', ')
    // OPA places this at the package, in the file that sorts first.
    const [place] = defaults
      .map((d) => d.module.package.loc)
      .sort((a, b) => (a.file < b.file ? -1 : 1))
    diagnostics.add(
      'rego_type_error',
      place ?? loc,
      `multiple default rules ${name} found at ${places}`,
    )
  }
}
