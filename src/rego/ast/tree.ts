// The tree of rules by path: packages are inner nodes, rules sit where their reference stops being constant.
import type { Module, Rule, Term } from './ast.ts'

export interface PlacedRule {
  readonly rule: Rule
  readonly module: Module
  /** Terms of the head's reference behind the constant part. */
  readonly suffix: readonly Term[]
  readonly path: readonly string[]
}

export interface RuleNode {
  readonly path: readonly string[]
  readonly children: Map<string, RuleNode>
  readonly rules: PlacedRule[]
  /** A package of some module ends here. */
  isPackage: boolean
}

export function emptyTree(): RuleNode {
  return { path: [], children: new Map(), rules: [], isPackage: false }
}

export function nodeAt(root: RuleNode, path: readonly string[]): RuleNode | undefined {
  let node: RuleNode | undefined = root
  for (const key of path) node = node?.children.get(key)
  return node
}

function grow(root: RuleNode, path: readonly string[]): RuleNode {
  let node = root
  for (const key of path) {
    let child = node.children.get(key)
    if (!child) {
      child = { path: [...node.path, key], children: new Map(), rules: [], isPackage: false }
      node.children.set(key, child)
    }
    node = child
  }
  return node
}

/** The constant part of a rule's reference, and what is behind it. */
export function splitRef(module: Module, rule: Rule): { path: string[]; suffix: Term[] } {
  const [name, ...rest] = rule.head.ref
  const path = [...module.package.path, name.name]
  let i = 0
  for (; i < rest.length; i++) {
    const term = rest[i] as Term
    if (term.kind !== 'string') break
    path.push(term.value)
  }
  return { path, suffix: rest.slice(i) }
}

export function buildTree(modules: readonly Module[]): RuleNode {
  const root = emptyTree()
  for (const module of modules) {
    grow(root, module.package.path).isPackage = true
    for (const rule of module.rules) {
      const { path, suffix } = splitRef(module, rule)
      grow(root, path).rules.push({ rule, module, suffix, path })
    }
  }
  return root
}

/** Whether a rule at this node has keys that are only known when it runs: then everything below is part of one object. */
export function isDynamic(node: RuleNode): boolean {
  return node.rules.some(({ suffix }) => suffix.length > 0)
}

export function isFunction(node: RuleNode): boolean {
  return node.rules.some(({ rule }) => rule.head.args !== undefined)
}

/** Whether rules live here or below. */
export function hasRules(node: RuleNode): boolean {
  if (node.rules.length > 0) return true
  for (const child of node.children.values()) if (hasRules(child)) return true
  return false
}

/** Whether the document at a node is virtual: rules or packages, even empty ones, are here or below. */
export function hasContent(node: RuleNode): boolean {
  if (node.rules.length > 0 || node.isPackage) return true
  for (const child of node.children.values()) if (hasContent(child)) return true
  return false
}

export function rulesBelow(node: RuleNode): PlacedRule[] {
  return [...node.rules, ...[...node.children.values()].flatMap(rulesBelow)]
}
