// What a `with` can change. Functions are planned anew for each set of replacements that they are called under, which
// would repeat all that a test reaches for every test that replaces something. So each function is only planned for those
// replacements that can reach it: what reads a shadowed document or calls a swapped function, and what needs that.
import type { Rule } from '../ast/ast.ts'
import { walkRule } from '../ast/walk.ts'
import { operatorName } from '../ast/operators.ts'
import { nodeAt, type RuleNode } from '../ast/tree.ts'
import { keyed, PLAIN, type Variant } from './variant.ts'

type Nodes = Set<RuleNode>

export class Influence {
  readonly #tree: RuleNode
  /** What is made anew when a node is. */
  readonly #users = new Map<RuleNode, Nodes>()
  readonly #callers = new Map<string, Nodes>()
  /** Nodes by the constant paths they read, each key ended by a NUL. */
  readonly #readers = new Map<string, Nodes>()
  readonly #affected = new Map<string, Nodes>()
  #isBuilt = false

  constructor(tree: RuleNode) {
    this.#tree = tree
  }

  /** The part of a variant that can change what a node gives. */
  on(node: RuleNode, variant: Variant): Variant {
    if (variant.key === '') return variant
    const mocks = new Map([...variant.mocks].filter(([name]) => this.#byCall(name).has(node)))
    const nodes = [node]
    // What stands in for a function is planned under the same shadows.
    for (const mock of mocks.values()) {
      if (mock.to !== 'function') continue
      const [root, ...steps] = mock.operator.terms
      const path = steps.map((step) => (step.kind === 'string' ? step.value : ''))
      const isRule = root.kind === 'var' && root.name === 'data'
      const other = isRule ? nodeAt(this.#tree, path) : undefined
      if (other) nodes.push(other)
    }
    const shadows = variant.shadows.filter((path) =>
      nodes.some((one) => this.#byPath(path).has(one)),
    )
    if (mocks.size === variant.mocks.size && shadows.length === variant.shadows.length) {
      return variant
    }
    return mocks.size + shadows.length === 0 ? PLAIN : keyed({ mocks, shadows })
  }

  #byCall(name: string): Nodes {
    return this.#remembered(`call\u0000${name}`, () => [...(this.#callers.get(name) ?? [])])
  }

  #byPath(path: string): Nodes {
    return this.#remembered(`path\u0000${path}`, () => {
      const own = `${path}\u0000`
      const found: RuleNode[] = above(this.#tree, path.split('\u0000'))
      for (const [read, nodes] of this.#readers) {
        if (read.startsWith(own) || own.startsWith(read)) found.push(...nodes)
      }
      return found
    })
  }

  #remembered(key: string, first: () => readonly RuleNode[]): Nodes {
    let found = this.#affected.get(key)
    if (!found) {
      this.#build()
      found = new Set(first())
      // A set goes on to what is added to it meanwhile.
      for (const node of found) for (const user of this.#users.get(node) ?? []) found.add(user)
      this.#affected.set(key, found)
    }
    return found
  }

  #build(): void {
    if (this.#isBuilt) return
    this.#isBuilt = true
    this.#visit(this.#tree)
  }

  #visit(node: RuleNode): void {
    for (const { rule } of node.rules) this.#rule(node, rule)
    for (const child of node.children.values()) {
      // A document is made of what is below it.
      add(this.#users, child, node)
      this.#visit(child)
    }
  }

  #rule(owner: RuleNode, rule: Rule): void {
    walkRule(
      rule,
      (term) => {
        if (term.kind === 'call') add(this.#callers, operatorName(term.operator) ?? '', owner)
        if (term.kind !== 'ref') return
        const [head, ...steps] = term.terms
        if (head.kind !== 'var' || head.name !== 'data') return
        let read = ''
        let node: RuleNode | undefined = this.#tree
        for (const step of steps) {
          if (step.kind !== 'string') break
          read += `${step.value}\u0000`
          node = node?.children.get(step.value)
          if (node && node.rules.length > 0) add(this.#users, node, owner)
        }
        if (node) add(this.#users, node, owner)
        add(this.#readers, read, owner)
      },
      ({ node }) => {
        if (node.kind === 'call') add(this.#callers, operatorName(node.operator) ?? '', owner)
      },
    )
  }
}

/** The nodes on the way to a path. */
function above(tree: RuleNode, path: readonly string[]): RuleNode[] {
  const found: RuleNode[] = []
  let node: RuleNode | undefined = tree
  for (const key of path) {
    if (!node) break
    found.push(node)
    node = node.children.get(key)
  }
  return found
}

function add<K>(map: Map<K, Nodes>, key: K, node: RuleNode): void {
  const nodes = map.get(key)
  if (nodes) nodes.add(node)
  else map.set(key, new Set([node]))
}
