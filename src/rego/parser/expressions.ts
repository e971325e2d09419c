import type { Body, CallTerm, Expr, ExprNode, Loc, Term, VarTerm, With } from '../ast/ast.ts'
import type { Cursor } from './cursor.ts'
import type { TokenKind } from './lexer.ts'
import { OPERATORS, TermParser } from './terms.ts'
import { isOperator, operatorName, operatorRef } from '../ast/operators.ts'

// Recursive descent, one class on top of the other: tokens, terms, expressions, rules. What is sugar is taken away here: `and` and
// `or` become bodies and their negations, so that no later stage needs to know of them; a mark that stays is for the formatter.

/** Planning nests with the length of a body; no author writes one this long. */
const BODY_MAX = 2000

/** Expressions and bodies on top of terms. */
export class ExpressionParser extends TermParser {
  constructor(cursor: Cursor) {
    super(cursor)
    this.parseBody = (end) => cursor.nested(() => this.query(end, false))
    this.parseLiteral = () => this.literal()
  }

  /** Expressions up to the closing token, separated by `;` or new lines. */
  query(end: TokenKind, single: boolean): Body | undefined {
    const { c } = this
    if (c.is(end)) return c.error(c.loc, 'found empty body')
    const body: Expr[] = []
    for (;;) {
      const expr = this.literal()
      if (!expr) return undefined
      if (body.length >= BODY_MAX)
        return c.error(expr.loc, `more than ${BODY_MAX} expressions in one body`)
      body.push(expr)
      if (c.is(';')) {
        c.advance()
        continue
      }
      if (c.is(end) || single) return body
      if (!c.token.newline) {
        return c.failed ? undefined : c.illegal(`expected \\n or ; or ${end}`)
      }
    }
  }

  literal(): Expr | undefined {
    const { c } = this
    if (!c.keywords.has('and') && !c.keywords.has('or')) return this.#operand()
    return this.#logical()
  }

  /** `a and b or c`: `and` binds tighter; `with` behind it all belongs to it all. */
  #logical(): Expr | undefined {
    const { c } = this
    const left = this.#joined('or', false, (isRight) => this.#conjunction(isRight), disjoin)
    if (left && c.begins('with')) {
      const mods = this.with()
      return mods && { ...left, with: [...left.with, ...mods] }
    }
    return left
  }

  #conjunction(isRight: boolean): Expr | undefined {
    return this.#joined('and', isRight, (right) => this.#logicalOperand(right), conjoin)
  }

  /** Operands with a word between them, joined from the left. */
  #joined(
    word: 'and' | 'or',
    isRight: boolean,
    operand: (isRight: boolean) => Expr | undefined,
    join: (left: Expr, right: Expr, loc: Loc) => Expr,
  ): Expr | undefined {
    const { c } = this
    const start = c.token.start
    const loc = c.loc
    let left = operand(isRight)
    while (left && c.is(word)) {
      c.advance()
      const right = operand(true)
      if (!right) return undefined
      left = join(left, right, { ...c.from(loc, start) })
    }
    return left
  }

  /** `{ body }`, `( logical )`, or an ordinary literal without a `with` of its own. */
  #logicalOperand(isRight: boolean): Expr | undefined {
    const { c } = this
    const { loc } = c
    const { start } = c.token
    const mark = c.mark()
    if (c.is('{')) {
      c.advance()
      const body = this.parseBody('}')
      if (body && c.is('}')) {
        c.advance()
        if (isRight || c.is('and') || c.is('or')) {
          return exprOf({ kind: 'body', body }, c.from(loc, start))
        }
      }
      c.reset(mark)
    }
    if (c.is('(')) {
      c.advance()
      const inner = c.nested(() => this.#logical())
      if (inner && c.is(')')) {
        const modified = inner.node.kind === 'body' || inner.with.length > 0 || inner.negated
        c.advance()
        if (modified) return exprOf({ kind: 'body', body: [inner] }, c.from(loc, start))
      }
      c.reset(mark)
    }
    return this.#operand()
  }

  #operand(): Expr | undefined {
    const { c } = this
    if (c.keywordBeginsRef()) {
      c.takeAsName()
      return this.#plain(false)
    }
    const { loc } = c
    const { start } = c.token
    let negated = false
    if (c.is('not')) {
      c.advance()
      negated = true
      const body = this.#negatedBody(loc, start)
      if (body) return body
      // With \`import future.keywords.not\` a negation is a scope: what it reads is read inside.
      if (c.keywords.has('not {}') && !c.is('some') && !c.is('every')) {
        const inner = this.#plain(false)
        if (!inner) return undefined
        return { ...exprOf({ kind: 'body', body: [inner] }, c.from(loc, start)), negated: true }
      }
    }
    if (c.is('some')) return negated ? c.illegal("illegal negation of 'some'") : this.some()
    if (c.is('every')) return negated ? c.illegal("illegal negation of 'every'") : this.every()
    return this.#plain(negated, loc, start)
  }

  /** `not { body }` and `not (a or b)`, experimental. */
  #negatedBody(loc: Expr['loc'], start: number): Expr | undefined {
    const { c } = this
    if (!c.keywords.has('not {}')) return undefined
    const mark = c.mark()
    if (c.is('{')) {
      c.advance()
      const body = this.parseBody('}')
      if (body && c.is('}')) {
        c.advance()
        const mods = c.begins('with') ? this.with() : []
        if (!mods) return undefined
        return { ...exprOf({ kind: 'body', body }, c.from(loc, start)), negated: true, with: mods }
      }
    } else if (c.is('(')) {
      c.advance()
      const inner = c.nested(() => this.#logical())
      if (inner && (inner.node.kind === 'body' || inner.with.length > 0) && c.is(')')) {
        c.advance()
        return { ...exprOf({ kind: 'body', body: [inner] }, c.from(loc, start)), negated: true }
      }
    }
    c.reset(mark)
    return undefined
  }

  #plain(negated: boolean, loc = this.c.loc, start = this.c.token.start): Expr | undefined {
    const { c } = this
    const node = this.#node()
    if (!node) return undefined
    let mods: readonly With[] = []
    // Where `and` and `or` exist, a `with` belongs to the whole logical expression.
    if (c.begins('with') && !c.keywords.has('and') && !c.keywords.has('or')) {
      const found = this.with()
      if (!found) return undefined
      mods = found
    }
    return { ...exprOf(node, c.from(loc, start)), negated, with: mods }
  }

  #node(): ExprNode | undefined {
    const { c } = this
    const left = this.infix()
    if (!left) return undefined
    if (c.is(':=') || c.is('=')) {
      const operator = operatorRef(OPERATORS[c.token.kind] ?? '', c.loc)
      c.advance()
      const right = this.infix()
      return right && { kind: 'call', operator, args: [left, right], infix: true }
    }
    if (left.kind === 'call') {
      const { operator, args, infix } = left
      return { kind: 'call', operator, args, ...(infix ? { infix } : {}) }
    }
    return { kind: 'term', term: left }
  }

  with(): With[] | undefined {
    const { c } = this
    const mods: With[] = []
    while (c.begins('with')) {
      const { loc } = c
      const start = c.token.start
      c.advance()
      if (!c.is('ident')) return c.illegal('expected ident')
      const target = this.term()
      if (!target) return undefined
      if (target.kind !== 'ref' && target.kind !== 'var') c.illegal('expected with target path')
      if (!c.is('as')) return c.illegal('expected as keyword')
      c.advance()
      const value = this.infix()
      if (!value) return undefined
      mods.push({ target, value, loc: c.from(loc, start) })
    }
    return mods
  }

  some(): Expr | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    const mark = c.mark()
    c.advance()
    const term = this.infix()
    if (term?.kind === 'call') {
      const member = memberOf(term)
      if (!member) return c.illegal('expected `x in xs` or `x, y in xs` expression')
      const mods = c.begins('with') ? this.with() : []
      if (!mods) return undefined
      return { ...exprOf({ kind: 'someIn', ...member }, c.from(loc, start)), with: mods }
    }
    c.reset(mark)
    const vars: VarTerm[] = []
    do {
      c.advance()
      if (!c.is('ident')) return c.illegal('expected var')
      const name = this.variable()
      if (name.kind === 'var') vars.push(name)
      c.advance()
    } while (c.is(','))
    return exprOf({ kind: 'some', vars }, c.from(loc, start))
  }

  every(): Expr | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    c.advance()
    const term = this.infix()
    if (!term) return undefined
    const member = term.kind === 'call' ? memberOf(term) : undefined
    if (!member) return c.illegal('expected `x[, y] in xs { ... }` expression')
    const { key, value, domain } = member
    if (key && key.kind !== 'var') return c.illegal('expected key to be a variable')
    if (value.kind !== 'var') return c.illegal('expected value to be a variable')
    if (!c.is('{')) return c.illegal('missing body')
    c.advance()
    const body = this.parseBody('}')
    if (!body) return undefined
    c.advance()
    const mods = c.begins('with') ? this.with() : []
    if (!mods) return undefined
    return {
      ...exprOf({ kind: 'every', key, value, domain, body }, c.from(loc, start)),
      with: mods,
    }
  }
}

function exprOf(node: ExprNode, loc: Expr['loc']): Expr {
  return { kind: 'expr', node, negated: false, with: [], loc }
}

/** The parts of `x in xs` or `k, x in xs`. */
function memberOf(
  call: CallTerm,
): { key: Term | undefined; value: Term; domain: Term } | undefined {
  const name = operatorName(call.operator)
  const [a, b, c] = call.args
  if (name === 'internal.member_2' && a && b && !c) return { key: undefined, value: a, domain: b }
  if (name === 'internal.member_3' && a && b && c) return { key: a, value: b, domain: c }
  return undefined
}

export { isOperator }

function conjoin(left: Expr, right: Expr, loc: Loc): Expr {
  const { node, negated, with: mods } = left
  const isOpen = node.kind === 'body' && node.logical === 'and' && !negated && mods.length === 0
  const body: Body = isOpen ? [...node.body, right] : [left, right]
  return exprOf({ kind: 'body', body, logical: 'and' }, loc)
}

// a or b is not (not a and not b): each side keeps a scope of its own.
function disjoin(left: Expr, right: Expr, loc: Loc): Expr {
  const no = (expr: Expr): Expr => ({
    ...exprOf({ kind: 'body', body: [expr] }, expr.loc),
    negated: true,
  })
  const body = [no(left), no(right)]
  return { ...exprOf({ kind: 'body', body, logical: 'or' }, loc), negated: true }
}
