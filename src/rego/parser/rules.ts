import type { Body, Head, Import, Loc, Rule, RefTerm, Term, VarTerm } from '../ast/ast.ts'
import { trueExpr, trueTerm } from '../ast/true.ts'
import { walkTerm } from '../ast/walk.ts'
import type { Cursor } from './cursor.ts'
import { EXPERIMENTAL, FUTURE } from './cursor.ts'
import { ExpressionParser } from './expressions.ts'
import { isGround } from '../ast/walk.ts'

// Statements of a file. A rule may look like an expression until its head is over, so the rule is tried first and
// gone back from, as in OPA; one text may be several rules (`else`, and bodies that stand one behind another),
// which come out as such. `import rego.v1` changes the words that count as keywords for what follows it.

const IMPORT_ROOTS = new Set(['data', 'input', 'future', 'rego'])
const INFIX = new Set(['+', '-', '*', '/', '%', '&', '|', '==', '!=', '<', '<=', '>', '>='])

/** The head of a rule that has nothing but a name. */
export const BARE_HEAD = {
  args: undefined,
  key: undefined,
  value: undefined,
  assign: false,
  generatedValue: false,
  hasIf: false,
  hasContains: false,
} as const

export interface PackageStatement {
  readonly kind: 'package'
  readonly path: readonly string[]
  readonly loc: Loc
}
export interface BodyStatement {
  readonly kind: 'body'
  readonly body: Body
  readonly loc: Loc
}
export type Statement = PackageStatement | Import | Rule | BodyStatement

/** Packages, imports and rules on top of expressions. */
export class RuleParser extends ExpressionParser {
  /** Set by `import rego.v1`: an old module that asks for the new rules. */
  regoV1 = false

  statements(skipRules = false): Statement[] {
    const { c } = this
    const found: Statement[] = []
    while (!c.is('eof')) {
      const start = c.mark()
      const statement = this.package() ?? (c.failed ? undefined : this.#import(start))
      if (statement) {
        found.push(statement)
        if (c.failed) break
        continue
      }
      if (c.failed) break
      c.reset(start)
      if (!skipRules) {
        const rules = this.rules()
        if (rules) {
          found.push(...rules)
          if (c.failed) break
          continue
        }
        if (c.failed) break
        c.reset(start)
      }
      const { loc } = c
      const body = this.query('eof', true)
      if (!body || c.failed) break
      found.push({ kind: 'body', body, loc })
    }
    return found
  }

  #import(start: ReturnType<Cursor['mark']>): Import | undefined {
    this.c.reset(start)
    return this.import()
  }

  package(): PackageStatement | undefined {
    const { c } = this
    if (!c.is('package') || c.keywordBeginsRef()) return undefined
    const { loc } = c
    c.advance()
    if (!this.#nameHere()) return c.illegal()
    const term = this.term()
    if (!term) return c.failed ? undefined : c.error(c.loc, 'expected path')
    if (term.kind === 'var') return { kind: 'package', path: [term.name], loc }
    if (term.kind !== 'ref') return c.illegal()
    const [head, ...rest] = term.terms
    if (head.kind !== 'var')
      return c.error(head.loc, `unexpected ${head.kind} token: expecting var`)
    const path = [head.name]
    for (const part of rest) {
      if (part.kind !== 'string')
        return c.error(part.loc, `unexpected ${part.kind} token: expecting string`)
      path.push(part.value)
    }
    return { kind: 'package', path, loc }
  }

  /** Accepts an identifier, or a keyword that may be part of a reference. */
  #nameHere(): boolean {
    const { c } = this
    if (c.is('ident')) return true
    if (!c.isRefKeyword()) return false
    c.takeAsName()
    return true
  }

  import(): Import | undefined {
    const { c } = this
    if (!c.is('import') || c.keywordBeginsRef()) return undefined
    const { loc } = c
    c.advance()
    if (!this.#nameHere()) return c.illegal()
    const path = this.#importPath()
    if (!path) return undefined
    const [root, ...rest] = path.terms
    const name = root.kind === 'var' ? root.name : ''
    if (!IMPORT_ROOTS.has(name)) {
      return c.error(
        path.loc,
        `unexpected import path, must begin with one of: {data, future, input, rego}, got: ${name}`,
      )
    }
    let alias: string | undefined
    if (c.is('as')) {
      c.advance()
      if (!c.is('ident')) return c.illegal('expected var')
      const term = this.term()
      if (term?.kind !== 'var' || term.name.startsWith('$')) return c.illegal('expected var')
      alias = term.name
    } else if (name !== 'future') {
      const last = rest.at(-1) ?? root
      const word = last.kind === 'string' ? last.value : name
      if (c.isReserved(word)) {
        c.error(last.loc, `unexpected import path, must not end with a keyword, got: ${word}`)
      }
    }
    const found: Import = { kind: 'import', path, alias, loc }
    if (name === 'rego') this.#regoImport(found)
    if (name === 'future') this.#futureImport(found)
    return found
  }

  #importPath(): RefTerm | undefined {
    const { c } = this
    // Words that are keywords elsewhere are plain names in an import's path.
    const had = FUTURE.filter((word) => c.keywords.delete(word))
    const term = this.term()
    for (const word of had) c.keywords.add(word)
    if (!term) return c.failed ? undefined : c.error(c.loc, 'expected path')
    if (term.kind === 'var') return { kind: 'ref', terms: [term], loc: term.loc }
    if (term.kind !== 'ref') return c.error(c.loc, 'expected path')
    for (const part of term.terms.slice(1)) {
      if (part.kind !== 'string')
        return c.error(part.loc, `unexpected ${part.kind} token: expecting string`)
    }
    return term
  }

  #regoImport({ path, alias }: Import): void {
    const { c } = this
    const [, version] = path.terms
    if (path.terms.length !== 2 || version?.kind !== 'string' || version.value !== 'v1') {
      c.error(path.loc, 'invalid import, must be `rego.v1`')
      return
    }
    if (!c.options.v0) return
    if (alias !== undefined) {
      c.error(path.loc, '`rego` imports cannot be aliased')
      return
    }
    this.regoV1 = true
    for (const word of FUTURE) c.keywords.add(word)
  }

  #futureImport({ path, alias }: Import): void {
    const { c } = this
    const [, second, third] = path.terms
    if (second?.kind !== 'string' || second.value !== 'keywords') {
      c.error(path.loc, 'invalid import, must be `future.keywords`')
      return
    }
    if (alias !== undefined) {
      c.error(path.loc, '`future` imports cannot be aliased')
      return
    }
    const allowed = c.options.experimental ? [...FUTURE, ...EXPERIMENTAL] : [...FUTURE, 'not']
    let words = allowed.filter((word) => word !== 'not')
    if (path.terms.length === 3) {
      if (third?.kind !== 'string' || !allowed.includes(third.value)) {
        c.error(path.loc, `unexpected keyword, must be one of [${[...allowed].sort().join(' ')}]`)
        return
      }
      words = [third.value]
    }
    for (const word of words) {
      if (word === 'not') c.keywords.add('not {}')
      else c.keywords.add(word)
      if (word === 'every') c.keywords.add('in')
    }
  }

  rules(): Rule[] | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    if (c.keywordBeginsRef()) c.takeAsName()
    let isDefault = false
    if (c.is('default')) {
      c.advance()
      isDefault = true
      if (c.keywordBeginsRef()) c.takeAsName()
    }
    if (!c.is('ident')) return undefined
    const parsed = this.#head(isDefault)
    if (!parsed) return undefined
    let head: Head = parsed
    const yes = [trueExpr(loc)]
    const base = { kind: 'rule', isDefault, loc, else: undefined } as const
    if (isDefault) {
      if (!this.#checkDefault(head, loc)) return undefined
      return [{ ...base, head, body: yes, generatedBody: false }]
    }
    const hasIf = c.begins('if')
    const second = head.ref[1]
    let multiValueKey = head.key
    if (head.ref.length === 2 && second && !head.hasContains) {
      if (hasIf) {
        if (!head.args && (!isGround(second) || second.kind === 'ref')) multiValueKey = second
        if (!head.value) head = { ...head, generatedValue: true, value: trueTerm(head.loc) }
      } else if (!head.args) {
        multiValueKey = second
        if (!head.value) head = { ...head, ref: [head.ref[0]], key: second }
      }
    }
    let body: Body | undefined
    if (hasIf) {
      head = { ...head, hasIf: true }
      c.advance()
      body = this.#ifBody()
    } else if (c.is('{')) body = this.#braced()
    else if (head.hasContains) {
      return [{ ...base, head, body: yes, generatedBody: true, loc: head.loc }]
    }
    if (!body) return undefined
    let otherwise: Rule | undefined
    if (c.begins('else')) {
      if (head.ref.length > 1 && head.ref.slice(1).some((t) => !isGround(t))) {
        return c.error(c.loc, 'else keyword cannot be used on rules with variables in head')
      }
      if (multiValueKey) return c.error(c.loc, 'else keyword cannot be used on multi-value rules')
      otherwise = this.#else(head)
      if (!otherwise) return undefined
    }
    const rule: Rule = {
      ...base,
      head,
      body,
      generatedBody: false,
      else: otherwise,
      loc: c.from(loc, start),
    }
    return this.#chain(rule)
  }

  /** One expression, or a body in braces. A set of one element is a body, since no set is ever false. */
  #ifBody(): Body | undefined {
    const { c } = this
    const isBrace = c.is('{')
    const mark = c.mark()
    const expr = this.literal()
    const isSet = isBrace && expr?.node.kind === 'term' && expr.node.term.kind === 'set'
    if (expr && !isSet) return [expr]
    const own = [...c.errors]
    c.reset(mark)
    // Whatever stands here instead of the brace is skipped, so errors are placed where OPA 1.19 places them.
    const body = this.#braced()
    if (!body || isBrace) return body
    c.errors.splice(0, c.errors.length, ...own)
    return c.failed ? undefined : c.illegal()
  }

  #braced(): Body | undefined {
    const { c } = this
    c.advance()
    const body = this.parseBody('}')
    if (body) c.advance()
    return body
  }

  #chain(first: Rule): Rule[] | undefined {
    const { c } = this
    const rules = [first]
    while (c.is('{')) {
      if (first.else) return c.error(c.loc, 'expected else keyword')
      const { loc } = c
      const start = c.token.start
      const body = this.#braced()
      if (!body) return undefined
      const head: Head = { ...this.#freshWildcards(first.head), loc }
      rules.push({ ...first, head, body, else: undefined, loc: c.from(loc, start), chained: true })
    }
    return rules
  }

  #freshWildcards(head: Head): Head {
    const args = head.args?.map((arg) =>
      arg.kind === 'var' && arg.name.startsWith('$') ? { ...arg, name: this.c.wildcard() } : arg,
    )
    return { ...head, args }
  }

  #else(head: Head): Rule | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    let own: Head = { ...this.#freshWildcards(head), generatedValue: false, hasIf: false, loc }
    c.advance()
    if (c.is('{') || c.is('if')) own = { ...own, generatedValue: true, value: trueTerm(loc) }
    else if (c.is(':=') || c.is('=')) {
      const assign = c.is(':=')
      c.advance()
      const value = this.infix()
      if (!value) return undefined
      own = { ...own, value, assign }
    } else return c.illegal('expected else value term or rule body')
    const rule = { kind: 'rule', isDefault: false, else: undefined } as const
    const hasIf = c.begins('if')
    if (!hasIf && !c.is('{')) {
      return {
        ...rule,
        head: own,
        body: [trueExpr(loc)],
        generatedBody: true,
        loc: c.from(loc, start),
      }
    }
    if (hasIf) {
      own = { ...own, hasIf: true }
      c.advance()
    }
    let body: Body | undefined
    if (c.is('{')) body = this.#braced()
    else if (c.is('eof')) return c.illegal('rule body expected')
    else {
      const expr = this.literal()
      body = expr && [expr]
    }
    if (!body) return undefined
    let otherwise: Rule | undefined
    if (c.begins('else')) {
      otherwise = this.#else(head)
      if (!otherwise) return undefined
    }
    return {
      ...rule,
      head: own,
      body,
      generatedBody: false,
      else: otherwise,
      loc: c.from(loc, start),
    }
  }

  #head(isDefault: boolean): Head | undefined {
    const { c } = this
    const { loc } = c
    const start = c.token.start
    const first = this.variable()
    c.advance()
    const { token } = c
    if (!token.space && INFIX.has(token.kind)) c.illegal()
    let named: Term | undefined = first
    // With a body, `p [x]` is a head as well, unlike in terms.
    if (token.kind === '(' || token.kind === '.' || token.kind === '[')
      named = this.ref(first, start, true)
    if (!named) return c.illegal('expected rule head name')
    let ref: Head['ref'] | undefined
    let args: readonly Term[] | undefined
    if (named.kind === 'var') ref = [named]
    else if (named.kind === 'ref') ref = headRefOf(named)
    else if (named.kind === 'call') {
      ref = headRefOf(named.operator)
      args = named.args
      if (!ref) return c.illegal('rule head ref invalid')
    }
    if (!ref) return undefined
    const name = ref[0].name
    const done = (rest: Partial<Head>): Head => ({
      ...BARE_HEAD,
      ref,
      // `f() := 1` is a rule of one value.
      args: args && args.length > 0 ? args : undefined,
      loc: c.from(loc, start),
      ...rest,
    })
    if (c.is('contains')) {
      if (args && args.length > 0) {
        c.illegal(
          `the contains keyword can only be used with multi-value rule definitions (e.g., ${name} contains <VALUE> { ... })`,
        )
      }
      c.advance()
      const key = this.infix()
      if (!key) return c.illegal(`expected rule key term (e.g., ${name} contains <VALUE> { ... })`)
      return done({ key, hasContains: true })
    }
    if (c.is('=') || c.is(':=')) {
      const assign = c.is(':=')
      c.advance()
      const value = this.infix()
      if (!value) {
        return c.illegal(
          `expected ${isDefault ? 'default rule' : args ? 'function' : 'rule'} value term (e.g., ${name} := <VALUE> { ... })`,
        )
      }
      return done({ value, assign })
    }
    if (ref.length !== 2 || args) return done({ generatedValue: true, value: trueTerm(loc) })
    return done({})
  }

  #checkDefault(head: Head, loc: Loc): boolean {
    const { c } = this
    if (!head.value) {
      c.error(loc, 'illegal default rule (must have a value)')
      return false
    }
    let valid = true
    const refuse = (what: string) => {
      c.error(loc, `illegal default rule (${what})`)
      valid = false
    }
    walkTerm(head.value, (term) => {
      if (term.kind.endsWith('Comprehension')) return false
      if (term.kind === 'ref' || term.kind === 'var' || term.kind === 'call') {
        refuse(`value cannot contain ${term.kind}`)
        return false
      }
      return true
    })
    const seen = new Set<string>()
    for (const arg of head.args ?? []) {
      if (arg.kind !== 'var') refuse(`arguments cannot contain ${arg.kind}`)
      else if (seen.has(arg.name)) refuse(`arguments cannot be repeated ${arg.name}`)
      else seen.add(arg.name)
    }
    return valid
  }
}

function headRefOf(ref: RefTerm): Head['ref'] | undefined {
  const [head, ...rest] = ref.terms
  return head.kind === 'var' ? [head, ...rest] : undefined
}

export type { VarTerm }
