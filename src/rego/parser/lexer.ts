import type { Comment, Loc } from '../ast/ast.ts'

// A template string holds expressions that hold template strings, so the lexer keeps a stack of open braces and
// goes on with the string at the brace that ends an expression. What is wrong with a token travels in it: the
// parser may never come to it, and OPA reports only what it comes to.

/** Token kinds: punctuation spells itself; words are `word` and become keywords only in the parser, which knows the imports. */
export type TokenKind =
  | 'eof'
  | 'illegal'
  | 'word'
  | 'number'
  | 'string'
  | 'rawString'
  | 'templatePart'
  | 'templateEnd'
  | 'rawTemplatePart'
  | 'rawTemplateEnd'
  | '['
  | ']'
  | '{'
  | '}'
  | '('
  | ')'
  | ','
  | ':'
  | ':='
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '&'
  | '|'
  | '=='
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | ';'
  | '.'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
  readonly row: number
  readonly col: number
  readonly start: number
  readonly end: number
  /** White space or a comment stands before it. */
  readonly space: boolean
  /** A line ends before it. */
  readonly newline: boolean
  /** What is wrong with it. */
  readonly errors?: readonly string[]
  /** Comments read so far; tells whether one stands inside a template expression. */
  readonly comments: number
}

const SINGLE = new Set(['[', ']', '(', ')', ',', '+', '-', '*', '/', '%', '&', '|', ';', '.'])
const WORD = /[A-Za-z_][A-Za-z0-9_\p{Nd}]*/uy
const NUMBER = /[0-9]*(\.[0-9]*)?([eE][+-]?[0-9]*)?/y
const TAIL = /[A-Za-z_][A-Za-z0-9_]*/y

/** Splits a whole source into tokens. Errors are part of the tokens: the parser reports the first it meets. */
export class Lexer {
  readonly #file: string
  readonly #text: string
  readonly tokens: Token[] = []
  readonly comments: Comment[] = []
  #at = 0
  #row = 1
  #lineStart = 0
  /** For each open `{`: whether it opened an expression of a template string, and of which kind. */
  readonly #braces: ('plain' | 'template' | 'raw')[] = []

  constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
    if (text.charCodeAt(0) === 0xfeff) {
      this.#at = 1
      this.#lineStart = 1
    }
    this.#run()
  }

  #run(): void {
    const text = this.#text
    let space = false
    let newline = false
    for (;;) {
      const c = text[this.#at]
      if (c === ' ' || c === '\t' || c === '\r') {
        space = true
        this.#at++
        continue
      }
      if (c === '\n') {
        space = true
        newline = true
        this.#at++
        this.#row++
        this.#lineStart = this.#at
        continue
      }
      if (c === '#') {
        this.#comment()
        continue
      }
      this.#token(c, space, newline)
      if (c === undefined) return
      space = false
      newline = false
    }
  }

  #comment(): void {
    const start = this.#at
    let end = this.#text.indexOf('\n', start)
    if (end < 0) end = this.#text.length
    let text = this.#text.slice(start + 1, end)
    if (text.endsWith('\r')) text = text.slice(0, -1)
    const loc = {
      file: this.#file,
      row: this.#row,
      col: start - this.#lineStart + 1,
      length: end - start,
    }
    this.comments.push({ text, loc })
    this.#at = end
  }

  #token(c: string | undefined, space: boolean, newline: boolean): void {
    let start = this.#at
    let row = this.#row
    let col = start - this.#lineStart + 1
    const errors: string[] = []
    const before = this.tokens.length
    const [kind, text] = this.#scan(c, errors)
    if (this.tokens.length > before) {
      // The rest of a template string begins behind the brace.
      start++
      const ends = this.#text[start] === '\n'
      col = ends ? 0 : col + 1
      if (ends) row++
    }
    this.tokens.push({
      kind: errors.length > 0 ? 'illegal' : kind,
      text,
      row,
      col,
      start,
      end: this.#at,
      space,
      newline,
      comments: this.comments.length,
      ...(errors.length > 0 ? { errors } : {}),
    })
  }

  #scan(c: string | undefined, errors: string[]): [TokenKind, string] {
    if (c === undefined) return ['eof', '']
    const next = this.#text[this.#at + 1]
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c === '_') {
      return ['word', this.#match(WORD)]
    }
    if (c >= '0' && c <= '9') return this.#number(errors)
    if (c === '"') return this.#string(errors)
    if (c === '`') return this.#rawString(errors)
    if (c === '$') {
      if (next === '"' || next === '`') {
        this.#at++
        return this.#template(next === '`', errors)
      }
      this.#at++
      errors.push('illegal $ character')
      return ['illegal', c]
    }
    if (c === '{') {
      this.#braces.push('plain')
      this.#at++
      return ['{', c]
    }
    if (c === '}') {
      const open = this.#braces.pop()
      if (open === 'template' || open === 'raw') {
        // The brace ends the expression; the token after it goes on with the string.
        this.tokens.push({
          kind: '}',
          text: c,
          row: this.#row,
          col: this.#at - this.#lineStart + 1,
          start: this.#at,
          end: this.#at + 1,
          space: false,
          newline: false,
          comments: this.comments.length,
        })
        return this.#template(open === 'raw', errors)
      }
      this.#at++
      return ['}', c]
    }
    if (c === ':' || c === '=' || c === '<' || c === '>' || c === '!') {
      if (next === '=') {
        this.#at += 2
        return [`${c}=` as TokenKind, `${c}=`]
      }
      this.#at++
      if (c === '!') {
        errors.push('illegal ! character')
        return ['illegal', c]
      }
      return [c, c]
    }
    this.#at++
    if (SINGLE.has(c)) return [c as TokenKind, c]
    if (c === '\0') errors.push('illegal null character')
    const code = this.#text.codePointAt(this.#at - 1) ?? 0
    if (code > 0xffff) this.#at++
    if (c === '\uFEFF') errors.push('illegal byte-order mark')
    return ['illegal', c]
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const text = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += text.length
    return text
  }

  #number(errors: string[]): [TokenKind, string] {
    let text = this.#match(NUMBER)
    if (/\.(?![0-9])/.test(text)) errors.push('expected fraction')
    if (/[eE][+-]?$/.test(text)) errors.push('expected exponent')
    const tail = this.#match(TAIL)
    if (tail !== '') {
      errors.push('illegal number format')
      text += tail
    }
    return ['number', text]
  }

  #string(errors: string[]): [TokenKind, string] {
    const start = this.#at++
    this.#quoted(errors, false)
    return ['string', this.#text.slice(start, this.#at)]
  }

  /** Reads up to the closing quote, or an expression's brace in a template; returns what ended it. */
  #quoted(errors: string[], template: boolean): string {
    const text = this.#text
    for (;;) {
      const c = text[this.#at]
      if (c === undefined || c === '\n') {
        errors.push('non-terminated string')
        return ''
      }
      this.#at++
      if (c === '"') return c
      if (c === '{' && template) return c
      if (c === '\0') errors.push('illegal null character')
      if (c === '\\') {
        const e = text[this.#at] ?? ''
        if (e !== '' && '\\"/bfnrt'.includes(e)) this.#at++
        else if (e === '{' && template) this.#at++
        else if (e === 'u') this.#at = Math.min(this.#at + 5, text.length)
        else errors.push('illegal escape sequence')
      }
    }
  }

  #rawString(errors: string[]): [TokenKind, string] {
    const start = this.#at
    const end = this.#text.indexOf('`', start + 1)
    if (end < 0) errors.push('non-terminated string')
    this.#at = end < 0 ? this.#text.length : end + 1
    const text = this.#text.slice(start, this.#at)
    this.#countLines(text, start)
    return ['rawString', text]
  }

  #countLines(text: string, start: number): void {
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) {
      this.#row++
      this.#lineStart = start + i + 1
    }
  }

  /** At the quote that begins a template string, or at the brace after which it goes on. */
  #template(raw: boolean, errors: string[]): [TokenKind, string] {
    const start = this.#at++
    let stop: string
    if (raw) {
      for (;;) {
        const c = this.#text[this.#at]
        if (c === undefined) {
          errors.push('non-terminated string')
          stop = ''
          break
        }
        this.#at++
        if (c === '`' || c === '{') {
          stop = c
          break
        }
        if (c === '\\' && this.#text[this.#at] === '{') this.#at++
      }
    } else stop = this.#quoted(errors, true)
    const text = this.#text.slice(start, this.#at)
    this.#countLines(text, start)
    if (stop === '{') {
      this.#braces.push(raw ? 'raw' : 'template')
      return [raw ? 'rawTemplatePart' : 'templatePart', text]
    }
    return [raw ? 'rawTemplateEnd' : 'templateEnd', text]
  }
}

export function tokenLoc(file: string, token: Token): Loc {
  return { file, row: token.row, col: token.col, length: Math.max(1, token.end - token.start) }
}
