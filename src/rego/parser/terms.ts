import { operatorRef, isOperator, asRoot } from '../ast/operators.ts'
import type {
  ArrayTerm,
  Body,
  CallTerm,
  Expr,
  Loc,
  RefTerm,
  Term,
  TemplateTerm,
} from '../ast/ast.ts'
import { distinctItems, lastPairs } from '../ast/distinct.ts'
import type { Cursor } from './cursor.ts'
import type { TokenKind } from './lexer.ts'
import { parseNumber } from './numbers.ts'

// Recursive descent with attempts: `{` begins an object, a set or a comprehension, and which it is shows only
// behind the first term. Each attempt would parse that term again, and again for every level of nesting, so the
// term at a token is remembered with the state behind it: a hundred braces cost a hundred terms. The order of
// attempts and what each says when it fails are OPA's.

/** Builtins behind infix operators. */
export const OPERATORS: Readonly<Record<string, string>> = {
  '==': 'equal',
  '!=': 'neq',
  '<': 'lt',
  '>': 'gt',
  '<=': 'lte',
  '>=': 'gte',
  '|': 'or',
  '&': 'and',
  '+': 'plus',
  '-': 'minus',
  '*': 'mul',
  '/': 'div',
  '%': 'rem',
  '=': 'eq',
  ':=': 'assign',
}

/** Binary operators by rising precedence; `in` is above them all and has its own function. */
const LEVELS: readonly (readonly TokenKind[])[] = [
  ['==', '!=', '<', '>', '<=', '>='],
  ['|'],
  ['&'],
  ['+', '-'],
  ['*', '/', '%'],
]

/** Parses a body up to (not over) its closing token; expressions are the next file's. */
export type ParseBody = (end: TokenKind) => Body | undefined
export type ParseLiteral = () => Expr | undefined

interface Remembered {
  readonly term: Term | undefined
  readonly mark: ReturnType<Cursor['mark']>
  readonly asName: boolean
  readonly errors: Cursor['errors']
}

export class TermParser {
  readonly c: Cursor
  parseBody: ParseBody = () => undefined
  parseLiteral: ParseLiteral = () => undefined
  /** Terms already parsed at a token, with the state behind them: attempts that go back stay linear. */
  readonly #memo = new Map<number, Remembered>()
  #memoKeywords = 0

  constructor(cursor: Cursor) {
    this.c = cursor
  }

  /** A term with operators and `in`, also `k, v in xs`. */
  infix(): Term | undefined {
    return this.c.nested(() => this.#in(undefined, true))
  }
  /** The same where a comma separates elements. */
  infixInList(): Term | undefined {
    return this.c.nested(() => this.#in(undefined, false))
  }

  #in(first: Term | undefined, pairs: boolean): Term | undefined {
    const { c } = this
    const start = c.token.start
    let left = first ?? this.#binary(0)
    while (left) {
      if (pairs && c.is(',')) {
        const mark = c.mark()
        c.advance()
        const middle = this.#binary(0)
        if (middle && c.is('in')) {
          const op = c.loc
          c.advance()
          const right = this.#binary(0)
          if (right) {
            left = this.#member('member_3', op, [left, middle, right], left.loc, start)
            if (c.is('in')) continue
            return left
          }
        }
        c.reset(mark)
      }
      if (!c.is('in') || c.keywordBeginsRef()) return left
      const op = c.loc
      c.advance()
      const right = this.#binary(0)
      // As in the grammar this follows: an operator without right side leaves the left side, and an error.
      if (!right) return left
      left = this.#member('member_2', op, [left, right], left.loc, start)
      if (!c.is('in')) return left
    }
    return undefined
  }

  #member(name: string, at: Loc, args: Term[], loc: Loc, start: number): CallTerm {
    const operator: RefTerm = {
      kind: 'ref',
      loc: at,
      terms: [
        { kind: 'var', name: 'internal', loc: at },
        { kind: 'string', value: name, loc: at },
      ],
    }
    return { kind: 'call', operator, args, loc: this.#span(loc, start), infix: true }
  }

  #span(loc: Loc, start: number): Loc {
    return this.c.from(loc, start)
  }

  #binary(level: number): Term | undefined {
    const kinds = LEVELS[level]
    if (!kinds) return this.term()
    const { c } = this
    const start = c.token.start
    let left = this.#binary(level + 1)
    while (left && kinds.includes(c.token.kind)) {
      const loc = c.loc
      const name = OPERATORS[c.token.kind] ?? ''
      c.advance()
      const right = this.#binary(level + 1)
      if (!right) return left
      left = {
        kind: 'call',
        operator: operatorRef(name, loc),
        args: [left, right],
        loc: this.#span(left.loc, start),
        infix: true,
      }
    }
    return left
  }

  term(): Term | undefined {
    const { c } = this
    const at = c.token.start
    if (this.#memoKeywords !== c.keywords.size) {
      this.#memo.clear()
      this.#memoKeywords = c.keywords.size
    }
    const asName = c.what === 'ident'
    const known = this.#memo.get(at)
    if (known && known.asName === asName) {
      c.reset({ ...known.mark, errors: c.errors.length })
      c.errors.push(...known.errors)
      return known.term
    }
    const before = c.errors.length
    const term = c.nested(() => (c.is('-') ? this.#minus(at) : this.#finish(this.#primary(), at)))
    this.#memo.set(at, { term, mark: c.mark(), asName, errors: c.errors.slice(before) })
    return term
  }

  /** A negative number, or a reference or call taken from nothing. */
  #minus(start: number): Term | undefined {
    const { c } = this
    const { loc } = c
    const mark = c.mark()
    c.advance()
    if (c.is('ident') || c.is('contains')) {
      const term = this.#finish(this.variable(), c.token.start)
      const zero = { kind: 'number', text: '0', loc } as const
      const operator = operatorRef('minus', loc)
      return term && { kind: 'call', operator, args: [zero, term], loc: this.#span(loc, start) }
    }
    c.reset(mark)
    return this.#finish(parseNumber(c), start)
  }

  /** The term up to its last token, which is still the current one. */
  #primary(): Term | undefined {
    const { c } = this
    const { loc } = c
    switch (c.what) {
      case 'null':
        return { kind: 'null', loc }
      case 'true':
      case 'false':
        return { kind: 'boolean', value: c.what === 'true', loc }
      case '.':
      case 'number':
        return parseNumber(c)
      case 'string':
      case 'rawString':
        return this.#string()
      case 'templatePart':
      case 'templateEnd':
        return this.#template(false)
      case 'rawTemplatePart':
      case 'rawTemplateEnd':
        return this.#template(true)
      case 'ident':
      case 'contains':
        return this.variable()
      case '[':
        return this.#array()
      case '{':
        return this.#braces()
      case '(': {
        const { start } = c.token
        c.advance()
        const inner = this.infix()
        if (!inner) return undefined
        if (c.is(')')) return { ...inner, parens: { start, length: c.token.end - start } }
        return c.error(c.loc, 'non-terminated expression')
      }
      case 'and':
      case 'or':
        // No operator can stand here, so this is a call of the builtin of that name.
        if (c.ahead.space || c.ahead.kind !== '(') return c.illegal()
        c.takeAsName()
        return this.variable()
      default:
        return c.illegal()
    }
  }

  variable(): Term {
    const { c } = this
    const { text } = c.token
    return { kind: 'var', name: text === '_' ? c.wildcard() : text, loc: c.loc }
  }

  /** Steps behind the term and takes what is attached to it: `.x`, `[y]`, `(args)`. */
  #finish(head: Term | undefined, start: number): Term | undefined {
    if (!head) return undefined
    const { c } = this
    c.advance()
    const { token } = c
    if (!token.space && (token.kind === '(' || token.kind === '.' || token.kind === '[')) {
      return this.ref(head, start)
    }
    return asRoot(head)
  }

  /** A reference or call, beginning at the `.`, `[` or `(` behind its head, with white space before that if `spaced`. */
  ref(head: Term, start: number, spaced = false): Term | undefined {
    return this.c.nested(() => this.#ref(head, start, spaced))
  }

  #ref(head: Term, start: number, spaced: boolean): Term | undefined {
    const { c } = this
    if (['null', 'boolean', 'number', 'string', 'ref', 'template'].includes(head.kind)) {
      c.error(head.loc, `illegal ref (head cannot be ${head.kind})`)
    }
    const terms: [Term, ...Term[]] = [head]
    for (;;) {
      const { token } = c
      const attached = !token.space || (spaced && terms.length === 1)
      if (attached && token.kind === '.') {
        c.advance()
        const next = c.token
        if (next.space || (c.what !== 'ident' && !c.isRefKeyword())) {
          return next.space
            ? c.error(c.spaceLoc, 'unexpected whitespace token: expected ident')
            : c.illegal('expected ident')
        }
        terms.push({ kind: 'string', value: next.text, loc: c.loc })
        c.advance()
      } else if (attached && token.kind === '(') {
        const operator: RefTerm = { kind: 'ref', terms, loc: this.#span(head.loc, start) }
        const call = this.#call(operator, start)
        if (!call) return undefined
        const after = c.token
        if (!after.space && (after.kind === '.' || after.kind === '[')) return this.ref(call, start)
        if (!after.space && after.kind === '(' && call.kind === 'call') return call
        return call
      } else if (attached && token.kind === '[') {
        c.advance()
        const term = this.infix()
        if (!term) return undefined
        if (!c.is(']')) return c.illegal('expected ]')
        terms.push(term)
        c.advance()
      } else return { kind: 'ref', terms, loc: this.#span(head.loc, start) }
    }
  }

  /** At `(`. */
  #call(operator: RefTerm, start: number): Term | undefined {
    const { c } = this
    const { loc } = operator
    c.advance()
    if (c.is(')')) {
      c.advance()
      const [name] = operator.terms
      if (operator.terms.length === 1 && name.kind === 'var' && name.name === 'set') {
        return { kind: 'set', items: [], loc: this.#span(loc, start) }
      }
      return { kind: 'call', operator, args: [], loc: this.#span(loc, start) }
    }
    const args = this.list(')', [])
    if (!args) return undefined
    c.advance()
    return { kind: 'call', operator, args, loc: this.#span(loc, start) }
  }

  /** Terms up to the closing token, which stays current; a trailing comma is allowed. */
  list(end: TokenKind, items: Term[]): Term[] | undefined {
    const { c } = this
    if (c.is(end)) return items
    for (;;) {
      const term = this.infixInList()
      if (!term) return undefined
      items.push(term)
      if (c.is(end)) return items
      if (!c.is(',')) return c.illegal(`expected "," or "${end}"`)
      c.advance()
      if (c.is(end)) return items
    }
  }

  #string(): Term | undefined {
    const { c } = this
    const { loc } = c
    const { text, kind } = c.token
    if (kind === 'rawString') return { kind: 'string', value: text.slice(1, -1), loc, raw: true }
    const value = unescape(text)
    if (value === undefined) return c.error(loc, `illegal string literal: ${text}`)
    return { kind: 'string', value, loc }
  }

  #template(raw: boolean): TemplateTerm | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    const parts: (Term | Expr)[] = []
    for (;;) {
      const { kind, text } = c.token
      const expected = raw ? ['rawTemplatePart', 'rawTemplateEnd'] : ['templatePart', 'templateEnd']
      if (!expected.includes(kind)) return c.error(c.loc, 'expected template-string part')
      const inner = text.slice(text.startsWith('$') ? 2 : 1, -1)
      const value = raw
        ? inner.replaceAll('\\{', '{')
        : unescape(`"${inner.replace(/\\([\s\S])/g, (all, e) => (e === '{' ? '{' : all))}"`)
      if (value === undefined) return c.error(c.loc, `illegal template-string part: ${text}`)
      if (value !== '') parts.push({ kind: 'string', value, loc: c.loc })
      if (kind === 'templateEnd' || kind === 'rawTemplateEnd') break
      const { comments } = c.token
      c.advance()
      const part = this.#templateExpr(comments)
      if (!part) return undefined
      parts.push(part)
      if (!c.is('}')) return c.error(c.loc, 'expected } to end template string expression')
      c.advance()
    }
    const last = c.token
    return { kind: 'template', multiLine: raw, parts, loc: { ...loc, length: last.end - start } }
  }

  #templateExpr(comments: number): Term | Expr | undefined {
    const { c } = this
    const quiet = c.token.comments === comments
    const expr = this.parseLiteral()
    if (!expr) return c.error(c.loc, 'invalid template-string expression')
    const { node } = expr
    if (expr.negated)
      return c.error(expr.loc, "unexpected negation ('not') in template-string expression")
    if (node.kind === 'call' && node.infix && isOperator(node.operator, 'eq')) {
      return c.error(expr.loc, "unexpected unification ('=') in template-string expression")
    }
    if (node.kind === 'call' && node.infix && isOperator(node.operator, 'assign')) {
      return c.error(expr.loc, "unexpected assignment (':=') in template-string expression")
    }
    if (node.kind === 'every')
      return c.error(expr.loc, "unexpected 'every' in template-string expression")
    if (node.kind === 'some' || node.kind === 'someIn') {
      return c.error(expr.loc, "unexpected 'some' in template-string expression")
    }
    if (quiet && node.kind === 'term' && expr.with.length === 0) {
      if (['string', 'number', 'boolean', 'null'].includes(node.term.kind)) return node.term
    }
    return expr
  }

  #array(): Term | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    const closed = (items: readonly Term[]): ArrayTerm => ({
      kind: 'array',
      items,
      loc: { ...loc, length: c.token.end - start },
    })
    c.advance()
    if (c.is(']')) return closed([])
    const comprehension = !this.#skipsComma()
    const mark = c.mark()
    const head = this.term()
    if (!head) return undefined
    if (c.is(']')) return closed([head])
    if (c.is(',')) {
      c.advance()
      const items = this.list(']', [head])
      return items && closed(items)
    }
    if (c.is('|') && comprehension) {
      c.advance()
      const body = this.parseBody(']')
      if (body) {
        return {
          kind: 'arrayComprehension',
          term: head,
          body,
          loc: { ...loc, length: c.token.end - start },
        }
      }
      if (!c.is(',')) return undefined
    }
    c.reset(mark)
    const items = this.list(']', [])
    return items && closed(items)
  }

  /** A list may begin with a comma, a comprehension may not. */
  #skipsComma(): boolean {
    const { c } = this
    if (!c.is(',')) return false
    c.advance()
    return true
  }

  /** A set, an object or a comprehension of either. */
  #braces(): Term | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    const at = () => ({ ...loc, length: c.token.end - start })
    c.advance()
    if (c.is('}')) return { kind: 'object', pairs: [], loc: at() }
    const comprehension = !this.#skipsComma()
    const mark = c.mark()
    const head = this.term()
    if (!head) return undefined
    if (c.is('|') && comprehension) return this.#set(mark, head, true, at)
    if (c.is('}') || c.is(',')) return this.#set(mark, head, comprehension, at)
    if (c.is(':')) return this.#object(head, comprehension, at)
    c.reset(mark)
    const wide = this.infixInList()
    if (!wide) return undefined
    if (c.is('}') || c.is(',')) return this.#set(mark, wide, false, at)
    if (c.is(':')) return this.#object(wide, comprehension, at)
    return c.illegal('non-terminated set')
  }

  #set(
    mark: ReturnType<Cursor['mark']>,
    head: Term,
    comprehension: boolean,
    at: () => Loc,
  ): Term | undefined {
    const { c } = this
    if (c.is('}')) return { kind: 'set', items: [head], loc: at() }
    if (c.is(',')) {
      c.advance()
      const items = this.list('}', [head])
      return items && { kind: 'set', items: distinctItems(items), loc: at() }
    }
    if (comprehension) {
      c.advance()
      const body = this.parseBody('}')
      if (body) return { kind: 'setComprehension', term: head, body, loc: at() }
      if (!c.is(',')) return undefined
    }
    c.reset(mark)
    const items = this.list('}', [])
    return items && { kind: 'set', items: distinctItems(items), loc: at() }
  }

  /** At the colon behind the first key. */
  #object(key: Term, comprehension: boolean, at: () => Loc): Term | undefined {
    const { c } = this
    c.advance()
    const mark = c.mark()
    const value = this.term()
    if (!value) return undefined
    let relation = true
    if (comprehension) {
      if (c.is('}') || c.is(',')) relation = false
      if (!relation || c.is('|')) {
        const done = this.#objectRest(key, value, true, at)
        if (done) return done
      }
    }
    c.reset(mark)
    if (relation) {
      const wide = this.infixInList()
      if (!wide) return undefined
      if (c.is('}') || c.is(',')) return this.#objectRest(key, wide, false, at)
    }
    return c.illegal('non-terminated object')
  }

  #objectRest(key: Term, value: Term, comprehension: boolean, at: () => Loc): Term | undefined {
    const { c } = this
    if (c.is('}')) return { kind: 'object', pairs: [[key, value]], loc: at() }
    if (c.is('|')) {
      if (!comprehension) return c.illegal('non-terminated object')
      c.advance()
      const body = this.parseBody('}')
      return body && { kind: 'objectComprehension', key, value, body, loc: at() }
    }
    if (!c.is(',')) return undefined
    c.advance()
    const pairs: [Term, Term][] = [[key, value]]
    while (!c.is('}')) {
      const k = this.infixInList()
      if (!k) return undefined
      if (!c.is(':')) return c.illegal('expected ":"')
      c.advance()
      const v = this.infixInList()
      if (!v) return undefined
      pairs.push([k, v])
      if (c.is('}')) break
      if (!c.is(',')) return c.illegal('expected "," or "}"')
      c.advance()
    }
    return { kind: 'object', pairs: lastPairs(pairs), loc: at() }
  }
}

/** The value of a quoted literal, or undefined when an escape is broken. */
function unescape(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex
  if (!text.includes('\\') && !/[\u0000-\u001f]/.test(text)) return text.slice(1, -1)
  try {
    // Go replaces a lone surrogate, JavaScript keeps it.
    const tabs = text.replace(
      // oxlint-disable-next-line no-control-regex
      /[\u0000-\u001f]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
    return (JSON.parse(tabs) as string).replace(
      /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g,
      '\uFFFD',
    )
  } catch {
    return undefined
  }
}
