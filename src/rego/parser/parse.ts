import type { Body, Expr, Head, Import, Loc, Module, RefTerm, Rule, Term } from '../ast/ast.ts'
import { walkRule } from '../ast/walk.ts'
import { isBuiltin } from '../builtins/builtins.ts'
import type { Diagnostic } from '../diagnostics.ts'
import { type Target, parseAnnotations } from './annotations.ts'
import { Cursor, type ParserOptions, V1_WORDS } from './cursor.ts'
import { trueExpr, trueTerm } from '../ast/true.ts'
import { BARE_HEAD, RuleParser, type Statement } from './rules.ts'
import { isOperator, operatorName } from '../ast/operators.ts'

// Text to a module. The grammar alone cannot tell a rule from an expression (`p := 1`, `p[1]`), so what is no rule by its form is read
// as a body first and made a rule afterwards, as OPA does; that is also where errors are worded as OPA words them.

export interface Parsed {
  readonly module?: Module
  readonly diagnostics: readonly Diagnostic[]
}

/** Source text to a module, or diagnostics; never throws. */
export function parseModule(
  file: string,
  source: string,
  options: Partial<ParserOptions> = {},
): Parsed {
  const settings = { v0: false, experimental: false, ...options }
  const cursor = new Cursor(file, source, settings)
  const parser = new RuleParser(cursor)
  const statements = parser.statements()
  if (cursor.failed) return { diagnostics: cursor.errors }
  const diagnostics: Diagnostic[] = []
  const report = (
    location: Loc,
    message: string,
    code: Diagnostic['code'] = 'rego_parse_error',
  ) => {
    diagnostics.push({ code, message, location, hints: [] })
  }
  const module = assemble(file, statements, parser, settings, report)
  return module && diagnostics.length === 0 ? { module, diagnostics } : { diagnostics }
}

/** A query: a body without braces. */
export function parseQuery(
  source: string,
  options: Partial<ParserOptions> & { file?: string; keywords?: readonly string[] } = {},
): { body?: Body; diagnostics: readonly Diagnostic[] } {
  const cursor = new Cursor(options.file ?? 'query', source, {
    v0: false,
    experimental: false,
    ...options,
  })
  for (const word of options.keywords ?? []) cursor.keywords.add(word)
  const parser = new RuleParser(cursor)
  const body: Expr[] = []
  for (const statement of parser.statements(true)) {
    if (statement.kind === 'body') body.push(...statement.body)
    else cursor.error(statement.loc, `expected body but got ${statement.kind}`)
  }
  if (!cursor.failed && body.length === 0) cursor.error(cursor.loc, 'found empty body')
  return cursor.failed ? { diagnostics: cursor.errors } : { body, diagnostics: [] }
}

type Report = (location: Loc, message: string, code?: Diagnostic['code']) => void

function assemble(
  file: string,
  statements: readonly Statement[],
  parser: RuleParser,
  options: ParserOptions,
  report: Report,
): Module | undefined {
  const nowhere: Loc = { file, row: 0, col: 0, length: 0 }
  const { comments } = parser.c.lexer
  const targets: Target[] = statements.map(({ kind, loc }) => ({
    row: loc.row,
    kind: kind === 'body' ? 'rule' : kind,
  }))
  const [first] = statements
  const imports: Import[] = []
  const rules: Rule[] = []
  if (!first) {
    report(nowhere, 'empty module')
    return undefined
  }
  // Blocks that cannot be read are errors of the parser: they hide those of what was parsed.
  let readable = true
  const late: [Loc, string][] = []
  const annotations = parseAnnotations(comments, targets, (loc, message) => {
    if (!/^(invalid annotation scope|annotation )/.test(message)) readable = false
    late.push([loc, message])
  })
  if (!readable) {
    for (const [loc, message] of late) report(loc, message)
    return undefined
  }
  if (first.kind !== 'package') report(first.loc, 'package expected')
  for (const statement of statements.slice(1)) {
    if (statement.kind === 'import') imports.push(statement)
    else if (statement.kind === 'rule') rules.push(statement)
    else if (statement.kind === 'package') report(statement.loc, 'unexpected package')
    else {
      const rule = ruleFromBody(statement.body)
      if (typeof rule === 'string') report(statement.body[0]?.loc ?? statement.loc, rule)
      else rules.push(rule)
    }
  }
  if (!options.v0 || parser.regoV1) for (const rule of rules) checkV1(rule, report)
  for (const [loc, message] of late) report(loc, message)
  if (first.kind !== 'package') return undefined
  return {
    file,
    package: { loc: first.loc, path: first.path },
    imports,
    rules,
    comments,
    annotations,
    v0: options.v0 && !parser.regoV1,
    mentions: {
      print: /\bprint\b/.test(parser.c.source),
      template: /\$["`]/.test(parser.c.source),
      metadata: parser.c.source.includes('metadata'),
    },
  }
}

/** What the new Rego asks of a rule beyond its grammar. */
function checkV1(rule: Rule, report: Report): void {
  const sort = rule.head.args ? 'function' : 'rule'
  const [name] = rule.head.ref
  if (rule.head.ref.length === 1 && V1_WORDS.has(name.name)) {
    report(rule.loc, `${name.name} keyword cannot be used for rule name`)
  }
  if (rule.generatedBody && rule.head.generatedValue) {
    report(rule.loc, `${sort} must have value assignment and/or body declaration`)
  }
  if (!rule.generatedBody && !rule.head.hasIf && !rule.isDefault) {
    report(rule.loc, `\`if\` keyword is required before ${sort} body`)
  }
  if (rule.head.key && !rule.head.value && !rule.head.hasContains) {
    report(rule.loc, `\`contains\` keyword is required for partial set rules (\`${name.name}\`)`)
  }
  checkShadowing(rule, report)
  if (rule.else) checkV1(rule.else, report)
}

/** `input` and `data` may be neither rules, arguments nor variables. */
export function checkShadowing(rule: Rule, report: Report): void {
  const isRoot = (term: Term | undefined): term is Extract<Term, { kind: 'var' | 'ref' }> =>
    rootName(term) !== undefined
  const [name] = rule.head.ref
  if (rule.head.ref.length === 1 || rule.head.args || rule.head.value) {
    if (name.name === 'input' || name.name === 'data') {
      report(
        rule.loc,
        `rules must not shadow ${name.name} (use a different rule name)`,
        'rego_compile_error',
      )
    }
  }
  for (const arg of rule.head.args ?? []) {
    if (isRoot(arg)) {
      report(
        arg.loc,
        `args must not shadow ${rootName(arg)} (use a different variable name)`,
        'rego_compile_error',
      )
    }
  }
  walkRule(
    { ...rule, else: undefined },
    () => undefined,
    (expr) => {
      const { node } = expr
      if (node.kind === 'call' && isOperator(node.operator, 'assign')) {
        const [target] = node.args
        if (isRoot(target)) {
          report(
            expr.loc,
            `variables must not shadow ${rootName(target)} (use a different variable name)`,
            'rego_compile_error',
          )
        }
      }
      return true
    },
  )
}

function rootName(term: Term | undefined): string | undefined {
  const head = term?.kind === 'ref' && term.terms.length === 1 ? term.terms[0] : term
  return head?.kind === 'var' && (head.name === 'input' || head.name === 'data')
    ? head.name
    : undefined
}

/** A statement that is no rule by its form may still be one: `p := 1`, `f(x) = y`, `p[1]`. */
function ruleFromBody(body: Body): Rule | string {
  const [expr] = body
  if (!expr || body.length !== 1) return 'multiple expressions cannot be used for rule head'
  if (expr.with.length > 0) return 'expressions using with keyword cannot be used for rule head'
  if (expr.negated) return 'negated expressions cannot be used for rule head'
  const { node, loc } = expr
  if (node.kind === 'some' || node.kind === 'someIn')
    return "'some' declarations cannot be used for rule head"
  if (node.kind === 'every' || node.kind === 'body')
    return 'expression cannot be used for rule head'
  if (node.kind === 'term') {
    const { term } = node
    if (term.kind !== 'ref') return `${term.kind} cannot be used for rule name`
    const ref = headOf(term)
    if (!ref) return 'invalid rule head'
    const [, key] = ref
    if (!key) return 'refs cannot be used for rule head'
    if (ref.length === 2) return ruleOf(loc, { ref: [ref[0]], key, loc })
    return ruleOf(loc, { ref, value: trueTerm(loc), generatedValue: true, loc })
  }
  const eq = isOperator(node.operator, 'eq')
  const assign = isOperator(node.operator, 'assign')
  if (!node.infix || !(eq || assign)) {
    if (node.infix) return 'rule name conflicts with built-in function'
    return functionFromCall(node.operator, node.args, loc)
  }
  const [left, value] = node.args
  if (!left || !value) return 'assignment requires two operands'
  if (left.kind === 'call') {
    const ref = headOf(left.operator)
    if (!ref) return 'invalid rule head'
    // `f() := 1` is a rule of one value.
    const args = left.args.length > 0 ? { args: left.args } : {}
    return ruleOf(loc, { ref, ...args, value, assign, loc })
  }
  if (left.kind === 'var') return ruleOf(loc, { ref: [left], value, assign, loc })
  if (left.kind !== 'ref') return `${left.kind} cannot be used for rule name`
  const ref = headOf(left)
  return ref ? ruleOf(loc, { ref, value, assign, loc }) : 'invalid rule head'
}

function functionFromCall(operator: RefTerm, args: readonly Term[], loc: Loc): Rule | string {
  if (isBuiltin(operatorName(operator) ?? '')) return 'rule name conflicts with built-in function'
  if (args.length === 0) return 'rule argument list must take at least one argument'
  const ref = headOf(operator)
  return ref ? ruleOf(loc, { ref, args, value: trueTerm(loc), loc }) : 'invalid rule head'
}

function headOf(term: RefTerm): Head['ref'] | undefined {
  const [head, ...rest] = term.terms
  return head.kind === 'var' ? [head, ...rest] : undefined
}

function ruleOf(
  loc: Loc,
  head: Partial<Head> & { readonly ref: Head['ref']; readonly loc: Loc },
): Rule {
  return {
    kind: 'rule',
    isDefault: false,
    head: { ...BARE_HEAD, ...head },
    body: [trueExpr(loc)],
    generatedBody: true,
    else: undefined,
    loc,
  }
}
