import picomatch from 'picomatch'
import type { Findings, Place } from '../sources/diagnostics.ts'
import { didYouMean } from '../lib/suggest.ts'

const OPTIONS = { dot: true, nonegate: true, noextglob: true, strictSlashes: true } as const

/**
 * The names that match any of the glob patterns, in the order of `names`. A pattern that matches
 * none is an error: the rule it stands in would silently do nothing.
 */
export function resolveNames(
  patterns: readonly string[],
  names: readonly string[],
  place: (index: number) => Place,
  found: Findings,
): readonly string[] {
  const hit = new Set<string>()
  for (const [index, pattern] of patterns.entries()) {
    const matches = namesLike(pattern)
    const some = names.filter((name) => matches(name))
    for (const name of some) hit.add(name)
    if (some.length > 0) continue
    const message = `pattern \`${pattern}\` matches no tool`
    found.error(place(index), 'no_such_tool', message, didYouMean(pattern, names))
  }
  return names.filter((name) => hit.has(name))
}

/** Whether a name is one that a glob pattern means. */
export const namesLike = (pattern: string): ((name: string) => boolean) => {
  const matches = picomatch(pattern, OPTIONS)
  return (name) => matches(name)
}
