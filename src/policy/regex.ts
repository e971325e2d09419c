import { RE2JS, RE2JSSyntaxException } from 're2js'

const PATTERN_LENGTH_MAX = 2000
const PROGRAM_MAX = 20_000 // instructions; beyond, a repeat such as (a{500}){500} costs too much

/** A linear-time regular expression. */
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
      regex: Object.freeze({ source, test: (text: string) => compiled.test(text) }),
    }
  } catch (error) {
    return { ok: false, ...syntaxProblem(source, error) }
  }
}

function syntaxProblem(source: string, error: unknown): { message: string; offset: number } {
  if (!(error instanceof RE2JSSyntaxException)) return { message: String(error), offset: 0 }
  const part = error.input ?? ''
  const offset = part === '' ? 0 : Math.max(0, source.indexOf(part))
  return { message: `${error.error}${part ? ` \`${part}\`` : ''}`, offset }
}
