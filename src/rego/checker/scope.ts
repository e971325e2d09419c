// Names. One walk over each rule gives local variables names of their own, turns names of rules and imports into
// references from `data`, and refuses declarations out of order. OPA does this in two stages (ResolveRefs,
// RewriteLocalVars); what one declares anywhere in a body hides what is outside in the whole of it, as there.
import type { Body, Expr, Head, LastUse, Loc, RefTerm, Rule, Term, VarTerm } from '../ast/ast.ts'
import { GENERATED } from '../ast/names.ts'
import { trueExpr } from '../ast/true.ts'
import { mapTerm, walkTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { isOperator, operatorRef } from '../ast/operators.ts'
import {
  argNames,
  assigns,
  builtinNames,
  declares,
  inOrder,
  mapBody,
  relocated,
  termsOf,
} from './names.ts'

type Occurrence = 'seen' | 'assigned' | 'declared' | 'arg'

interface Declared {
  occurrence: Occurrence
  /** The name it has from here on. */
  readonly unique: string
  readonly loc: Loc
  uses: number
}

interface Frame {
  readonly vars: Map<string, Declared>
  /** Everything this body declares somewhere; hides rules and imports from its first line. */
  readonly hides: ReadonlySet<string>
}

/** What the names of one module stand for. */
export interface Globals {
  readonly refs: ReadonlyMap<string, RefTerm>
  readonly used: Set<string>
  /** The module's package, `data` included. */
  readonly packageRef: RefTerm
}

export class NameSource {
  #next = 0
  /** What made-up names stand for. */
  readonly subjects = new Map<string, Term>()
  fresh(): string {
    return `${GENERATED}${this.#next++}`
  }
  standIn(term: Term): string {
    const name = this.fresh()
    this.subjects.set(name, term)
    return name
  }
}

export class Scope {
  readonly #globals: Globals
  readonly #names: NameSource
  readonly #diagnostics: Diagnostics
  /** Where unused assignments and arguments go: errors in strict mode, else warnings. */
  readonly #unused: Diagnostics
  readonly #frames: Frame[] = []
  /** Unique name -> the name in the source, for messages. */
  readonly #original: Map<string, string>
  #failed = false

  constructor(
    globals: Globals,
    names: NameSource,
    diagnostics: Diagnostics,
    unused: Diagnostics,
    original: Map<string, string>,
  ) {
    this.#globals = globals
    this.#names = names
    this.#diagnostics = diagnostics
    this.#unused = unused
    this.#original = original
  }

  /** Names that became references, in OPA's order of resolving them, which is not ours: a reference that cannot be is
   * reported there where the last of them stands. */
  #uses = new Map<LastUse, Loc>()

  #apart<T>(run: () => T): [T, ReadonlyMap<LastUse, Loc>] {
    const outer = this.#uses
    const own = new Map<LastUse, Loc>()
    this.#uses = own
    const result = run()
    this.#uses = outer
    return [result, own]
  }
  #used(...all: readonly ReadonlyMap<LastUse, Loc>[]): void {
    for (const uses of all) for (const [name, loc] of uses) this.#uses.set(name, loc)
  }

  #error(loc: Loc, message: string): void {
    this.#failed = true
    this.#diagnostics.add('rego_compile_error', loc, message)
  }

  rule(rule: Rule): Rule {
    const args = new Map<string, Declared>()
    const frame: Frame = {
      vars: args,
      hides: new Set([...argNames(rule.head.args ?? []), ...declares(rule.body)]),
    }
    return this.#chain(rule, args, frame)
  }

  /** A rule and its else branches share arguments, but not what their bodies declare. */
  #chain(rule: Rule, argVars: Map<string, Declared>, outer: Frame): Rule {
    const { head } = rule
    this.#frames.length = 0
    const frame: Frame = {
      vars: new Map(),
      hides: new Set([...outer.hides, ...argNames(head.args ?? []), ...declares(rule.body)]),
    }
    this.#frames.push(frame)
    const args = head.args?.map((arg) => this.#arg(arg))
    for (const [name, declared] of frame.vars) {
      // Used in any branch is used.
      declared.uses += argVars.get(name)?.uses ?? 0
      argVars.set(name, declared)
    }
    for (const name of builtinNames(rule.body)) {
      if (frame.vars.has(name) || frame.hides.has(name) || this.#globals.refs.has(name)) continue
      // A variable of the body, whatever it is called.
      const unique = this.#names.fresh()
      this.#original.set(unique, name)
      frame.vars.set(name, { occurrence: 'seen', unique, loc: rule.loc, uses: 0 })
    }
    // Comprehensions in the head are scopes of their own and come first.
    const failedBefore = this.#failed
    this.#failed = false
    this.#frames.push({ vars: new Map(), hides: frame.hides })
    const [early, first] = this.#apart(() => this.#headTerms(head, true))
    this.#frames.pop()
    const [body, last] = this.#apart(() => this.#body(rule.body))
    const [late, second] = this.#apart(() => this.#headTerms({ ...head, ...early }, false))
    this.#used(first, second, last)
    for (const [use, loc] of this.#uses) use.loc = loc
    this.#checkUnused(frame, rule.body, body, [...late.ref.slice(1), late.key, late.value])
    if (!this.#failed && !rule.else) this.#checkArgs(frame, argVars, rule)
    const failed = this.#failed
    this.#failed = failed || failedBefore
    const otherwise = rule.else ? this.#chain(rule.else, argVars, frame) : undefined
    return { ...rule, head: { ...head, ...late, args }, body, else: otherwise }
  }

  /** Head terms before the body (only what is inside comprehensions) and after it (everything). */
  #headTerms(head: Head, early: boolean): Pick<Head, 'ref' | 'key' | 'value'> {
    const f = (term: Term): Term => (early ? this.#closuresOnly(term) : this.#resolved(term))
    const [name, ...rest] = head.ref
    return {
      ref: [name, ...rest.map(f)],
      key: head.key && f(head.key),
      value: head.value && f(head.value),
    }
  }

  readonly #done = new WeakSet<Term>()
  #closuresOnly(term: Term): Term {
    if (term.kind === 'template') return term
    if (term.kind.endsWith('Comprehension')) {
      const closed = this.#term(term)
      this.#done.add(closed)
      return closed
    }
    return mapTerm(
      term,
      (t) => this.#closuresOnly(t),
      (b) => b,
    )
  }
  #resolved(term: Term): Term {
    if (this.#done.has(term)) return this.#renameFree(term)
    if (term.kind === 'var' || term.kind === 'ref' || term.kind === 'template')
      return this.#term(term)
    if (term.kind === 'call') {
      return {
        ...term,
        operator: this.#operator(term.operator),
        args: term.args.map((t) => this.#resolved(t)),
      }
    }
    return mapTerm(
      term,
      (t) => this.#resolved(t),
      (b) => b,
    )
  }
  /** A comprehension of the head, already walked, that names variables which the body declared later. */
  #renameFree(term: Term): Term {
    const [frame] = this.#frames
    if (!frame) return term
    const rename = (t: Term): Term => {
      if (t.kind !== 'var') return mapTerm(t, rename, (b) => mapBody(b, rename))
      const declared = frame.vars.get(t.name)
      if (!declared || declared.occurrence === 'seen') return t
      declared.uses++
      return { ...t, name: declared.unique }
    }
    return rename(term)
  }

  #arg(arg: Term): Term {
    const rename = (term: Term): Term => {
      if (term.kind === 'var') {
        if (term.name.startsWith('$')) return term
        const frame = this.#top()
        const known = frame.vars.get(term.name)
        if (known) {
          // Arguments that have to be equal are both used.
          known.uses++
          return { ...term, name: known.unique }
        }
        const unique = this.#names.fresh()
        this.#original.set(unique, term.name)
        frame.vars.set(term.name, { occurrence: 'arg', unique, loc: term.loc, uses: 0 })
        return { ...term, name: unique }
      }
      // Only values are patterns: what sets, keys and comprehensions name is not an argument.
      if (term.kind === 'set' || term.kind.endsWith('Comprehension')) return this.#term(term)
      if (term.kind === 'object') {
        const pairs = term.pairs.map(([k, v]) => [this.#term(k), rename(v)] as const)
        return { ...term, pairs }
      }
      return mapTerm(term, rename, (b) => b)
    }
    return rename(arg)
  }

  #top(): Frame {
    return this.#frames[this.#frames.length - 1] as Frame
  }

  #push(body: Body, extra: readonly string[] = []): void {
    this.#frames.push({ vars: new Map(), hides: new Set([...extra, ...declares(body)]) })
  }

  #find(name: string): Declared | undefined {
    for (let i = this.#frames.length - 1; i >= 0; i--) {
      const found = this.#frames[i]?.vars.get(name)
      if (found && (found.occurrence !== 'seen' || found.unique !== name)) return found
    }
    return undefined
  }

  #declare(term: VarTerm, occurrence: 'assigned' | 'declared'): VarTerm {
    const frame = this.#top()
    const known = frame.vars.get(term.name)
    if (term.name.startsWith('$')) return term
    if (known) {
      const problem = {
        seen: `var ${term.name} referenced above`,
        assigned: `var ${term.name} assigned above`,
        declared: `var ${term.name} declared above`,
        arg: `arg ${term.name} redeclared`,
      }[known.occurrence]
      this.#error(term.loc, problem)
      return term
    }
    const unique = this.#names.fresh()
    this.#original.set(unique, term.name)
    frame.vars.set(term.name, { occurrence, unique, loc: term.loc, uses: 0 })
    return { ...term, name: unique }
  }

  #body(body: Body): Body {
    const found: Expr[] = []
    for (const expr of body) {
      const made = this.#expr(expr)
      if (made) found.push(made)
    }
    const [first] = body
    return found.length === 0 && first ? [trueExpr(first.loc)] : found
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #expr(expr: Expr): Expr | undefined {
    const { node } = expr
    if (
      node.kind === 'call' &&
      node.infix &&
      isOperator(node.operator, 'assign') &&
      node.args.length === 2
    ) {
      return this.#assign(expr, node.args[0] as Term, node.args[1] as Term)
    }
    switch (node.kind) {
      case 'some':
        for (const name of node.vars) {
          if (name.name.startsWith('$'))
            this.#diagnostics.add('rego_compile_error', expr.loc, 'declared var _ unused')
          else this.#declare(name, 'declared')
        }
        return undefined
      case 'someIn': {
        const domain = this.#term(node.domain)
        const mods = this.#with(expr)
        const bound = new Set<string>()
        walkTerm(node.domain, (t) => void (t.kind === 'var' && bound.add(t.name)))
        const pattern = (t: Term): Term => this.#pattern(t, bound)
        const key = node.key && pattern(node.key)
        const value = pattern(node.value)
        return { ...expr, node: { ...node, key, value, domain }, with: mods }
      }
      case 'every':
        return this.#every(expr, node)
      case 'term':
        return { ...expr, node: { ...node, term: this.#term(node.term) }, with: this.#with(expr) }
      case 'call':
        return {
          ...expr,
          node: {
            ...node,
            operator: this.#operator(node.operator),
            args: node.args.map((t) => this.#term(t)),
          },
          with: this.#with(expr),
        }
      case 'body': {
        this.#push(node.body)
        const body = this.#body(node.body)
        this.#checkUnused(this.#top(), node.body, body, [])
        this.#frames.pop()
        return { ...expr, node: { ...node, body }, with: this.#with(expr) }
      }
    }
  }

  /** Variables of a `some ... in` pattern are new; those in its references and calls are not. */
  #pattern(term: Term, bound: ReadonlySet<string>): Term {
    if (term.kind === 'var')
      return bound.has(term.name) ? this.#term(term) : this.#declare(term, 'declared')
    if (term.kind === 'array')
      return { ...term, items: term.items.map((t) => this.#pattern(t, bound)) }
    if (term.kind === 'object') {
      return {
        ...term,
        pairs: term.pairs.map(([k, v]) => [this.#term(k), this.#pattern(v, bound)] as const),
      }
    }
    return this.#term(term)
  }

  #with(expr: Expr): Expr['with'] {
    return expr.with.map((w) => ({
      ...w,
      target: this.#target(w.target),
      value: this.#term(w.value),
    }))
  }
  /** Targets name documents and functions, also ones that a local variable hides elsewhere. */
  #target(target: Term): Term {
    return this.#term(target)
  }

  #assign(expr: Expr, left: Term, right: Term): Expr {
    if (expr.negated) this.#error(expr.loc, 'cannot assign vars inside negated expression')
    const value = this.#term(right)
    const mods = this.#with(expr)
    const target = (term: Term): Term => {
      if (term.kind === 'var') return this.#declare(term, 'assigned')
      if (term.kind === 'ref' && term.terms.length === 1 && term.terms[0].kind === 'var')
        return this.#declare(term.terms[0], 'assigned')
      if (term.kind === 'array') return { ...term, items: term.items.map(target) }
      if (term.kind === 'object') {
        return { ...term, pairs: term.pairs.map(([k, v]) => [this.#term(k), target(v)] as const) }
      }
      if (
        term.kind === 'null' ||
        term.kind === 'boolean' ||
        term.kind === 'number' ||
        term.kind === 'string'
      ) {
        if (term !== left) {
          this.#error(term.loc, `cannot assign to ${term.kind}`)
          return term
        }
      }
      this.#error(term.loc, `cannot assign to ${term.kind}`)
      return term
    }
    const made = target(left)
    const operator = operatorRef('eq', expr.loc)
    return {
      ...expr,
      node: { kind: 'call', operator, args: [made, value], infix: true },
      with: mods,
    }
  }

  #every(expr: Expr, node: Extract<Expr['node'], { kind: 'every' }>): Expr {
    const domain = this.#term(node.domain)
    const mods = this.#with(expr)
    this.#push(node.body, [node.key?.name ?? '', node.value.name])
    const key = node.key && this.#declare(node.key, 'declared')
    const value = this.#declare(node.value, 'declared')
    const body = this.#body(node.body)
    this.#checkUnused(this.#top(), node.body, body, [], expr.loc)
    this.#frames.pop()
    return { ...expr, node: { ...node, key, value, domain, body }, with: mods }
  }

  #operator(operator: RefTerm): RefTerm {
    const made = this.#term(operator)
    return made.kind === 'ref' ? made : { kind: 'ref', terms: [made], loc: operator.loc }
  }

  #term(term: Term): Term {
    switch (term.kind) {
      case 'var':
        return this.#variable(term)
      case 'ref':
        return this.#ref(term)
      case 'call':
        return {
          ...term,
          operator: this.#operator(term.operator),
          args: term.args.map((t) => this.#term(t)),
        }
      case 'arrayComprehension':
      case 'setComprehension': {
        this.#push(term.body)
        const [body, last] = this.#apart(() => this.#body(term.body))
        const made = { ...term, body, term: this.#term(term.term) }
        this.#used(last)
        this.#checkUnused(this.#top(), term.body, body, [made.term])
        this.#frames.pop()
        return made
      }
      case 'objectComprehension': {
        this.#push(term.body)
        const [body, last] = this.#apart(() => this.#body(term.body))
        const made = { ...term, body, key: this.#term(term.key), value: this.#term(term.value) }
        this.#used(last)
        this.#checkUnused(this.#top(), term.body, body, [made.key, made.value])
        this.#frames.pop()
        return made
      }
      case 'template':
        return {
          ...term,
          parts: term.parts.map((part) =>
            part.kind === 'expr' ? (this.#expr(part) ?? part) : this.#term(part),
          ),
        }
      case 'set': {
        const made = new Map(inOrder(term.items).map((t) => [t, this.#term(t)] as const))
        return { ...term, items: term.items.map((t) => made.get(t) ?? t) }
      }
      case 'object': {
        const made = new Map<Term, readonly [Term, Term]>()
        const values = new Map(term.pairs)
        for (const key of inOrder(term.pairs.map(([k]) => k))) {
          made.set(key, [this.#term(key), this.#term(values.get(key) as Term)])
        }
        return { ...term, pairs: term.pairs.map((pair) => made.get(pair[0]) ?? pair) }
      }
      default:
        return mapTerm(
          term,
          (t) => this.#term(t),
          (b) => b,
        )
    }
  }

  #variable(term: VarTerm): Term {
    const { name } = term
    if (name.startsWith('$')) return term
    const declared = this.#find(name)
    if (declared) {
      declared.uses++
      return { ...term, name: declared.unique }
    }
    if (!this.#frames.some(({ hides }) => hides.has(name))) {
      const global = this.#globals.refs.get(name)
      if (global) {
        this.#globals.used.add(name)
        const [head] = global.terms
        if (head.kind === 'var' && head.lastUse) this.#uses.set(head.lastUse, term.loc)
        return relocated(global, term.loc)
      }
    }
    const frame = this.#top()
    if (!frame.vars.has(name)) {
      frame.vars.set(name, { occurrence: 'seen', unique: name, loc: term.loc, uses: 1 })
    }
    return term
  }

  #ref(ref: RefTerm): Term {
    const [head, ...rest] = ref.terms
    const tail = rest.map((t) => this.#term(t))
    if (head.kind !== 'var') return { ...ref, terms: [this.#term(head), ...tail] }
    const hidden = this.#find(head.name)
    if (!hidden && (head.name === 'data' || head.name === 'input'))
      return { ...ref, terms: [head, ...tail] }
    if (hidden && tail.length === 0) return this.#variable(head)
    const made = this.#variable(head)
    if (made.kind === 'ref') return { ...ref, terms: [...made.terms, ...tail] }
    return { ...ref, terms: [made, ...tail] }
  }

  /** Declared but unused names are errors; assigned ones only in strict mode. */
  #checkUnused(
    frame: Frame,
    body: Body,
    made: Body,
    heads: readonly (Term | undefined)[],
    every?: Loc,
  ): void {
    if (this.#failed) return
    const used = new Set<string>()
    const see = (t: Term) => void (t.kind === 'var' && used.add(t.name))
    for (const expr of made) {
      for (const term of termsOf(expr)) walkTerm(term, see)
    }
    for (const term of heads) if (term) walkTerm(term, see)
    for (const [name, declared] of frame.vars) {
      if (declared.occurrence === 'declared' && !used.has(declared.unique)) {
        if (every && declared.uses > 0) continue
        this.#diagnostics.add('rego_compile_error', declared.loc, `declared var ${name} unused`)
      }
      if (declared.occurrence === 'assigned' && declared.uses === 0) {
        const place = body.find((expr) => assigns(expr, name))?.loc ?? declared.loc
        this.#unused.add('rego_compile_error', place, `assigned var ${name} unused`)
      }
    }
  }

  #checkArgs(frame: Frame, args: ReadonlyMap<string, Declared>, rule: Rule): void {
    for (const [name, { occurrence, uses, loc }] of args) {
      if (occurrence !== 'arg' || uses > 0 || rule.isDefault) continue
      void frame
      void loc
      this.#unused.add(
        'rego_compile_error',
        this.#ruleLoc ?? rule.loc,
        `unused argument ${name}. (hint: use _ (wildcard variable) instead)`,
      )
    }
  }
  #ruleLoc: Loc | undefined
  /** Where unused arguments are reported: the rule that has them, not its last else branch. */
  at(loc: Loc): this {
    this.#ruleLoc = loc
    return this
  }

  /** A query's body: nothing around it. */
  query(body: Body): Body {
    this.#push(body)
    const made = this.#body(body)
    return made
  }
}
