import { type JsonMistake, parseStrictJson, StrictJsonError } from '../lib/strict-json.ts'
import type { Json } from '../model/json.ts'
import type { Findings, Place } from './diagnostics.ts'
import { POLICY_LIMITS } from './limits.ts'

/** A JSON file: its value, and where the entries of a list stand that is the whole of it. */
export interface JsonDocument {
  readonly value: Json
  at(path: readonly (string | number)[]): Place
}

/**
 * Reads a JSON file of a policy by the rules for requests, but for two: a fraction may be rounded, as
 * tables of rates have more digits than anyone compares, and `__proto__` is no key.
 */
export function parseJson(file: string, text: string, found: Findings): JsonDocument | undefined {
  // A mark of the byte order is no part of the text, and no column either.
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text
  const entries: (readonly [number, number])[] = []
  try {
    const value = parseStrictJson(plain, {
      depthMax: POLICY_LIMITS.depthMax,
      fractions: 'rounded',
      reservedKey: '__proto__',
      onEntry: (at, end) => entries.push([at, end]),
    })
    return {
      value,
      at: ([row]) => {
        const [start = 0, end = 1] = typeof row === 'number' ? (entries[row] ?? []) : []
        return placeOf(file, plain, start, end)
      },
    }
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error
    const { code, hint } = DIAGNOSTICS[error.code]
    const place = placeOf(file, plain, error.at, error.end)
    found.error(place, code, messageOf(error, file, plain), hint)
    return undefined
  }
}

function messageOf({ code, problem, duplicate }: StrictJsonError, file: string, text: string) {
  if (code === 'number') return 'number cannot be held exactly'
  if (!duplicate) return problem
  const { key, firstAt } = duplicate
  const { line } = placeOf(file, text, firstAt, firstAt)
  return `duplicate key \`${key.slice(0, 80)}\`, first on line ${line}`
}

const SYNTAX = {
  code: 'json_syntax',
  hint: 'JSON has no comments, no trailing commas and no single quotes',
}
const DIAGNOSTICS: Readonly<Record<JsonMistake, { code: string; hint: string }>> = {
  syntax: SYNTAX,
  too_many_values: SYNTAX,
  duplicate_key: { code: 'duplicate_key', hint: 'take one of them out: only one would count' },
  number: { code: 'json_number', hint: 'write it as text, in quotes' },
  too_deep: { code: 'json_too_deep', hint: `at most ${POLICY_LIMITS.depthMax} levels` },
}

/** Lines and columns of a part of a text; an end on another line is cut at the end of the first. */
function placeOf(file: string, text: string, offset: number, end: number): Place {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  const col = offset - before.lastIndexOf('\n')
  const length = /[\r\n]|$/.exec(text.slice(offset, end))?.index ?? 0
  return { file, line, col, end: { line, col: col + Math.max(1, length) } }
}
