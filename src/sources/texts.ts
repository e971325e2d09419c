import { isUtf8 } from 'node:buffer'
import type { Findings, Place } from './diagnostics.ts'
import type { PolicyFiles } from './files.ts'

const TEXT_FILE = /\.(ya?ml|json|csv|rego)$/

/** The texts that were read, for printing diagnostics with the line they mean. */
export type SourceTexts = ReadonlyMap<string, string>

/** The files that are text, decoded; one that is not UTF-8 is reported where it stops being that. */
export function readTexts(files: PolicyFiles, found: Findings): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [name, content] of files) {
    if (!TEXT_FILE.test(name)) continue
    if (isUtf8(content)) texts.set(name, content.toString('utf8'))
    else {
      const { byte, place } = firstBadByte(name, content)
      const shown = `0x${byte.toString(16).padStart(2, '0')}`
      const hint = 'save the file as UTF-8'
      found.error(place, 'not_utf8', `byte ${shown} is not valid UTF-8`, hint)
    }
  }
  return texts
}

function firstBadByte(file: string, content: Uint8Array): { byte: number; place: Place } {
  let [line, start] = [1, 0]
  for (;;) {
    const end = content.indexOf(0x0a, start)
    const row = content.subarray(start, end < 0 ? content.length : end)
    if (end < 0 || !isUtf8(row)) {
      const at = validPrefix(row)
      const col = new TextDecoder().decode(row.subarray(0, at)).length + 1
      return { byte: row[at] ?? 0, place: { file, line, col, end: { line, col: col + 1 } } }
    }
    start = end + 1
    line++
  }
}

// As a part of a stream, a text is valid up to any byte before the first that is wrong.
function validPrefix(row: Uint8Array): number {
  let [low, high] = [0, row.length]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (isPrefix(row.subarray(0, middle))) low = middle
    else high = middle - 1
  }
  // A sequence that was begun and not ended is wrong from its first byte.
  while (low > 0 && !isUtf8(row.subarray(0, low))) low--
  return low
}

function isPrefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}
