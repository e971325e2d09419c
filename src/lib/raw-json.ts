import { randomUUID } from 'node:crypto'
import type { Json } from '../model/json.ts'
import { JSON_DEPTH_MAX } from './strict-json.ts'

// JavaScript has no number for 12345678901234567890, so JSON of an upstream that is parsed and written again
// is another JSON. What is only handed on is therefore never parsed: it travels as text and is put into the
// answer as it came, where a value would stand.

/** JSON text that stands for its value, digit by digit. Who does not know it sees the parsed value. */
export class RawJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): Json {
    return JSON.parse(this.text) as Json
  }
}

/** Upstream text as a value to show: itself where it is JSON that a reader can take, else a string. */
export function shownJson(text: string): Json {
  const isShowable = depthOf(text) <= JSON_DEPTH_MAX && isJson(text)
  return isShowable ? (new RawJson(text) as unknown as Json) : text
}

/** `JSON.stringify`, with every `RawJson` in it as it came. */
export function jsonText(value: unknown): string {
  const mark = randomUUID() // nobody can have written it before
  const raw: string[] = []
  const text = JSON.stringify(value, function replacer(this: unknown, key: string, plain: unknown) {
    // `toJSON` has been called on `plain` already; the holder still has the original.
    const held = (this as Readonly<Record<string, unknown>>)[key]
    return held instanceof RawJson ? `${mark}${raw.push(held.text) - 1}` : plain
  })
  if (raw.length === 0) return text
  const pattern = new RegExp(`"${mark}(\\d+)"`, 'g')
  return text.replace(pattern, (_whole, at: string) => raw[Number(at)] ?? 'null')
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

// Brackets outside strings, for text that need not be JSON at all.
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/gs)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}
