import type { Loc } from '../ast/ast.ts'
import type { Diagnostic } from '../diagnostics.ts'
import { Lexer, type Token, type TokenKind, tokenLoc } from './lexer.ts'

// The place in the tokens that all of the grammar moves, and the errors so far. A word is a keyword or a name
// depending on the dialect, the imports above it and what follows it, so that is asked here and not in the lexer.
// Going back to a mark drops the errors since: an attempt that fails says nothing.

export interface ParserOptions {
  readonly v0: boolean
  /** Keywords that imports of `future.keywords` may enable beside the standard ones: `and`, `or`, `not`. */
  readonly experimental: boolean
}

export const BASE = [
  'as',
  'default',
  'else',
  'false',
  'import',
  'package',
  'not',
  'null',
  'true',
  'with',
  'some',
]
export const FUTURE = ['in', 'every', 'contains', 'if']
export const EXPERIMENTAL = ['and', 'or', 'not']
export const V1_WORDS = new Set([...BASE, ...FUTURE])
const V0_WORDS = new Set(BASE)

/** Deeper nesting than this is refused; a policy's author never comes near, generated text may. */
const DEPTH_MAX = 500

/** Where a parser stands. Errors belong to it: going back forgets them, as attempts that fail must leave no trace. */
interface Mark {
  readonly at: number
  readonly errors: number
  readonly wildcards: number
}

/** The token stream with one token of lookahead, marks to return to, keywords that imports add, and errors. */
/** What messages call tokens that go by another name here. */
const TOKEN_NAMES: Readonly<Record<string, string>> = {
  ident: 'identifier',
  rawString: 'string',
  templatePart: 'template-string-part',
  templateEnd: 'template-string-end',
  rawTemplatePart: 'raw-template-string-part',
  rawTemplateEnd: 'raw-template-string-end',
  '+': 'plus',
  '-': 'minus',
  '*': 'mul',
  '/': 'div',
  '%': 'rem',
  '&': 'and',
  '|': 'or',
  '=': 'eq',
  '==': 'equal',
  ':=': 'assign',
  '!=': 'neq',
  '>': 'gt',
  '<': 'lt',
  '>=': 'gte',
  '<=': 'lte',
}

export class Cursor {
  readonly file: string
  readonly source: string
  readonly lexer: Lexer
  readonly options: ParserOptions
  readonly keywords: Set<string>
  readonly errors: Diagnostic[] = []
  #at = 0
  #wildcards = 0
  #depth = 0
  /** The word under the cursor stands for a name here although it is a keyword. */
  #asName = -1

  constructor(file: string, source: string, options: ParserOptions) {
    this.file = file
    this.source = source
    this.options = options
    this.lexer = new Lexer(file, source)
    this.keywords = new Set(options.v0 ? BASE : [...BASE, ...FUTURE])
    this.#report()
  }

  get token(): Token {
    return this.lexer.tokens[this.#at] as Token
  }
  /** The token behind the current one. */
  get ahead(): Token {
    return this.lexer.tokens[Math.min(this.#at + 1, this.lexer.tokens.length - 1)] as Token
  }
  get loc(): Loc {
    return tokenLoc(this.file, this.token)
  }
  /** The white space before the current token: a line's end counts to the line it begins. */
  get spaceLoc(): Loc {
    const last = this.lexer.tokens[Math.max(0, this.#at - 1)] as Token
    const ends = this.source[last.end] === '\n'
    const col = ends ? 0 : last.col + last.end - last.start
    return { file: this.file, row: ends ? last.row + 1 : last.row, col, length: 1 }
  }
  get failed(): boolean {
    return this.errors.length > 0
  }

  /** A location from a start to the end of the token before the current one. */
  from(start: Loc, startOffset: number): Loc {
    const last = this.lexer.tokens[Math.max(0, this.#at - 1)] as Token
    return { ...start, length: Math.max(1, last.end - startOffset) }
  }

  mark(): Mark {
    return { at: this.#at, errors: this.errors.length, wildcards: this.#wildcards }
  }
  reset(mark: Mark): void {
    this.#at = mark.at
    this.errors.length = mark.errors
    this.#wildcards = mark.wildcards
    this.#asName = -1
  }

  advance(): void {
    if (this.#at < this.lexer.tokens.length - 1) this.#at++
    this.#report()
  }

  #report(): void {
    for (const message of this.token.errors ?? []) this.error(this.loc, message)
  }

  /** Whether the current token is this keyword, punctuation or other kind. */
  is(what: string): boolean {
    return this.what === what
  }
  /** The current token as the grammar sees it: a keyword by its word, `ident`, or its kind. */
  get what(): string {
    const { kind, text } = this.token
    if (kind !== 'word') return kind
    return this.#asName !== this.#at && this.keywords.has(text) ? text : 'ident'
  }
  /** Lets the current keyword be a name. */
  takeAsName(): void {
    this.#asName = this.#at
  }
  /** Keywords that may still be parts of references. */
  isRefKeyword(token = this.token): boolean {
    if (token.kind !== 'word') return false
    const words = this.options.v0 ? V0_WORDS : V1_WORDS
    return words.has(token.text) || this.keywords.has(token.text)
  }
  /** A keyword directly followed by `.` or `[` begins a reference. */
  keywordBeginsRef(): boolean {
    if (this.what === 'ident' || !this.isRefKeyword()) return false
    const next = this.ahead
    return !next.space && (next.kind === '.' || next.kind === '[')
  }
  /** Whether a clause begins here: the keyword, and not a reference that begins with its word on the next line. */
  begins(keyword: 'if' | 'with' | 'else'): boolean {
    return this.is(keyword) && !this.keywordBeginsRef()
  }
  isReserved(word: string): boolean {
    return (this.options.v0 ? V0_WORDS : V1_WORDS).has(word)
  }

  wildcard(): string {
    return `$${this.#wildcards++}`
  }

  error(loc: Loc, message: string): undefined {
    this.errors.push({ code: 'rego_parse_error', message, location: loc, hints: [] })
    return undefined
  }

  /** Reports the current token as out of place. */
  illegal(note = ''): undefined {
    if (this.token.kind === 'illegal') return this.error(this.loc, 'illegal token')
    const what = this.what
    const sort = this.keywords.has(what) || FUTURE.includes(what) ? 'keyword' : 'token'
    return this.error(
      this.loc,
      `unexpected ${TOKEN_NAMES[what] ?? what} ${sort}${note === '' ? '' : `: ${note}`}`,
    )
  }

  /** Runs a nested piece of grammar unless nesting has become absurd. */
  nested<T>(parse: () => T | undefined): T | undefined {
    if (this.#depth >= DEPTH_MAX)
      return this.error(this.loc, 'max parsing recursion depth exceeded')
    this.#depth++
    const result = parse()
    this.#depth--
    return result
  }

  /** Consumes the current token when it is of one of these kinds. */
  accept(...kinds: TokenKind[]): Token | undefined {
    const { token } = this
    if (!kinds.includes(token.kind)) return undefined
    this.advance()
    return token
  }
}
