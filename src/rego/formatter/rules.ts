import type { Body, Head, Import, Module, Rule, Term } from '../ast/ast.ts'
import { isGround, walkRule } from '../ast/walk.ts'
import { BASE, FUTURE } from '../parser/cursor.ts'
import { operatorName, operatorRef } from '../ast/operators.ts'
import { ExpressionFormatter } from './expressions.ts'
import { Source } from './spans.ts'
import { type Dialect, variableText } from './terms.ts'
import { UnexpectedComment } from './writer.ts'

// A module from top to bottom: imports sorted and without those that the dialect makes superfluous, rules in their own order, with the
// comments and the empty lines that stood between them. Comments are no part of the tree; they are taken in by their rows.

/** A module's text in its one layout. */
export function layOut(source: string, module: Module): string {
  const formatter = new ModuleFormatter(new Source(source), module.comments, dialectOf(module))
  return formatter.module(module)
}

/** Packages, imports and rules on top of expressions. */
class ModuleFormatter extends ExpressionFormatter {
  module(module: Module): string {
    this.#package(module)
    const imports = importsOf(module)
    const statements = [...imports, ...module.rules].sort(
      (a, b) => a.loc.row - b.loc.row || a.loc.col - b.loc.col,
    )
    for (let at = 0; at < statements.length; ) {
      const kind = statements[at]?.kind
      let end = at
      while (statements[end]?.kind === kind && end < statements.length) end++
      const group = statements.slice(at, end)
      if (kind === 'import') this.#importGroups(group as Import[])
      else this.#rules(group as Rule[])
      at = end
    }
    this.writeRest()
    return `${this.out.replace(/\n+$/, '')}\n`
  }

  #package({ package: { loc, path } }: Module): void {
    this.insertComments(loc.row)
    this.startLine()
    const text = this.source.text.slice(this.source.offset(loc))
    const [line = ''] = /^package[^\n]*/.exec(text) ?? []
    const steps = path.slice(1).map((name) => {
      const plain = /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
      const quoted = this.dialect.keywords.has(name) && line.includes(`["${name}"]`)
      return plain && !quoted ? `.${name}` : `[${JSON.stringify(name)}]`
    })
    this.write(`package ${path[0] ?? ''}${steps.join('')}`)
    this.blankLine()
  }

  #importGroups(imports: readonly Import[]): void {
    const behind = new Map<Import, string>()
    this.pending = this.pending.filter((comment) => {
      const own = imports.find(({ loc }) => loc.row === comment.loc.row)
      if (own) behind.set(own, `#${comment.text.trimEnd()}`)
      return own === undefined
    })
    const groups: Import[][] = []
    for (const [i, own] of imports.entries()) {
      const last = imports[i - 1]
      if (!last || own.loc.row - last.loc.row > 1) groups.push([])
      groups.at(-1)?.push(own)
    }
    for (const group of groups) {
      this.insertComments(group[0]?.loc.row ?? 0)
      for (const own of group.sort(byPath)) {
        this.startLine()
        this.write('import ')
        this.ref(own.path.terms)
        if (own.alias !== undefined) this.write(` as ${own.alias}`)
        const comment = behind.get(own)
        if (comment !== undefined) this.write(` ${comment}`)
        this.endLine()
      }
      this.blankLine()
    }
  }

  #rules(rules: readonly Rule[]): void {
    for (const [i, rule] of rules.entries()) {
      this.tolerant(() => this.insertComments(rule.loc.row))
      this.tolerant(() => this.#rule(rule, false))
      const next = rules[i + 1]
      const together =
        next !== undefined &&
        this.#isOneLiner(rule) &&
        this.#isOneLiner(next) &&
        next.loc.row === rule.loc.row + 1
      if (!together) this.blankLine()
    }
  }

  /** Whether a rule may stand right below or above another. */
  #isOneLiner(rule: Rule): boolean {
    if (rule.body.length > 1 || rule.isDefault || rule.else) return false
    const [first] = rule.body
    if (first && isSetTerm(first)) return false
    return this.#usesIf(rule)
  }

  #usesIf({ head }: Rule): boolean {
    const { v1, ifs, contains } = this.dialect
    return (v1 || ifs) && (contains || head.value !== undefined)
  }

  #rule(rule: Rule, isElse: boolean): void {
    if (!isElse) this.startLine()
    if (rule.isDefault) this.write('default ')
    const isConstant = isTrue(rule.body) && !rule.else
    this.commentOnFinalLine = isConstant
    const misplaced = this.#headOf(rule, isElse, isConstant)
    if (isConstant) {
      this.endLine()
      return
    }
    this.commentOnFinalLine = true
    if (this.#usesIf(rule)) {
      this.write(' if')
      if (this.#oneLine(rule, isElse)) return
    }
    if (misplaced && this.pending.length > 0) this.write(' { ')
    else {
      this.write(' {')
      this.endLine()
    }
    const [first] = rule.body
    if (this.#usesIf(rule) && !isElse && first) this.markUnionLead(first)
    this.level++
    this.tolerant(() => this.body(this.#bodyOf(rule, isElse)))
    this.insertComments(this.#closingRow(rule, isElse))
    this.level--
    this.startLine()
    this.write('}')
    if (rule.else) this.#else(rule, rule.else)
  }

  /** Whether a comment in the head had no place. */
  #headOf(rule: Rule, isElse: boolean, isConstant: boolean): boolean {
    try {
      this.#head(rule, isElse, isConstant)
    } catch (error) {
      if (error instanceof UnexpectedComment) return true
      throw error
    }
    return false
  }

  /** `if x` stays on the line of the head's end when it began there. */
  #oneLine(rule: Rule, isElse: boolean): boolean {
    const [expr, more] = this.#bodyOf(rule, isElse)
    if (!expr || more) return false
    const { head } = rule
    const headEnd = this.source.endRow(this.source.of(head.loc))
    if (expr.loc.row !== headEnd || isSetTerm(expr)) return false
    this.write(' ')
    this.expr(expr)
    this.endLine()
    if (rule.else) this.#else(rule, rule.else)
    return true
  }

  /** The one expression of an `else` without braces counts as standing on the row of the `else`. */
  #bodyOf(rule: Rule, isElse: boolean): Body {
    const [expr, more] = rule.body
    if (!isElse || !expr || more) return rule.body
    const head = this.source.of(rule.head.loc)
    const between = this.source.text.slice(head.end, this.source.offset(expr.loc))
    return between.includes('{') ? rule.body : [this.source.pinned(expr, rule.loc.row)]
  }

  #closingRow(rule: Rule, isElse: boolean): number {
    const span = this.source.of(rule.loc)
    if (isElse) return this.source.closingRow(span, '{}')
    if (rule.head.args) return this.source.closingRow(span, '{}', '()')
    return this.source.closingRow(span, '{}', isKeyed(rule) ? '[]' : undefined)
  }

  #else(rule: Rule, otherwise: Rule): void {
    const { row } = otherwise.loc
    const lines = this.source.textOf(this.source.of(rule.loc)).split('\n')
    const line = lines[row - rule.loc.row]
    const wasInline = row > rule.loc.row && line !== undefined && !/^\s*else/.test(line)
    const commentAbove = this.pendingRow < row || this.commentWaits
    if (!commentAbove && wasInline) this.write(' ')
    else {
      this.blankLine()
      this.startLine()
    }
    this.insertComments(row)
    if (commentAbove && !wasInline) this.startLine()
    this.#rule(otherwise, true)
  }

  #head(rule: Rule, isElse: boolean, isConstant: boolean): void {
    const { head } = rule
    if (!isElse && this.#commentedStep(head)) {
      this.asItStood(this.save(), this.source.of(head.loc))
      return
    }
    if (isElse) this.write('else')
    else this.#name(head)
    if (!isElse && head.args) this.args(head.args, this.source.of(head.loc))
    if (head.key && !head.value) {
      this.write(this.dialect.contains ? ' contains ' : '[')
      this.term(head.key)
      if (!this.dialect.contains) this.write(']')
    }
    const { value } = head
    if (!value) return
    const keyed = !isElse && isKeyed(rule)
    const says = keyed || !isTrueTerm(value) || isConstant || rule.isDefault
    if (!says || (!isElse && this.#impliesTrue(rule, isConstant, keyed))) return
    this.write(head.assign || this.dialect.v1 ? ' := ' : ' = ')
    this.term(value, isElse ? head.loc.row : valueRow(head, value))
  }

  /** `p[{ # why` */
  #commentedStep({ ref: [, step] }: Head): boolean {
    return step !== undefined && !this.dialect.refHeads && this.pendingRow === step.loc.row
  }

  #name({ ref }: Head): void {
    const [first, second] = ref
    if (this.dialect.refHeads || !second) {
      this.ref(ref)
      return
    }
    this.write(`${variableText(first.name)}[`)
    if (second.kind === 'string') this.write(JSON.stringify(second.value))
    else this.term(second)
    this.write(']')
  }

  /** Whether the value stands for nothing that was written: then it was given the place of the head. */
  #impliesTrue(rule: Rule, isConstant: boolean, keyed: boolean): boolean {
    const { head } = rule
    if (!head.value || !isTrueTerm(head.value)) return false
    if (this.dialect.v1 && isConstant && !keyed && !head.args) return false
    return rule.chained === true || head.value.loc === head.loc
  }
}

/** A head of two steps is that of a partial rule unless an `if` follows what cannot vary. */
function isKeyed({ head, isDefault }: Rule): boolean {
  if (head.key) return true
  const [, second, third] = head.ref
  if (!second || third || head.args || isDefault) return false
  return !head.hasIf || second.kind === 'ref' || !isGround(second)
}

/** A value that was not written stands before everything. */
function valueRow({ generatedValue, loc }: Head, value: Term): number {
  return generatedValue && value.loc !== loc ? 1 : value.loc.row
}

function isTrueTerm(term: Term): boolean {
  return term.kind === 'boolean' && term.value
}

function isTrue(body: Body): boolean {
  const [expr, more] = body
  if (!expr || more || expr.negated || expr.with.length > 0) return false
  return expr.node.kind === 'term' && isTrueTerm(expr.node.term)
}

function isSetTerm(expr: Body[number]): boolean {
  return !expr.negated && expr.node.kind === 'term' && expr.node.term.kind === 'set'
}

function variable(term: Term): string | undefined {
  return term.kind === 'var' ? term.name : undefined
}

function steps({ path }: Import): readonly string[] {
  return path.terms.map((term) => (term.kind === 'string' ? term.value : (variable(term) ?? '')))
}

function byPath(a: Import, b: Import): number {
  const left = steps(a)
  const right = steps(b)
  for (const [i, step] of left.entries()) {
    const other = right[i]
    if (other === undefined) return 1
    if (step !== other) return step < other ? -1 : 1
  }
  if (left.length < right.length) return -1
  return (a.alias ?? '') < (b.alias ?? '') ? -1 : 1
}

function isRegoV1({ path }: Import): boolean {
  const [root, version, more] = path.terms
  return variable(root) === 'rego' && !more && version?.kind === 'string' && version.value === 'v1'
}

/** The new Rego needs no imports of its own words where `rego.v1` is imported; the old one needs those it uses. */
function importsOf({ imports, rules, v0 }: Module): readonly Import[] {
  if (imports.some(isRegoV1)) {
    return imports.filter(({ path }) => variable(path.terms[0]) !== 'future')
  }
  const words = keywordImports(imports)
  const known = words.some(({ word }) => word === 'all' || word === 'in' || word === 'every')
  if (!v0 || known || !rules.some(hasMembership)) return imports
  const row = 1 + Math.max(0, ...words.map(({ own }) => own.loc.row))
  const loc = { file: '', row, col: 1, length: 1 }
  const path = operatorRef('future.keywords.in', loc)
  return [...imports, { kind: 'import', path, alias: undefined, loc }]
}

function hasMembership(rule: Rule): boolean {
  let found = false
  walkRule(
    rule,
    (term) => {
      const { operator } = term.kind === 'call' ? term : {}
      if (operator && (operatorName(operator) ?? '').startsWith('internal.member_')) found = true
      return !found
    },
    ({ node }) => {
      if (node.kind !== 'call') return !found
      if ((operatorName(node.operator) ?? '').startsWith('internal.member_')) found = true
      return !found
    },
  )
  return found
}

function keywordImports(imports: readonly Import[]): { own: Import; word: string }[] {
  return imports.flatMap((own) => {
    const [root, second, third] = steps(own)
    return root === 'future' && second === 'keywords' ? [{ own, word: third ?? 'all' }] : []
  })
}

function dialectOf({ v0, imports, rules }: Module): Dialect {
  const imported = new Set(keywordImports(imports).map(({ word }) => word))
  if (imports.some(isRegoV1)) imported.add('all')
  const has = (word: string): boolean => !v0 || imported.has('all') || imported.has(word)
  return {
    v1: !v0,
    contains: has('contains'),
    ifs: has('if'),
    refHeads: rules.some(({ head }) => head.ref.length > 2 || (head.ref.length === 2 && head.key)),
    keywords: new Set([...BASE, ...(v0 ? [] : FUTURE), ...imported]),
  }
}
