// What there is under `data`: rules by their paths, and the documents of the directory. A reference is followed through
// both at once, one step at a time; a step whose key is only known when the rule runs goes everywhere it could.
import type { Json, JsonObject } from '../model/json.ts'
import type { Reference, RuleSurvey, Step } from '../rego/index.ts'
import { isObject } from '../bundle/pointer.ts'
import type { Missing } from './rego-input.ts'
import { closest } from '../lib/suggest.ts'

export interface RuleNode {
  readonly children: Map<string, RuleNode>
  readonly rules: RuleSurvey[]
}

/** Rules by path; packages are inner nodes. */
export function ruleTree(rules: Iterable<RuleSurvey>): RuleNode {
  const root: RuleNode = { children: new Map(), rules: [] }
  for (const rule of rules) {
    let node = root
    for (const key of rule.path) {
      const next = node.children.get(key) ?? { children: new Map(), rules: [] }
      node.children.set(key, next)
      node = next
    }
    node.rules.push(rule)
  }
  return root
}

/** The nodes a reference leads to: the rules at and below them are what it reads. */
export function nodesAt(root: RuleNode, steps: readonly Step[]): readonly RuleNode[] {
  let nodes: readonly RuleNode[] = [root]
  const found: RuleNode[] = []
  for (const { key } of steps) {
    // What follows the path of a rule goes into its value.
    found.push(...nodes.filter(({ rules }) => rules.length > 0))
    nodes = nodes.flatMap(({ children }) => {
      if (key === undefined) return [...children.values()]
      const child = children.get(key)
      return child ? [child] : []
    })
  }
  return [...found, ...nodes]
}

/**
 * A reference into the value of a rule whose every definition is a document, as references into those, each with how many
 * of its steps are the rule's own. Empty where it is none, or leads to no such rule.
 */
export function readsThroughRules(
  tree: RuleNode,
  read: Reference,
): readonly (readonly [Reference, number])[] {
  if (read.root !== 'data') return []
  let node: RuleNode | undefined = tree
  for (const [at, { key }] of read.steps.entries()) {
    node = key === undefined ? undefined : node?.children.get(key)
    if (!node) return []
    if (node.rules.length === 0) continue
    const rest = read.steps.slice(at + 1)
    const isName = node.rules.every(({ makes, isFunction }) => makes === 'value' && !isFunction)
    if (!isName || node.children.size > 0 || rest.length === 0) return []
    const documents = node.rules.flatMap((rule) => rule.documents)
    const found = documents.flatMap((one) => (one ? [one] : []))
    if (found.length < documents.length) return []
    return found.map(
      ({ root, steps }) => [{ ...read, root, steps: [...steps, ...rest] }, steps.length] as const,
    )
  }
  return []
}

// Of documents that are tables, so many rows are looked at for a reference that goes through all.
const ROWS_MAX = 1_000

/** Where a reference can be: at a rule's path, inside a document, or in both. */
interface Place {
  readonly node: RuleNode | undefined
  readonly document: Json | undefined
}

/** Where a reference into `data` leaves everything there is; undefined when it does not. */
export function missingData(
  root: RuleNode,
  data: JsonObject,
  steps: readonly Step[],
): Missing | undefined {
  let places: readonly Place[] = [{ node: root, document: data }]
  for (const [at, { key }] of steps.entries()) {
    if (places.some(isOpen)) return undefined
    const next = places.flatMap((place) => stepInto(place, key))
    if (next.length === 0) {
      const known = [...new Set(places.flatMap(membersOf))]
      return { at, known, near: key === undefined ? undefined : closest(key, known) }
    }
    places = next
  }
  return undefined
}

// The value of a rule may be anything, and a table that is empty says nothing about its keys.
function isOpen({ node, document }: Place): boolean {
  if (node && node.rules.length > 0) return true
  if (document === null) return true
  if (Array.isArray(document)) return document.length === 0
  return isObject(document) && Object.keys(document).length === 0 && !node?.children.size
}

function stepInto({ node, document }: Place, key: string | undefined): readonly Place[] {
  if (key !== undefined) {
    const inner = isObject(document) && Object.hasOwn(document, key) ? document[key] : undefined
    const child = node?.children.get(key)
    return inner === undefined && !child ? [] : [{ node: child, document: inner }]
  }
  const members = typeof document === 'object' && document !== null ? Object.values(document) : []
  return [
    ...[...(node?.children.values() ?? [])].map((child) => ({ node: child, document: undefined })),
    ...members.slice(0, ROWS_MAX).map((inner: Json) => ({ node: undefined, document: inner })),
    ...(members.length > ROWS_MAX ? [{ node: undefined, document: null }] : []),
  ]
}

const MEMBERS_MAX = 1_000 // to choose a suggestion from

const membersOf = ({ node, document }: Place): readonly string[] => [
  ...(node?.children.keys() ?? []),
  ...(isObject(document) ? Object.keys(document).slice(0, MEMBERS_MAX) : []),
]

/** Whether two references can mean the same document, or one a part of the other. */
export const overlap = (a: Reference, b: Reference): boolean =>
  a.root === b.root &&
  a.steps.every(({ key }, at) => {
    const other = b.steps[at]?.key
    return key === undefined || other === undefined || key === other
  })
