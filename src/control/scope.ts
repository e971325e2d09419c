import { LRUCache } from 'lru-cache'
import picomatch from 'picomatch'

// A scope names tools as policies do, by globs, so that `contacts.*` stops what it would permit, tools that are
// added later included.

const OPTIONS = { dot: true, nonegate: true, noextglob: true, strictSlashes: true } as const
const MATCHERS_MAX = 500
const matchers = new LRUCache<string, (name: string) => boolean>({ max: MATCHERS_MAX })

/** Whether the tool is one that the pattern of a scope names; an empty pattern names all. */
export function namesTool(pattern: string, tool: string): boolean {
  if (pattern === '' || pattern === tool) return true
  const known = matchers.get(pattern)
  if (known) return known(tool)
  const made = picomatch(pattern, OPTIONS)
  matchers.set(pattern, made)
  return made(tool)
}
