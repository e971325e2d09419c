/** The known word closest to a mistyped one, or undefined when none is close enough to be meant. */
export function closest(word: string, known: Iterable<string>): string | undefined {
  const limit = Math.max(word.length < 4 ? 1 : 2, Math.floor(word.length / 3))
  let best: string | undefined
  let bestDistance = limit + 1
  for (const candidate of known) {
    const distance = levenshtein(word.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** A hint for a diagnostic, or undefined. */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const best = closest(word, known)
  return best === undefined ? undefined : `did you mean \`${best}\`?`
}

const WORD_LENGTH_MAX = 80 // keeps a hostile key from costing more than a glance

function levenshtein(a: string, b: string, giveUpAt: number): number {
  if (Math.abs(a.length - b.length) >= giveUpAt) return giveUpAt
  if (a.length > WORD_LENGTH_MAX || b.length > WORD_LENGTH_MAX) return giveUpAt
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, swap))
    }
    previous = row
  }
  return previous[b.length] ?? giveUpAt
}

/** How many letters differ, as far as a word is looked at. */
export const distance = (a: string, b: string): number =>
  levenshtein(
    a.slice(0, WORD_LENGTH_MAX).toLowerCase(),
    b.slice(0, WORD_LENGTH_MAX).toLowerCase(),
    WORD_LENGTH_MAX + 1,
  )
