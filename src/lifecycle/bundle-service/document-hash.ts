import { createHash } from 'node:crypto'
import { membersOf } from '../../lib/json-spans.ts'
import { parseStrictJson } from '../../lib/strict-json.ts'

// The hash that OPA signs of a document is not over its bytes but over its value, written with sorted keys and no spaces. Numbers
// stay as they were written, so the value is taken from the text and never passes through a double; keys sort by their UTF-8
// bytes; and strings are written as Go's encoder does, which escapes two line separators that JSON need not.

/** The hash of a document, in hex. @throws StrictJsonError for text that two parsers could read differently */
export function documentHash(text: string, algorithm: string): string {
  parseStrictJson(text, { numbers: 'any' })
  return createHash(algorithm).update(canonicalText(text)).digest('hex')
}

/** One text for each value, of text that is valid JSON. */
export function canonicalText(text: string): string {
  const value = text.trim()
  if (value.startsWith('"')) return goString(JSON.parse(value) as string)
  if (value.startsWith('[')) {
    return `[${[...membersOf(value)].map(([, item]) => canonicalText(item)).join(',')}]`
  }
  if (!value.startsWith('{')) return value
  const members = [...membersOf(value)].map(([name, item]) => ({
    bytes: Buffer.from(name),
    text: `${goString(name)}:${canonicalText(item)}`,
  }))
  const sorted = members.sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  return `{${sorted.map((member) => member.text).join(',')}}`
}

const goString = (text: string): string =>
  JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
