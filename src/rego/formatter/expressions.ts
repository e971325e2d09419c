import type { Body, BodyNode, CallNode, Expr, SomeNode, Term, With } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'
import { symbolOf } from './operators.ts'
import { type Span, lineBreaks } from './spans.ts'
import { TermFormatter, isUnion } from './terms.ts'
import { UnexpectedComment } from './writer.ts'

// Lays out from the tree, not from the text: one layout for each module, the same when it is laid out again. What the parser took
// apart (`and`, `or`, infix operators) is put together again here, with no more parentheses than the grammar needs.

/** An operand of `and` or `or`. */
interface Operand {
  readonly body: Body
  /** Written in braces, which are a scope. */
  readonly braced: Expr | undefined
  readonly parens: boolean
}
interface LogicalStep {
  readonly word: 'and' | 'or'
  readonly right: Operand
  readonly leftEndRow: number
}

/** Expressions and bodies on top of terms. */
export abstract class ExpressionFormatter extends TermFormatter {
  /** Expressions, each on a line of its own; one blank line between them stays. */
  body(body: Body): void {
    const [first] = body
    if (first) this.insertComments(first.loc.row)
    let lastRow = Number.POSITIVE_INFINITY
    for (const expr of body) {
      if (expr.loc.row > lastRow + 1) this.blankLine()
      lastRow = expr.loc.row + lineBreaks(this.source.textOf(this.source.of(expr.loc)))
      this.startLine()
      this.#settled(expr)
      this.endLine()
    }
  }

  /** An expression; as it stood when its comments have no place in the layout. */
  #settled(expr: Expr): void {
    const saved = this.save()
    try {
      this.expr(expr)
    } catch (error) {
      if (!(error instanceof UnexpectedComment)) throw error
      if (!error.whole) this.asItStood(saved, this.source.of(expr.loc))
      this.level = saved.level
    }
  }

  expr(expr: Expr): void {
    const parens = this.unionLead === expr
    if (parens) this.unionLead = undefined
    this.insertComments(expr.loc.row)
    if (!this.inline) this.startLine()
    // Of a scope behind `not` the braces are written with it.
    const scope = expr.node.kind === 'body' ? expr.node : undefined
    if (scope?.logical) this.#logical(expr)
    else if (scope) this.#scope(expr, scope.body)
    else this.#plain(expr, parens)
    if (expr.with.length > 0) this.#withs(expr)
  }

  #plain(expr: Expr, parens: boolean): void {
    const { node } = expr
    if (expr.negated) this.write('not ')
    if (parens) this.write('(')
    if (node.kind === 'some') this.#some(node, expr.loc.row)
    else if (node.kind === 'someIn') {
      this.write('some ')
      this.membership([...(node.key ? [node.key] : []), node.value, node.domain], false)
    } else if (node.kind === 'every') this.#every(expr)
    else if (node.kind === 'term') this.#last(expr, node.term)
    else if (node.kind === 'call') this.#callExpr(expr, node)
    if (parens) this.write(')')
  }

  /** The last term of an expression: when it stands as it stood, so does the expression, if nothing follows. */
  #last(expr: Expr, term: Term): void {
    try {
      this.term(term)
    } catch (error) {
      if (error instanceof UnexpectedComment && expr.with.length > 0) error.whole = false
      throw error
    }
  }

  #first(term: Term): void {
    try {
      this.term(term)
    } catch (error) {
      if (error instanceof UnexpectedComment) error.whole = false
      throw error
    }
  }

  #callExpr(expr: Expr, { operator, args }: CallNode): void {
    const name = operatorName(operator) ?? ''
    const symbol = symbolOf(name)
    const [left, right, result] = args
    if (name.startsWith('internal.member_')) this.membership(args, false)
    else if (symbol === undefined || !left || !right || args.length > 3) {
      try {
        this.call(operator, args)
      } catch (error) {
        if (error instanceof UnexpectedComment) error.whole = false
        throw error
      }
    } else {
      if (result) {
        this.#first(result)
        this.write(' = ')
      }
      this.#first(left)
      this.write(` ${symbol} `)
      this.#last(expr, right)
    }
  }

  #some({ vars }: SomeNode, startRow: number): void {
    this.write('some ')
    let row = startRow
    for (const [i, name] of vars.entries()) {
      if (name.loc.row > row) {
        this.endLine()
        this.startLine()
        this.write('\t')
        row = name.loc.row
      } else if (i > 0) this.write(' ')
      this.term(name)
      if (i < vars.length - 1) this.write(',')
    }
  }

  #every(expr: Expr): void {
    const { node, loc } = expr
    if (node.kind !== 'every') return
    this.write('every ')
    if (node.key) {
      this.term(node.key)
      this.write(', ')
    }
    this.term(node.value)
    this.write(' in ')
    this.term(node.domain)
    this.write(' ')
    this.#braces(node.body, this.source.of(loc), loc.row, node.body.length === 1)
  }

  #braces(body: Body, span: Span, row: number, spaced = true): void {
    this.write('{')
    this.tolerant(() => this.enclosedBody('{}', body, row, span))
    if (spaced && body.at(-1)?.loc.row === row) this.write(' ')
    this.write('}')
  }

  /** What follows is written although comments had no place in this. */
  protected tolerant(write: () => void): void {
    try {
      write()
    } catch (error) {
      if (!(error instanceof UnexpectedComment)) throw error
    }
  }

  #withs(expr: Expr): void {
    const [first, ...rest] = expr.with
    if (!first) return
    let lastRow = this.source.termsEndRow(expr)
    let others: readonly With[] = expr.with
    if (first.loc.row === lastRow) {
      this.#with(first, false)
      others = rest
    }
    let indented = false
    for (const modifier of others) {
      const below = modifier.loc.row > lastRow
      if (below) {
        if (!indented) this.level++
        indented = true
        this.endLine()
        this.startLine()
        lastRow = modifier.loc.row
      }
      this.#with(modifier, below)
    }
    if (indented) this.level--
  }

  #with({ target, value, loc }: With, below: boolean): void {
    this.insertComments(loc.row)
    this.write(below ? 'with ' : ' with ')
    this.term(target)
    this.write(' as ')
    this.tolerant(() => this.term(value))
  }

  /** `not { ... }`, `not (a or b)`, and `not x` where a negation is a scope. */
  #scope(expr: Expr, body: Body): void {
    const [first] = body
    if (!first) return
    if (!expr.negated) {
      this.#operand(this.#operandOf({ ...expr, with: [] }, 'or', false))
      return
    }
    this.write('not ')
    if (body.length > 1 || this.#bracesBehindNot(expr)) {
      this.#markUnion(first)
      const { row } = expr.loc
      this.#braces(body, this.source.of(expr.loc), row)
      return
    }
    const parens = first.with.length > 0 || isLogical(first) || this.#leadsWithBrace(first)
    if (parens) this.write('(')
    this.tolerant(() => this.expr(first))
    if (parens) this.write(')')
  }

  #bracesBehindNot(expr: Expr): boolean {
    return /^not\s*\{/.test(this.source.text.slice(this.source.offset(expr.loc)))
  }

  #markUnion(expr: Expr): void {
    if (isUnionExpr(expr)) this.unionLead = expr
  }

  #logical(expr: Expr): void {
    const { first, steps } = this.#flat(expr)
    this.tolerant(() => this.#operand(first))
    let indented = false
    for (const { word, right, leftEndRow } of steps) {
      this.write(` ${word}`)
      if (!right.braced && (right.body[0]?.loc.row ?? 0) > leftEndRow) {
        if (!indented) this.level++
        indented = true
        this.endLine()
        this.startLine()
      } else this.write(' ')
      this.tolerant(() => this.#operand(right))
    }
    if (indented) this.level--
  }

  #operand({ body, braced, parens }: Operand): void {
    const [first] = body
    if (!first) return
    if (braced) {
      this.#markUnion(first)
      const span = this.source.of(braced.loc)
      const toEnd = { ...span, end: this.source.text.length }
      this.#braces(body, toEnd, span.row)
      return
    }
    if (parens) this.write('(')
    this.expr(first)
    if (parens) this.write(')')
  }

  /** A chain of one operator's operands: those on its left side that need no parentheses belong to it. */
  #flat(expr: Expr): { readonly first: Operand; readonly steps: readonly LogicalStep[] } {
    const { word, operands } = logicalParts(expr)
    const [left, ...right] = operands
    const before =
      left && isLogical(left) && !needsParens(left, word, false) ? this.#flat(left) : undefined
    const first = before?.first ?? this.#operandOf(left as Expr, word, false)
    const steps = [...(before?.steps ?? [])]
    let leftEndRow = before ? this.#endRow(left as Expr) : this.#operandEndRow(first)
    for (const operand of right) {
      steps.push({ word, right: this.#operandOf(operand, word, true), leftEndRow })
      leftEndRow = this.#endRow(operand)
    }
    return { first, steps }
  }

  #operandOf(expr: Expr, word: 'and' | 'or', isRight: boolean): Operand {
    const { node, loc } = expr
    if (node.kind === 'body' && !node.logical && !expr.negated && expr.with.length === 0) {
      if (this.source.begins(this.source.of(loc), '{')) {
        return { body: node.body, braced: expr, parens: false }
      }
      // Parentheses are put where they are needed, however many there were.
      const [inner] = node.body
      if (inner) return this.#operandOf(inner, word, isRight)
    }
    return { body: [expr], braced: undefined, parens: this.#keepsParens(expr, word, isRight) }
  }

  #keepsParens(expr: Expr, word: 'and' | 'or', isRight: boolean): boolean {
    return expr.with.length > 0 || needsParens(expr, word, isRight) || this.#leadsWithBrace(expr)
  }

  #operandEndRow({ braced, body }: Operand): number {
    if (braced) {
      const span = { ...this.source.of(braced.loc), end: this.source.text.length }
      return this.source.closingRow(span, '{}')
    }
    const last = body.at(-1)
    return last ? this.#endRow(last) : 0
  }

  #endRow(expr: Expr): number {
    return this.source.endRow(this.source.of(expr.loc))
  }

  #leadsWithBrace({ node }: Expr): boolean {
    if (node.kind === 'term') return termLeadsWithBrace(node.term)
    if (node.kind !== 'call') return false
    const lead = leadingOperand(node)
    return lead !== undefined && termLeadsWithBrace(lead)
  }

  /** Puts the union in parentheses that would turn a body in braces into a comprehension. */
  protected markUnionLead(expr: Expr): void {
    if (isLogical(expr)) {
      const { first } = this.#flat(expr)
      if (!first.braced && !first.parens && first.body[0]) this.markUnionLead(first.body[0])
      return
    }
    if (expr.negated) return
    if (isUnionExpr(expr)) {
      this.unionLead = expr
      return
    }
    const lead = expr.node.kind === 'call' ? leadingOperand(expr.node) : undefined
    if (lead && isUnion(lead)) this.unionLead = lead
  }
}

/** The operand that an infix call begins with. */
function leadingOperand({ operator, args }: CallNode): Term | undefined {
  if (symbolOf(operatorName(operator) ?? '') === undefined) return undefined
  return args.length === 3 ? args[2] : args[0]
}

function isUnionExpr({ node }: Expr): boolean {
  return node.kind === 'call' && operatorName(node.operator) === 'or' && node.args.length === 2
}

function termLeadsWithBrace(term: Term): boolean {
  switch (term.kind) {
    case 'set':
      return term.items.length > 0
    case 'object':
    case 'setComprehension':
    case 'objectComprehension':
      return true
    case 'ref':
      return termLeadsWithBrace(term.terms[0])
    case 'call': {
      const [first] = symbolOf(operatorName(term.operator) ?? '') === undefined ? [] : term.args
      return first !== undefined && termLeadsWithBrace(first)
    }
    default:
      return false
  }
}

function isLogical({ node }: Expr): boolean {
  return node.kind === 'body' && node.logical !== undefined
}

/** The operands of `and`; those of `or` stand negated in a negated body. */
function logicalParts(expr: Expr): { word: 'and' | 'or'; operands: readonly Expr[] } {
  const { body, logical = 'and' } = expr.node as BodyNode
  if (logical === 'and') return { word: 'and', operands: body }
  const operands = body.flatMap(({ node }) => (node.kind === 'body' ? node.body : []))
  return { word: 'or', operands }
}

function needsParens({ node }: Expr, word: 'and' | 'or', isRight: boolean): boolean {
  if (node.kind !== 'body' || !node.logical) return false
  return node.logical === 'or' ? word === 'and' || isRight : word === 'and' && isRight
}
