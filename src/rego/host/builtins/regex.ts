import type { RE2JS } from 're2js'
import { matchGlob } from '../glob/glob.ts'
import { re2 } from '../../libraries.ts'
import { isArray, type Value, num } from '../value.ts'
import { Kept } from './kept.ts'
import { BuiltinError, type Family, fail, holds, int, spend, text, wrongType } from './kind.ts'

const kept = new Kept<RE2JS>(200)
/** A program of more instructions is not kept: two hundred of the largest would take many gigabytes. */
const KEPT_MAX = 50_000
/** What compiling costs of the budget, measured: three microseconds for a letter or an instruction. */
const LETTER_COST = 8
const INSTRUCTION_COST = 16
/** Of a class by name, `\pL`, and of a range that is looked through for letters of two cases. */
const CLASS_COST = 400
const FOLDED_RANGE_COST = 5_000
/** Of each match, with what its groups hold. */
const MATCH_COST = 8

/** A pattern in RE2 syntax; evaluation is linear in the text whatever the pattern. */
export function compilePattern(pattern: string): RE2JS {
  return kept.of(pattern, readingCost(pattern), () => {
    try {
      const value = re2().RE2JS.compile(pattern)
      // `a{0,900}` is nine letters and 1,800 instructions.
      const size = value.programSize()
      return { value, steps: size * INSTRUCTION_COST, isLarge: size > KEPT_MAX }
    } catch (error) {
      return fail(`error parsing regexp: ${error instanceof Error ? error.message : ''}`)
    }
  })
}

function readingCost(pattern: string): number {
  const classes = pattern.match(/\\[pP]/g)?.length ?? 0
  const foldsWide = /\(\?[a-zA-Z-]*i/.test(pattern) && /\\x|[^\0-\x7f]/.test(pattern)
  const ranges = foldsWide ? pattern.split('-').length - 1 : 0
  return pattern.length * LETTER_COST + classes * CLASS_COST + ranges * FOLDED_RANGE_COST
}

interface Match {
  readonly start: number
  readonly end: number
  readonly groups: readonly string[]
}

/** Matches as Go finds them: an empty one directly behind another match does not count. */
function matches(pattern: string, s: string, most: number): Match[] {
  const matcher = compilePattern(pattern).matcher(s)
  const found: Match[] = []
  let last = -1
  const limit = most < 0 ? Infinity : most
  while (found.length < limit && matcher.find()) {
    spend(MATCH_COST)
    const start = matcher.start()
    const end = matcher.end()
    if (start === end && start === last) continue
    last = end
    const groups = Array.from(
      { length: matcher.groupCount() + 1 },
      (_, i) => matcher.group(i) ?? '',
    )
    found.push({ start, end, groups })
  }
  return found
}

/** `$1`, `${name}` and `$$` of Go's Expand. */
function expand(template: string, match: Match, names: Readonly<Record<string, number>>): string {
  return template.replace(
    /\$(?:\$|\{(\w+)\}|(\w+))/g,
    (all, braced: string | undefined, bare: string | undefined) => {
      if (all === '$$') return '$'
      const name = braced ?? bare ?? ''
      const index = /^\d+$/.test(name) ? Number(name) : names[name]
      return index === undefined ? '' : (match.groups[index] ?? '')
    },
  )
}

function replaceAll(s: string, pattern: string, template: string): string {
  const names = compilePattern(pattern).namedGroups()
  let out = ''
  let at = 0
  for (const match of matches(pattern, s, -1)) {
    out += s.slice(at, match.start) + expand(template, match, names)
    at = match.end
  }
  return out + s.slice(at)
}

function split(pattern: string, s: string): string[] {
  if (pattern !== '' && s === '') return ['']
  const parts: string[] = []
  let begin = 0
  let end = 0
  for (const match of matches(pattern, s, -1)) {
    end = match.start
    if (match.end !== 0) parts.push(s.slice(begin, end))
    begin = match.end
  }
  if (end !== s.length) parts.push(s.slice(begin))
  return parts
}

/** `{` and `}` (or other delimiters) around patterns, everything else literal. */
function templateMatch(template: string, s: string, open: string, close: string): boolean {
  if (Array.from(open).length !== 1) fail('start delimiter has to be exactly one character long')
  if (Array.from(close).length !== 1) fail('end delimiter has to be exactly one character long')
  let pattern = ''
  let depth = 0
  let from = 0
  const chars = Array.from(template)
  for (const [i, c] of chars.entries()) {
    if (c === open) {
      if (depth++ === 0) {
        pattern += re2().RE2JS.quote(chars.slice(from, i).join(''))
        from = i + 1
      }
    } else if (c === close && depth > 0) {
      if (--depth === 0) {
        pattern += `(${chars.slice(from, i).join('')})`
        from = i + 1
      }
    }
  }
  if (depth > 0) fail('unbalanced braces in template')
  pattern += re2().RE2JS.quote(chars.slice(from).join(''))
  return compilePattern(`^${pattern}$`).matcher(s).find()
}

// ---- glob

function delimitersOf(v: Value | undefined): string[] {
  if (v === null) return []
  if (!isArray(v)) return wrongType(2, v, 'array', 'null')
  const found = v.map((d) => {
    if (typeof d === 'string' && Array.from(d).length === 1) return d
    throw new BuiltinError('operand 2 must be array of runes', 'eval_type_error')
  })
  return found.length === 0 ? ['.'] : found
}

// ---- regex.globs_match: whether two patterns share a non-empty text

interface Piece {
  readonly chars: (code: number) => boolean
  readonly sample: readonly number[]
  readonly many: '' | '*' | '+'
}

/** The small language of glob-like regexes: characters, classes, `.`, each with `*` or `+`. */
function pieces(pattern: string): Piece[] {
  const chars = Array.from(pattern)
  const found: Piece[] = []
  for (let i = 0; i < chars.length; i++) {
    let c = chars[i] ?? ''
    let test: (code: number) => boolean
    let sample: number[]
    if (c === '.') {
      test = () => true
      sample = [46, 97]
    } else if (c === '[') {
      const end = chars.indexOf(']', i + 1)
      if (end < 0) return fail('input:1, found unmatched [')
      const inner = chars.slice(i + 1, end).join('')
      const set = compilePattern(`[${inner}]`)
      test = (code) => set.matcher(String.fromCodePoint(code)).find()
      sample = Array.from(inner.replace(/[\\^-]/g, '')).map((x) => x.codePointAt(0) ?? 0)
      i = end
    } else {
      if (c === '*' || c === '+') return fail(`input:${i}, pos:${i}, quantifier without a target`)
      if (c === ']') return fail('unmatched ]')
      if (c === '\\') c = chars[++i] ?? fail('trailing backslash')
      const code = c.codePointAt(0) ?? 0
      test = (x) => x === code
      sample = [code]
    }
    const next = chars[i + 1]
    const many = next === '*' || next === '+' ? next : ''
    if (many !== '') i++
    found.push({ chars: test, sample, many })
  }
  return found
}

function shareText(a: string, b: string): boolean {
  const [x, y] = [pieces(a), pieces(b)]
  const seen = new Set<string>()
  // Positions in both, and whether a character was already taken there (for `+`).
  const queue: [number, number, boolean, boolean][] = [[0, 0, false, false]]
  const meets = (p: Piece, q: Piece) =>
    [...p.sample, ...q.sample, 120, 48].some((c) => p.chars(c) && q.chars(c)) || sweep(p, q)
  for (const [i, j, ti, tj] of queue) {
    const key = `${i},${j},${String(ti)},${String(tj)}`
    if (seen.has(key)) continue
    seen.add(key)
    const [p, q] = [x[i], y[j]]
    if (!p && !q) return true
    if (p && (p.many === '*' || (p.many === '+' && ti))) queue.push([i + 1, j, false, tj])
    if (q && (q.many === '*' || (q.many === '+' && tj))) queue.push([i, j + 1, ti, false])
    if (p && q && meets(p, q)) {
      queue.push([
        p.many === '' ? i + 1 : i,
        q.many === '' ? j + 1 : j,
        p.many !== '',
        q.many !== '',
      ])
    }
  }
  return false
}
function sweep(p: Piece, q: Piece): boolean {
  for (let code = 32; code < 256; code++) if (p.chars(code) && q.chars(code)) return true
  return false
}

export const regex: Family = {
  'regex.match': (p, s) => compilePattern(text(p, 1)).matcher(text(s, 2)).find(),
  re_match: (p, s) => compilePattern(text(p, 1)).matcher(text(s, 2)).find(),
  'regex.is_valid': (p) => typeof p === 'string' && holds(() => compilePattern(p)),
  'regex.find_n': (p, s, n) =>
    matches(text(p, 1), text(s, 2), int(n, 3)).map(({ groups }) => groups[0] ?? ''),
  'regex.find_all_string_submatch_n': (p, s, n) =>
    matches(text(p, 1), text(s, 2), int(n, 3)).map(({ groups }) => groups),
  'regex.replace': (s, p, t) => replaceAll(text(s, 1), text(p, 2), text(t, 3)),
  'regex.split': (p, s) => split(text(p, 1), text(s, 2)),
  'regex.template_match': (t, s, open, close) =>
    templateMatch(text(t, 1), text(s, 2), text(open, 3), text(close, 4)),
  'regex.globs_match': (a, b) => shareText(text(a, 1), text(b, 2)),
  'glob.match': (p, d, s) => matchGlob(text(p, 1), delimitersOf(d), text(s, 3)),
  'glob.quote_meta': (p) => text(p, 1).replace(/[*?\\[\]{}]/g, '\\$&'),
}

export { num }
