import { RE2JS, RE2JSSyntaxException } from 're2js'

// Patterns are the policy's, but texts are the agent's, and a backtracking engine lets a text choose how
// long it takes. RE2 has no such texts; what it lacks for that (back-references, look-around) is an error at
// load, with its place. Size is bounded too, because a counted repeat is copied out.

const PATTERN_LENGTH_MAX = 2000
const PROGRAM_MAX = 20_000 // instructions; beyond, a repeat such as (a{500}){500} costs too much

/** A linear-time regular expression. `source` carries its own flags, so that it can be joined. */
export interface Regex {
  readonly source: string
  test(text: string): boolean
}

export type CompiledRegex =
  | { readonly ok: true; readonly regex: Regex }
  | { readonly ok: false; readonly message: string; readonly offset: number }

/** Compiles with RE2 (no back-references, no look-around), so that matching time is linear. */
export function compileRegex(source: string, caseInsensitive = false): CompiledRegex {
  if (source.length > PATTERN_LENGTH_MAX) {
    return { ok: false, message: `pattern longer than ${PATTERN_LENGTH_MAX}`, offset: 0 }
  }
  try {
    const compiled = RE2JS.compile(source, caseInsensitive ? RE2JS.CASE_INSENSITIVE : 0)
    if (compiled.programSize() > PROGRAM_MAX) {
      return {
        ok: false,
        message: 'pattern is too large once its repeats are written out',
        offset: 0,
      }
    }
    return {
      ok: true,
      regex: freeze(caseInsensitive ? `(?i)${source}` : source, compiled),
    }
  } catch (error) {
    return { ok: false, ...syntaxProblem(source, error) }
  }
}

const freeze = (source: string, compiled: RE2JS): Regex =>
  Object.freeze({ source, test: (text: string) => compiled.test(text) })

/** One expression that matches where any of the (valid) sources does; undefined when too large. */
export function joinRegexes(sources: readonly string[]): Regex | undefined {
  try {
    const source = sources.map((one) => `(?:${one})`).join('|')
    return freeze(source, RE2JS.compile(source))
  } catch {
    return undefined
  }
}

function syntaxProblem(source: string, error: unknown): { message: string; offset: number } {
  if (!(error instanceof RE2JSSyntaxException)) return { message: String(error), offset: 0 }
  const part = error.input ?? ''
  const offset = part === '' ? 0 : Math.max(0, source.indexOf(part))
  return { message: `${error.error}${part ? ` \`${part}\`` : ''}`, offset }
}
