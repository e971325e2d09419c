// Which templates can match the same path. Each is compared only with those that a trie of their segments leads to, so that
// a thousand tools are not compared with a thousand others.
import type { Tool } from '../model/tool.ts'
import {
  compareTemplates,
  isLiteral,
  isParam,
  parseTemplate,
  textsOf,
  withoutEnd,
} from './template.ts'
import type { RouteSegment } from './types.ts'

interface Entry {
  readonly tool: Tool
  readonly segments: readonly RouteSegment[]
  readonly order: number
}

interface Node {
  readonly literals: Map<string, Node>
  /** By their text, with variables in it. */
  readonly mixed: Map<string, Node>
  param: Node | undefined
  readonly here: Entry[]
}

const emptyNode = (): Node => ({
  literals: new Map(),
  mixed: new Map(),
  param: undefined,
  here: [],
})

export interface Related {
  readonly tool: Tool
  readonly relation: 'same' | 'a_covers_b' | 'b_covers_a' | 'crossing'
}

/** The tools of one directory by what their templates match. */
export class TemplateIndex {
  readonly #roots = new Map<string, Node>()
  #count = 0

  add(tool: Tool): void {
    const parsed = parseTemplate(tool.path)
    if (!parsed.ok) return
    const key = keyOf(tool)
    let node = this.#roots.get(key)
    if (!node) this.#roots.set(key, (node = emptyNode()))
    for (const segment of withoutEnd(parsed.segments)) node = childFor(node, segment)
    node.here.push({ tool, segments: parsed.segments, order: this.#count++ })
  }

  /** Those whose templates match a path that this one matches too, in the order they were added. */
  related(tool: Tool): readonly Related[] {
    const parsed = parseTemplate(tool.path)
    const root = this.#roots.get(keyOf(tool))
    if (!parsed.ok || !root) return []
    let nodes: readonly Node[] = [root]
    for (const segment of withoutEnd(parsed.segments))
      nodes = nodes.flatMap((node) => meeting(node, segment))
    const entries = nodes.flatMap(({ here }) => here).sort((a, b) => a.order - b.order)
    return entries.flatMap((entry) => {
      if (entry.tool.name === tool.name) return []
      const relation = compareTemplates(parsed.segments, entry.segments)
      return relation === 'apart' ? [] : [{ tool: entry.tool, relation }]
    })
  }
}

const keyOf = ({ upstream, method }: Tool): string => `${method} ${upstream}`

// Some upstreams route without regard to case.
const literalKey = (literal: string): string => literal.toLowerCase()

function childFor(node: Node, segment: RouteSegment): Node {
  if (isParam(segment)) return (node.param ??= emptyNode())
  const children = isLiteral(segment) ? node.literals : node.mixed
  const key = literalKey(textsOf(segment).join('{}'))
  const known = children.get(key)
  if (known) return known
  const made = emptyNode()
  children.set(key, made)
  return made
}

function meeting(node: Node, segment: RouteSegment): Node[] {
  const wider = [...node.mixed.values(), ...(node.param ? [node.param] : [])]
  if (!isLiteral(segment)) return [...node.literals.values(), ...wider]
  const same = node.literals.get(literalKey(segment.literal))
  return same ? [same, ...wider] : wider
}
