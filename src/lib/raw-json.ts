import { randomUUID } from 'node:crypto'
import type { Json } from '../model/json.ts'
import { JSON_DEPTH_MAX } from './strict-json.ts'

// JavaScript has no number for 12345678901234567890, so JSON of an upstream that is parsed and written again
// is another JSON. What is only handed on is therefore never parsed: it travels as text and is put into the
// answer as it came, where a value would stand.

/** Stands where a raw text will: nobody can have written it, and it never leaves this process. */
const MARK = randomUUID()
/** The raw texts of what is being written, in order; undefined while nobody asks for them. */
let written: string[] | undefined

/** JSON text that stands for its value, digit by digit. Who does not know it sees the parsed value. */
export class RawJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): Json {
    if (written) return `${MARK}${written.push(this.text) - 1}`
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
  const raw: string[] = []
  written = raw
  try {
    const [first = '', ...rest] = JSON.stringify(value).split(`"${MARK}`)
    return rest.reduce((text, part) => {
      const end = part.indexOf('"')
      return text + (raw[Number(part.slice(0, end))] ?? 'null') + part.slice(end + 1)
    }, first)
  } finally {
    written = undefined
  }
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
  if (text.length <= JSON_DEPTH_MAX) return text.length // each level takes a character
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/gs)) {
    if (token === '[' || token === '{') deepest = Math.max(deepest, ++depth)
    else if (token === ']' || token === '}') depth--
  }
  return deepest
}
