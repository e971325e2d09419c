// Text that stands in two places: runs of lines that are the same, comments and imports apart. Windows of
// so many lines are gathered by their text, and windows that follow each other in both places are one pair.

/** A text and what it is called. */
export interface Source {
  readonly file: string
  readonly text: string
}

interface Line {
  readonly text: string
  readonly number: number
}

interface Place {
  readonly file: string
  readonly at: number
}

/** Pairs of places that share `length` lines or more, as `file:line ~ file:line`. */
export function repeats(sources: readonly Source[], length: number): string[] {
  const files = new Map(sources.map(({ file, text }) => [file, linesOf(text)]))
  const apart = new Map<string, { a: string; b: string; distance: number; starts: Set<number> }>()
  for (const [one, other] of samePlaces(files, length)) {
    const distance = other.at - one.at
    if (one.file === other.file && distance < length) continue
    const key = `${one.file} ${other.file} ${distance}`
    const pair = apart.get(key) ?? { a: one.file, b: other.file, distance, starts: new Set() }
    pair.starts.add(one.at)
    apart.set(key, pair)
  }
  const show = (file: string, at: number) => `${file}:${files.get(file)?.[at]?.number}`
  return [...apart.values()].flatMap(({ a, b, distance, starts }) =>
    [...starts]
      .filter((at) => !starts.has(at - 1))
      .map((at) => `${show(a, at)} ~ ${show(b, at + distance)}`),
  )
}

/** Every two windows of one text, the earlier first. */
function samePlaces(files: ReadonlyMap<string, readonly Line[]>, length: number): [Place, Place][] {
  const places = new Map<string, Place[]>()
  for (const [file, lines] of files) {
    for (let at = 0; at + length <= lines.length; at += 1) {
      const window = lines.slice(at, at + length).map(({ text }) => text)
      const key = window.join('\n')
      places.set(key, [...(places.get(key) ?? []), { file, at }])
    }
  }
  return [...places.values()].flatMap((same) =>
    same.flatMap((one, index) =>
      same.slice(index + 1).map((other): [Place, Place] => [one, other]),
    ),
  )
}

const IMPORT = /^import\s[^;]*?from '[^']*'$/gm
const COMMENT = /^(?:\/\/|\/?\*)/

function linesOf(text: string): Line[] {
  return text
    .replace(IMPORT, (found) => found.replaceAll(/[^\n]/g, ''))
    .split('\n')
    .map((line, index) => ({ text: line.trim(), number: index + 1 }))
    .filter((line) => line.text !== '' && !COMMENT.test(line.text))
}
