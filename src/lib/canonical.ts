import { hash } from 'node:crypto'
import type { Json, JsonObject } from '../model/json.ts'

/**
 * RFC 8785 (JCS) text of a JSON value. Keys sort by UTF-16 code units and numbers print as
 * ECMAScript does, which is what JSON.stringify gives for each leaf.
 * @throws RangeError on a lone surrogate or a number that JSON cannot hold.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return canonicalString(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError('number outside JSON')
    return JSON.stringify(value)
  }
  if (value === null || typeof value === 'boolean') return String(value)
  if (value instanceof CanonicalText) return value.text
  return Array.isArray(value) ? canonicalArray(value) : canonicalObject(value as JsonObject)
}

/** A value whose canonical text is known: it stands in larger values and is not written anew. */
export class CanonicalText {
  readonly text: string

  private constructor(text: string) {
    this.text = text
  }

  static of(value: Json): CanonicalText {
    return new CanonicalText(canonicalJson(value))
  }

  /** As a value, for whoever looks at what it stands in. */
  get json(): Json {
    return this as unknown as Json
  }

  toJSON(): Json {
    return JSON.parse(this.text) as Json
  }
}

/** The text of an object that has the members of both; where both have one, that of `over` counts. */
export function canonicalMerged(object: JsonObject, over: JsonObject): string {
  const [own, others] = [sortedKeys(object), sortedKeys(over)]
  let text = '{'
  let [at, next] = [0, 0]
  // Objects of some twenty members are slow to join and then take apart: two sorted lists become one.
  while (at < own.length || next < others.length) {
    const [mine, other] = [own[at], others[next]]
    const isOther = other !== undefined && (mine === undefined || other <= mine)
    const name = (isOther ? other : mine) as string
    if (mine === name) at++
    if (isOther) next++
    const value = (isOther ? over[name] : object[name]) as Json
    text += `${text === '{' ? '' : ','}${canonicalKey(name)}:${canonicalJson(value)}`
  }
  return `${text}}`
}

// Most objects are made with their members in order, and to see that costs much less than to sort them.
function sortedKeys(object: JsonObject): readonly string[] {
  const keys = Object.keys(object)
  for (let at = 1; at < keys.length; at++) {
    if ((keys[at - 1] as string) > (keys[at] as string)) return keys.sort()
  }
  return keys
}

function canonicalArray(items: readonly Json[]): string {
  let text = '['
  for (const item of items) text += `${text === '[' ? '' : ','}${canonicalJson(item)}`
  return `${text}]`
}

function canonicalObject(object: JsonObject): string {
  let text = '{'
  for (const key of sortedKeys(object)) {
    text += `${text === '{' ? '' : ','}${canonicalKey(key)}:${canonicalJson(object[key] as Json)}`
  }
  return `${text}}`
}

// The same few dozen keys make up nearly every object; quoting them again each time shows in profiles.
const quotedKeys = new Map<string, string>()
const QUOTED_KEYS_MAX = 2_000
const QUOTED_KEY_CHARS_MAX = 64

function canonicalKey(key: string): string {
  const known = quotedKeys.get(key)
  if (known !== undefined) return known
  const quoted = canonicalString(key)
  if (key.length <= QUOTED_KEY_CHARS_MAX && quotedKeys.size < QUOTED_KEYS_MAX) {
    quotedKeys.set(key, quoted)
  }
  return quoted
}

/** Text that stands for itself between quotes; longer ones are not worth looking at twice. */
const PLAIN = /^[ !#-[\]-~]{0,80}$/

function canonicalString(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  if (!text.isWellFormed()) throw new RangeError('lone surrogate in string')
  return JSON.stringify(text)
}

/** SHA-256 of UTF-8 text (or bytes), in lower-case hex. */
export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex')
}

/** SHA-256 over the RFC 8785 form of a value, in lower-case hex. */
export function digest(value: Json): string {
  return sha256(canonicalJson(value))
}
