// Texts as their bytes in UTF-8, one letter for each: matchers measure texts in both bytes and runes.

export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Bytes of the rune that starts at a byte; one where none does. */
export function widthAt(s: string, at: number): number {
  const first = s.charCodeAt(at)
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1
}

/** The runes of a text, by where they start. */
export function* runes(s: string): Generator<readonly [at: number, rune: string]> {
  for (let at = 0; at < s.length; ) {
    const width = widthAt(s, at)
    yield [at, s.slice(at, at + width)]
    at += width
  }
}

export function countRunes(s: string): number {
  let count = 0
  for (let at = 0; at < s.length; at += widthAt(s, at)) count++
  return count
}

/** Where the first of several runes stands, each looked for in its turn. */
export function indexOfAny(s: string, wanted: readonly string[]): number {
  for (const rune of wanted) {
    const at = s.indexOf(rune)
    if (at >= 0) return at
  }
  return -1
}
export function lastIndexOfAny(s: string, wanted: readonly string[]): number {
  for (const rune of wanted) {
    const at = s.lastIndexOf(rune)
    if (at >= 0) return at
  }
  return -1
}
