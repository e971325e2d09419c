import { globToRegex } from './glob.ts'
import { compileRegex, type Regex } from './regex.ts'

/** Says what is wrong with a path, or undefined when it may be used. */
export type PathCheck = (path: string) => PathProblem | undefined

export interface PathProblem {
  readonly code: 'path_malformed' | 'path_not_allowed' | 'path_denied'
  readonly message: string
}

export interface PathRules {
  /** Directories, `.` for all. A path must lie in one of them. */
  readonly allowedDirs: readonly string[]
  /** Globs that deny although the directory is allowed; case does not matter. */
  readonly denyGlobs: readonly string[]
  readonly allowAbsolute: boolean
}

export type CompiledPaths =
  | { readonly ok: true; readonly check: PathCheck }
  | {
      readonly ok: false
      readonly key: 'allowed_dirs' | 'deny_globs'
      readonly index: number
      readonly message: string
    }

const PATH_LENGTH_MAX = 1024

/** Compiles path rules; a path is normalised and judged whole before it is compared. */
export function compilePathRules(rules: PathRules): CompiledPaths {
  const dirs: string[] = []
  for (const [index, dir] of rules.allowedDirs.entries()) {
    const plain = dir === '.' || dir === '/' ? dir : dir.replace(/^\.\//, '').replace(/\/+$/, '')
    const problem = dir === '.' || dir === '/' ? undefined : malformed(plain)
    if (problem !== undefined) return { ok: false, key: 'allowed_dirs', index, message: problem }
    dirs.push(plain)
  }
  const globs: Regex[] = []
  for (const [index, glob] of rules.denyGlobs.entries()) {
    const compiled = compileGlob(glob)
    if (typeof compiled === 'string') {
      return { ok: false, key: 'deny_globs', index, message: compiled }
    }
    globs.push(compiled)
  }
  return { ok: true, check: (path) => judge(path, dirs, globs, rules.allowAbsolute) }
}

function compileGlob(given: string): Regex | string {
  // As paths are compared: in one normal form, and from the root of what is allowed.
  const glob = given.normalize('NFKC').replace(/^(?:\.\/)+/, '')
  const problem = globProblem(glob)
  if (problem !== undefined) return `glob \`${given}\` can never match: ${problem}`
  const source = globToRegex(glob)
  if (source === undefined) return `glob \`${glob}\` has a bracket that does not close`
  const compiled = compileRegex(source, true)
  return compiled.ok ? compiled.regex : `glob \`${glob}\`: ${compiled.message}`
}

// Spellings that no plain path has, although the path that is meant may well be one.
function globProblem(glob: string): string | undefined {
  if (glob === '') return 'it is empty'
  if (glob.includes('\\')) return 'folders are separated by `/`'
  const parts = glob.replace(/^\//, '').replace(/\/$/, '').split('/')
  if (parts.includes('')) return 'it has an empty segment'
  if (parts.some((part) => part === '.' || part === '..')) return 'it has a dot segment'
  // What stands in brackets or braces is one of several, of which another may match.
  const literal = glob.replaceAll(/\[[^\]]*\]|\{[^}]*\}/g, '*')
  const refused = /[:%;#]/.exec(literal)?.[0]
  if (refused !== undefined) return `no path may hold \`${refused}\``
  const isTrimmed = (part: string) => /^\s|[\s.]$/.test(part)
  return literal.split('/').some(isTrimmed) ? 'it has a segment that systems trim' : undefined
}

function judge(
  given: string,
  dirs: readonly string[],
  globs: readonly Regex[],
  allowAbsolute: boolean,
): PathProblem | undefined {
  if (given.length > PATH_LENGTH_MAX) return bad('path_malformed', 'path is too long')
  const path = given.normalize('NFKC').replace(/(.)\/$/, '$1')
  const problem = malformed(path) ?? malformed(given.replace(/(.)\/$/, '$1'))
  if (problem !== undefined) return bad('path_malformed', problem)
  const absolute = path.startsWith('/')
  if (absolute && !allowAbsolute) return bad('path_not_allowed', 'path is absolute')
  if (!dirs.some((dir) => contains(dir, path, absolute))) {
    return bad('path_not_allowed', 'path is outside the allowed directories')
  }
  const bare = absolute ? path.slice(1) : path
  if (globs.some((glob) => glob.test(bare))) return bad('path_denied', 'path is on the deny list')
  return undefined
}

const bad = (code: PathProblem['code'], message: string): PathProblem => ({ code, message })

function contains(dir: string, path: string, absolute: boolean): boolean {
  if (dir === '.') return !absolute
  if (dir === '/') return absolute
  return path === dir || path.startsWith(`${dir}/`)
}

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u
const LOOKALIKE = /[\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9]/

// Refuses rather than repairs: whatever reads the path later may repair it differently.
function malformed(path: string): string | undefined {
  if (path === '') return 'path is empty'
  if (INVISIBLE.test(path)) return 'path has an invisible or unassigned character'
  if (/[\\%;?#]/.test(path) || LOOKALIKE.test(path)) {
    return 'path has a backslash, an escape or another reserved character'
  }
  // A drive, a scheme, or a stream of a file, which is read as the file itself.
  if (path.includes(':')) return 'path has a colon'
  if (path.startsWith('~')) return 'path starts with a home directory'
  const parts = path.replace(/^\//, '').split('/')
  if (parts.includes('')) return 'path has an empty segment'
  if (parts.some((part) => /^[.\s]+$/.test(part))) return 'path has a dot segment'
  if (parts.some((part) => /^\s|[\s.]$/.test(part))) return 'path has a segment that systems trim'
  if (parts.some((part) => DEVICE.test(part))) return 'path names a device'
  if (parts.some((part) => SHORT_NAME.test(part))) return 'path has a shortened name'
  return undefined
}

// On Windows these are devices in every directory, whatever ending they have.
const DEVICE = /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|$)/i
// And `KEYS~1.PEM` is a second name there for a file with a longer one.
const SHORT_NAME = /^[^.]{1,7}~\d{1,6}(?:\.[^.]{0,3})?$/
