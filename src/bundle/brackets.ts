import { GatewayError } from '../errors.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { readScalar, scalarText, schemaOf, typesOf } from './scalars.ts'

// Fields whose names say where in a value they stand: `a[b]=c`, `a[]=1`, `a[0][b]=c`, and `a=1&a=2` for a list. How
// servers read them differs in all that is not said plainly, so of each value one spelling is written, and only those
// are read of which every server makes the same.

/** A name and its text, decoded. */
export type Pair = readonly [name: string, text: string]

const DEPTH_MAX = 32

/** Splits `a[b][]` into `a` and its steps; undefined where brackets do not pair. */
export function stepsIn(name: string): { base: string; steps: readonly string[] } | undefined {
  const at = name.indexOf('[')
  if (at < 0) return name.includes(']') ? undefined : { base: name, steps: [] }
  const [base, rest] = [name.slice(0, at), name.slice(at)]
  if (base === '' || base.includes(']') || !/^(?:\[[^[\]]*\])+$/.test(rest)) return undefined
  const steps = rest.slice(1, -1).split('][')
  return steps.length > DEPTH_MAX ? undefined : { base, steps }
}

/** What is said below one name. */
class Node {
  readonly texts: string[] = []
  readonly kids = new Map<string, Node>()
}

/** The value that these fields of one name say, by its schema. @throws GatewayError invalid_request */
export function readBrackets(
  what: string,
  pairs: readonly { readonly steps: readonly string[]; readonly text: string }[],
  schema: JsonObject,
  root: JsonObject,
): Json {
  const top = new Node()
  for (const { steps, text } of pairs) insert(what, top, steps, text)
  return toValue(what, top, schema, root)
}

function insert(what: string, top: Node, steps: readonly string[], text: string): void {
  let node = top
  for (const [at, step] of steps.entries()) {
    // `a[][b]`: which of the list it belongs to, servers disagree on.
    if (step === '' && at < steps.length - 1) throw bad(what, 'has `[]` before its last part')
    const known = node.kids.get(step) ?? new Node()
    node.kids.set(step, known)
    node = known
  }
  node.texts.push(text)
}

function toValue(what: string, node: Node, schema: JsonObject, root: JsonObject): Json {
  if (node.texts.length > 0 && node.kids.size > 0) throw bad(what, 'is both a text and a list')
  if (node.kids.size === 0) return ofTexts(what, node.texts, schema, root)
  const types = typesOf(schema, root)
  const isList = node.kids.has('') || (types.has('array') && !types.has('object'))
  return isList ? listOf(what, node, schema, root) : objectOf(what, node, schema, root)
}

function ofTexts(
  what: string,
  texts: readonly string[],
  schema: JsonObject,
  root: JsonObject,
): Json {
  const types = typesOf(schema, root)
  const [only = ''] = texts
  if (texts.length === 1 && (types.size !== 1 || !types.has('array'))) {
    const plain = [...types].filter((type) => type !== 'null' && type !== 'array')
    if (plain.length > 0 || types.size === 0) return leaf(what, only, schema, root)
  }
  if (!types.has('array')) throw bad(what, 'is given twice')
  const items = schemaOf(schema, 'items', root) ?? {}
  return texts.map((text) => leaf(what, text, items, root))
}

function leaf(what: string, text: string, schema: JsonObject, root: JsonObject): Json {
  const value = readScalar(schema, root, text)
  if (value !== undefined) return value
  const types = [...typesOf(schema, root)].filter((type) => type !== 'null')
  throw bad(what, `does not spell ${types.join(' or ')}`)
}

// `a[]=1&a[]=2`, or `a[0]=1&a[1]=2` in order and without a gap.
function listOf(what: string, node: Node, schema: JsonObject, root: JsonObject): Json {
  const items = schemaOf(schema, 'items', root) ?? {}
  const appended = node.kids.get('')
  if (appended) {
    if (node.kids.size > 1) throw bad(what, 'counts its items and does not')
    if (!typesOf(schema, root).has('array')) throw bad(what, 'is no list')
    return appended.texts.map((text) => leaf(what, text, items, root))
  }
  return [...node.kids].map(([step, kid], index) => {
    if (step !== String(index)) throw bad(what, 'does not count its items from 0, in order')
    return toValue(what, kid, items, root)
  })
}

function objectOf(what: string, node: Node, schema: JsonObject, root: JsonObject): Json {
  const members = [...node.kids].map(([name, kid]) => [
    name,
    toValue(
      `${what}[${name.slice(0, 40)}]`,
      kid,
      schemaOf(schema, { member: name }, root) ?? {},
      root,
    ),
  ])
  return Object.fromEntries(members) as JsonObject
}

/**
 * The fields that say a value; a null says nothing. `repeats`: a list of plain values has its name as often as it has
 * items. @throws GatewayError invalid_request for what fields cannot say
 */
export function bracketPairs(name: string, value: Json, repeats: boolean): readonly Pair[] {
  if (value === null) return []
  if (typeof value !== 'object') return [[name, scalarText(`\`${name.slice(0, 80)}\``, value)]]
  if (Array.isArray(value)) return listPairs(name, value as readonly Json[], repeats)
  const members = Object.entries(value as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1))
  if (members.length === 0)
    throw bad(`\`${name.slice(0, 80)}\``, 'is empty, which cannot be said here')
  return members.flatMap(([key, one]) => {
    if (!/^[^[\]]+$/.test(key))
      throw bad(`\`${name.slice(0, 80)}\``, 'has a member with no name to write')
    return bracketPairs(`${name}[${key}]`, one, false)
  })
}

function listPairs(name: string, items: readonly Json[], repeats: boolean): readonly Pair[] {
  const shown = `\`${name.slice(0, 80)}\``
  if (items.length === 0) throw bad(shown, 'is empty, which cannot be said here')
  if (items.some((item) => item === null))
    throw bad(shown, 'holds a null, which cannot be said here')
  const isPlain = items.every((item) => typeof item !== 'object')
  if (isPlain) {
    return items.map((item) => [repeats ? name : `${name}[]`, scalarText(shown, item)])
  }
  return items.flatMap((item, index) => bracketPairs(`${name}[${index}]`, item, false))
}

const bad = (what: string, why: string): GatewayError =>
  new GatewayError('invalid_request', `${what} ${why}`)
