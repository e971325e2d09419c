import type { Body, CallTerm, Comment, Expr, RefTerm, Term, TemplateTerm } from '../ast/ast.ts'
import { operatorName } from '../ast/operators.ts'
import { symbolOf } from './operators.ts'
import type { Source, Span } from './spans.ts'
import { UnexpectedComment, Writer } from './writer.ts'

// The layout of `opa fmt`: from the tree, not from the text. What the author decides is where lines end: a
// collection whose brackets stand on one line stays on one, any other has a line for each element. Comments belong
// to no node, so whatever is written first asks for those that stand above its row. Terms here, expressions and
// rules in the files that build on it.

/** What may be written differently in one module than in another. */
export interface Dialect {
  /** The new Rego, or an old module with `import rego.v1`, decides for itself. */
  readonly v1: boolean
  readonly contains: boolean
  readonly ifs: boolean
  readonly refHeads: boolean
  readonly keywords: ReadonlySet<string>
}

/** An element between brackets, by the term that it begins with. */
interface Element {
  readonly first: Term
  readonly write: () => void
}

/** Terms as text. Elements stay on the lines where they began; brackets that span lines stand on lines of their own. */
export abstract class TermFormatter extends Writer {
  readonly dialect: Dialect
  /** A union that would read as a comprehension where it stands. */
  protected unionLead: Term | Expr | undefined

  constructor(source: Source, comments: readonly Comment[], dialect: Dialect) {
    super(source, comments)
    this.dialect = dialect
  }

  abstract expr(expr: Expr): void
  abstract body(body: Body): void

  /** A term; as it stood when its comments have no place in the layout. */
  term(term: Term, row = term.loc.row): void {
    if (this.pending.length === 0) {
      this.#term(term, false, row)
      return
    }
    const saved = this.save()
    try {
      this.#term(term, false, row)
    } catch (error) {
      if (!(error instanceof UnexpectedComment)) throw error
      this.asItStood(saved, this.source.term(term))
      error.whole = true
      throw error
    }
  }

  /** A term that is an operand: infix calls in it stand in parentheses. */
  operand(term: Term): void {
    this.#term(term, true, term.loc.row)
  }

  #term(term: Term, parens: boolean, row: number): void {
    const lead = this.unionLead === term
    if (lead) this.unionLead = undefined
    this.insertComments(row)
    if (!this.inline) this.startLine()
    this.#value(term, parens || lead)
    if (!this.inline) this.startLine()
  }

  #value(term: Term, parens: boolean): void {
    switch (term.kind) {
      case 'ref':
        this.ref(term.terms)
        return
      case 'object':
        this.#between('{}', this.source.term(term), this.#pairs(term.pairs))
        return
      case 'array':
        this.#between('[]', this.source.term(term), this.#items(term.items))
        return
      case 'set':
        this.#set(term.items, this.source.term(term))
        return
      case 'arrayComprehension':
        this.write('[')
        this.#comprehension('[]', term.term, term.body, term)
        this.write(']')
        return
      case 'setComprehension':
        this.write('{')
        this.#comprehension('{}', term.term, term.body, term)
        this.write('}')
        return
      case 'objectComprehension':
        this.#objectComprehension(term)
        return
      case 'string':
        this.write(this.#string(term))
        return
      case 'template':
        this.#template(term)
        return
      case 'call':
        this.#call(term, parens)
        return
      case 'var':
        this.write(variableText(term.name))
        return
      case 'number':
        this.write(term.text)
        return
      case 'boolean':
        this.write(String(term.value))
        return
      case 'null':
        this.write('null')
    }
  }

  /** Strings stay as they were written. */
  #string(term: Extract<Term, { kind: 'string' }>): string {
    const text = this.source.textOf(this.source.of(term.loc))
    const quoted = /^["`]/.test(text) && text.endsWith(text.charAt(0)) && text.length > 1
    return quoted && !term.parens ? text : JSON.stringify(term.value)
  }

  ref(terms: readonly Term[]): void {
    const [head, ...path] = terms
    if (!head) return
    if (head.kind === 'call' && head.parens) this.operand(head)
    else this.#term(head, false, head.loc.row)
    for (const step of path) {
      if (step.kind === 'string') this.#step(step)
      else if (step.kind === 'var') this.write(`[${variableText(step.name)}]`)
      else {
        this.write('[')
        this.#stepTerm(step)
        this.write(']')
      }
    }
  }

  /** A term in brackets; behind the comment on its last line the bracket needs a line of its own. */
  #stepTerm(step: Term): void {
    try {
      this.term(step)
    } catch (error) {
      if (!(error instanceof UnexpectedComment)) throw error
      this.write('\n')
    }
  }

  #step(step: Extract<Term, { kind: 'string' }>): void {
    const quoted = this.source.text[this.source.offset(step.loc)] === '"'
    const name = /^[A-Za-z_][A-Za-z0-9_]*$/.test(step.value)
    const asName = name && !(quoted && this.dialect.keywords.has(step.value))
    this.write(asName ? `.${step.value}` : `[${JSON.stringify(step.value)}]`)
  }

  #call(term: CallTerm, parens: boolean): void {
    const name = operatorName(term.operator) ?? ''
    if (name.startsWith('internal.member_')) {
      this.membership(term.args, true)
      return
    }
    const symbol = symbolOf(name)
    const [left, right] = term.args
    if (symbol === undefined || !left || !right) {
      this.call(term.operator, term.args)
      return
    }
    if (parens) this.write('(')
    this.operand(left)
    this.write(` ${symbol} `)
    this.operand(right)
    if (parens) this.write(')')
  }

  /** `x in xs`, `k, v in xs`; the latter in parentheses where it is an operand. */
  membership(operands: readonly Term[], isOperand: boolean): void {
    const parens = isOperand && operands.length === 3
    if (parens) this.write('(')
    for (const [i, operand] of operands.entries()) {
      if (i > 0) this.write(i === operands.length - 1 ? ' in ' : ', ')
      this.operand(operand)
    }
    if (parens) this.write(')')
  }

  /** `f(x, y)` */
  call(operator: RefTerm, args: readonly Term[]): void {
    this.ref(operator.terms)
    this.write('(')
    this.#elements(this.#items(args, false), this.source.name(operator), -1)
    this.write(')')
  }

  /** The arguments in the head of a function. */
  args(args: readonly Term[], head: Span): void {
    this.write('(')
    this.#elements(this.#items(args, false), head, this.source.closingRow(head, '()'))
    this.write(')')
  }

  #set(items: readonly Term[], span: Span): void {
    if (items.length > 0) {
      this.#between('{}', span, this.#items(items))
      return
    }
    this.write('set()')
    this.insertComments(this.source.closingRow(span, '()'))
  }

  #items(items: readonly Term[], unionsInParens = true): Element[] {
    return items.map((item) => ({
      first: item,
      write: () => {
        const inParens = isUnion(item) && (unionsInParens || item.parens !== undefined)
        this.#maybeInParens(item, inParens)
      },
    }))
  }

  #pairs(pairs: readonly (readonly [Term, Term])[]): Element[] {
    return pairs.map(([key, value]) => ({
      first: key,
      write: () => {
        this.#maybeInParens(key, isUnion(key))
        this.write(': ')
        this.#maybeInParens(value, isUnion(value))
      },
    }))
  }

  #maybeInParens(term: Term, parens: boolean): void {
    if (parens) this.write('(')
    this.term(term)
    if (parens) this.write(')')
  }

  #between(pair: '[]' | '{}', span: Span, elements: readonly Element[]): void {
    this.write(pair.charAt(0))
    this.#elements(elements, span, this.source.closingRow(span, pair))
    this.write(pair.charAt(1))
  }

  #elements(elements: readonly Element[], span: Span, closingRow: number): void {
    const lines = onLines(elements, span.row, ({ first }) => first.loc.row)
    let leads = false
    if (lines.length <= 1) {
      // Comments between the brackets would have no line to stand on.
      if (this.pending.some(({ loc }) => loc.row > span.row && loc.row < closingRow)) {
        throw new UnexpectedComment()
      }
      leads = this.#newLineBefore(elements[0]?.first, span)
    }
    const apart = lines.length > 1 || leads
    if (apart) this.startLines()
    for (const [i, line] of lines.entries()) {
      for (const [j, element] of line.entries()) {
        if (j > 0) this.write(', ')
        element.write()
      }
      if (i === lines.length - 1) break
      this.write(',')
      this.endLine()
      this.startLine()
    }
    if (!apart) return
    this.write(',')
    this.endLine()
    this.insertComments(closingRow)
    this.level--
    this.startLine()
  }

  #newLineBefore(first: Term | undefined, span: Span): boolean {
    if (!first) return false
    const text = this.source.textOf(span)
    const cut = text.indexOf(this.source.textOf(this.source.term(first)))
    return cut > 0 && text.slice(0, cut).indexOf('\n') > 0
  }

  #objectComprehension(term: Extract<Term, { kind: 'objectComprehension' }>): void {
    const { key, value } = term
    this.write('{')
    if (key.loc.row - term.loc.row > 1) {
      this.endLine()
      this.startLine()
    }
    this.#maybeInParens(key, isUnion(key))
    this.write(': ')
    // The value goes behind its key, wherever it stood.
    this.#comprehension('{}', value, term.body, term, key)
    this.write('}')
  }

  #comprehension(pair: '[]' | '{}', head: Term, body: Body, whole: Term, at = head): void {
    const { row } = at.loc
    if (row - whole.loc.row >= 1) {
      this.endLine()
      this.startLine()
    }
    const parens = head.kind === 'call' && (isUnion(head) || at.parens !== undefined)
    this.#term(head, parens, row)
    this.write(' |')
    this.enclosedBody(pair, body, row, this.source.term(whole))
  }

  /** A body behind `|` or `{`: on lines of its own when one of its expressions was. */
  enclosedBody(pair: '[]' | '{}', body: Body, row: number, span: Span): void {
    const lines = onLines(body, row, ({ loc }) => loc.row)
    const first = body[0]?.loc.row ?? row
    const apart = first > row || lines.length > 1
    if (apart) {
      this.endLine()
      this.level++
      this.body(body)
    } else {
      for (const [i, expr] of body.entries()) {
        this.write(i === 0 ? ' ' : '; ')
        this.expr(expr)
      }
    }
    this.insertComments(this.source.closingRow(span, pair))
    if (!apart) return
    this.level--
    this.startLine()
  }

  #template({ parts, multiLine }: TemplateTerm): void {
    const quote = multiLine ? '`' : '"'
    this.write(`$${quote}`)
    for (const [i, part] of parts.entries()) {
      if (part.kind === 'expr') this.#templateExpr(part, parts[i + 1])
      else if (part.kind === 'string') this.write(templateText(part.value, multiLine))
      else if (part.kind === 'number') this.write(part.text)
      else this.write(part.kind === 'boolean' ? String(part.value) : 'null')
    }
    this.write(quote)
  }

  #templateExpr(expr: Expr, next: Term | Expr | undefined): void {
    this.write('{')
    this.level++
    if (this.commentWaits) {
      this.endLine()
      this.startLine()
    } else {
      const before = this.takeBefore(expr.loc.row)
      if (before.length > 0) {
        this.write(' ')
        this.inline = true
        this.writeComments(before)
      }
    }
    this.expr(expr)
    const after = next ? this.takeBefore(next.loc.row) : []
    if (after.length > 0) {
      this.endLine()
      this.writeComments(after)
      this.startLine()
    }
    this.write('}')
    this.level--
  }
}

/** What began on one row stays together. */
function onLines<T>(elements: readonly T[], row: number, rowOf: (element: T) => number): T[][] {
  const lines: T[][] = [[]]
  let last = row
  for (const [i, element] of elements.entries()) {
    const own = rowOf(element)
    if (own > last && i > 0) lines.push([])
    last = own
    lines.at(-1)?.push(element)
  }
  return lines
}

/** `x | y`, which between brackets would begin a comprehension. */
export function isUnion(term: Term): boolean {
  return term.kind === 'call' && operatorName(term.operator) === 'or'
}

export function variableText(name: string): string {
  return name.startsWith('$') ? '_' : name
}

function templateText(value: string, multiLine: boolean): string {
  const text = multiLine ? value : JSON.stringify(value).slice(1, -1)
  return text.replace(/(^|[^\\])\{/g, '$1\\{').replace(/(^|[^\\])\{/g, '$1\\{')
}
