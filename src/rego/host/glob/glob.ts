// Globs put together from matchers the way OPA's library does it, shortcuts included: they decide which globs match.
import { bytesOf, runes } from './bytes.ts'
import {
  Any,
  AnyOf,
  Contains,
  EveryOf,
  type Matcher,
  Max,
  Min,
  Nothing,
  One,
  Prefix,
  PrefixAny,
  PrefixSuffix,
  Row,
  Suffix,
  SuffixAny,
  Super,
  Text,
  Tree,
} from './match.ts'
import { type Node, node, parseGlob, sameNode } from './parse.ts'

const CACHE_MAX = 200
const cache = new Map<string, Matcher>()

export function matchGlob(glob: string, delimiters: readonly string[], s: string): boolean {
  const key = `${glob}\0${delimiters.join('')}`
  let matcher = cache.get(key)
  if (!matcher) {
    matcher = compile(parseGlob(glob), delimiters.map(bytesOf))
    if (cache.size >= CACHE_MAX) cache.clear()
    cache.set(key, matcher)
  }
  return matcher.match(bytesOf(s))
}

function runesOf(text = ''): string[] {
  return Array.from(runes(text), ([, rune]) => rune)
}

function compile(tree: Node, separators: readonly string[]): Matcher {
  return shortened(compiled(tree, separators))
}

function compiled(tree: Node, separators: readonly string[]): Matcher {
  const { kind, children, text = '', to = '', not = false } = tree
  const inner = () => children.map((child) => compile(child, separators))
  if (kind === 'anyOf') {
    const simpler = withoutCommon(children)
    return simpler ? compile(simpler, separators) : new AnyOf(inner())
  }
  if (kind === 'pattern') return children.length === 0 ? new Nothing() : joined(minimized(inner()))
  if (kind === 'any') return new Any(separators)
  if (kind === 'super') return new Super()
  if (kind === 'text') return new Text(text)
  if (kind === 'single')
    return new One('single', separators, false, (rune) => !separators.includes(rune))
  if (kind === 'nothing') return new Nothing()
  if (kind === 'range')
    return new One('range', [], not, (rune) => (rune >= text && rune <= to) !== not)
  const listed = runesOf(text)
  return new One('list', listed, not, (rune) => listed.includes(rune) !== not)
}

function shortened(m: Matcher): Matcher {
  if (m instanceof Any) return m.separators.length === 0 ? new Super() : m
  if (m instanceof AnyOf) return m.matchers.length === 1 ? (m.matchers[0] as Matcher) : m
  if (m instanceof One) {
    const [only] = m.runes
    return m.kind === 'list' && !m.not && m.runes.length === 1 ? new Text(only ?? '') : m
  }
  return m instanceof Tree ? shortenedTree(m) : m
}

function shortenedTree(tree: Tree): Matcher {
  const left = tree.left && shortened(tree.left)
  const right = tree.right && shortened(tree.right)
  const m = new Tree(tree.value, left, right)
  if (!(m.value instanceof Text)) return m
  const { text } = m.value
  if (!left && !right) return new Text(text)
  if (left instanceof Super && right instanceof Super) return new Contains(text, false)
  if (left instanceof Super && !right) return new Suffix(text)
  if (right instanceof Super && !left) return new Prefix(text)
  if (!left && right instanceof Suffix) return new PrefixSuffix(text, right.suffix)
  if (!right && left instanceof Prefix) return new PrefixSuffix(left.prefix, text)
  if (!right && left instanceof Any) return new SuffixAny(text, left.separators)
  if (!left && right instanceof Any) return new PrefixAny(text, right.separators)
  return m
}

/** Matchers one behind the other, around the last of the longest. */
function joined(matchers: readonly Matcher[]): Matcher {
  const [first] = matchers
  if (matchers.length === 1 && first) return first
  const glued = glue(matchers)
  if (glued) return glued
  let index = -1
  let longest = -1
  for (const [i, { size }] of matchers.entries()) {
    if (size !== -1 && size >= longest) [index, longest] = [i, size]
  }
  if (index < 0) return new Tree(first as Matcher, undefined, joined(matchers.slice(1)))
  const [left, right] = [matchers.slice(0, index), matchers.slice(index + 1)]
  return new Tree(
    matchers[index] as Matcher,
    left.length > 0 ? joined(left) : undefined,
    right.length > 0 ? joined(right) : undefined,
  )
}

function glue(matchers: readonly Matcher[]): Matcher | undefined {
  if (matchers.length < 2) return undefined
  const every = glueAsEvery(matchers)
  if (every) return every
  return matchers.some(({ size }) => size === -1) ? undefined : new Row(matchers)
}

function glueAsEvery(matchers: readonly Matcher[]): Matcher | undefined {
  let separators: readonly string[] | undefined
  let hasAny = false
  let hasSuper = false
  let least = 0
  for (const m of matchers) {
    let own: readonly string[] = []
    if (m instanceof Super) hasSuper = true
    else if (m instanceof Any) {
      hasAny = true
      own = m.separators
    } else if (m instanceof One && (m.kind === 'single' || (m.kind === 'list' && m.not))) {
      least++
      own = m.runes
    } else return undefined
    separators ??= own
    if (own.join(' ') !== separators.join(' ')) return undefined
  }
  const apart = separators ?? []
  if (hasSuper && !hasAny && least === 0) return new Super()
  if (hasAny && !hasSuper && least === 0) return new Any(apart)
  if ((hasAny || hasSuper) && least > 0 && apart.length === 0) return new Min(least)
  const every: Matcher[] = []
  if (least > 0) {
    every.push(new Min(least))
    if (!hasAny && !hasSuper) every.push(new Max(least))
  }
  if (apart.length > 0) every.push(new Contains(apart.join(''), true))
  return new EveryOf(every)
}

function minimized(matchers: readonly Matcher[]): readonly Matcher[] {
  let done: Matcher | undefined
  let [left, right, count] = [0, 0, 0]
  for (let l = 0; l < matchers.length; l++) {
    for (let r = matchers.length; r > l; r--) {
      const glued = glue(matchers.slice(l, r))
      if (!glued) continue
      const isLonger = done && done.size > -1 && glued.size > -1 && glued.size > done.size
      if (done && isLonger !== true && count >= r - l) continue
      done = glued
      ;[left, right, count] = [l, r, r - l]
    }
  }
  if (!done) return matchers
  const next = [...matchers.slice(0, left), done, ...matchers.slice(right)]
  return next.length === matchers.length ? next : minimized(next)
}

/** Alternatives without what all of them begin or end with, which then stands beside them once. */
function withoutCommon(alternatives: readonly Node[]): Node | undefined {
  const [left, right] = commonOf(alternatives)
  if (left.length === 0 && right.length === 0) return undefined
  const rest: Node[] = []
  for (const { children } of alternatives) {
    const own = children.slice(left.length, children.length - right.length)
    const made = own.length === 0 ? node('nothing') : node('pattern', own)
    if (!rest.some((other) => sameNode(other, made))) rest.push(made)
  }
  const parts: Node[] = []
  if (left.length > 0) parts.push(node('pattern', left))
  const [only] = rest
  if (rest.length === 1 && only && only.kind !== 'nothing') parts.push(only)
  else if (rest.length > 1) parts.push(node('anyOf', rest))
  if (right.length > 0) parts.push(node('pattern', right))
  return node('pattern', parts)
}

function commonOf(nodes: readonly Node[]): [left: Node[], right: Node[]] {
  if (nodes.length < 2) return [[], []]
  const least = nodes.reduce((a, b) => (b.children.length < a.children.length ? b : a))
  const { length } = least.children
  const [left, right]: [Node[], Node[]] = [[], []]
  let isLeft = true
  let isRight = true
  let total = 0
  for (let i = 0, j = length - 1; total < length && j >= 0 && (isLeft || isRight); i++, j--) {
    const [a, b] = [least.children[i] as Node, least.children[j] as Node]
    for (const other of nodes) {
      if (!isLeft && !isRight) break
      if (other === least) continue
      const { children } = other
      isLeft &&= sameNode(a, children[i] as Node)
      // What is common from the left is not looked for from the right.
      isRight &&= (!isLeft || j > i) && sameNode(b, children[j + children.length - length] as Node)
    }
    if (isLeft) {
      total++
      left.push(a)
    }
    if (isRight) {
      total++
      right.unshift(b)
    }
  }
  return [left, right]
}
