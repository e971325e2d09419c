import type { Body, Expr, Import, Loc, Module, RefTerm, Rule, Term, With } from '../ast/ast.ts'
import { walkBody, walkRule, walkTerm } from '../ast/walk.ts'
import type { Diagnostics } from '../diagnostics.ts'
import { operatorName } from '../ast/operators.ts'
import { nodeAt, type RuleNode } from '../ast/tree.ts'
import { DEPRECATED, isBuiltin, OUTSIDE } from '../builtins/builtins.ts'
import { importName, importText } from './imports.ts'
import type { FunctionType } from '../builtins/types.ts'

// What OPA checks of imports, arguments and calls before types: names that are taken, patterns that are none, functions that do
// not exist or get too many arguments, and what a stricter version refuses. Messages are OPA's, as its tests compare them.

type TypeOf = (name: string) => FunctionType | undefined

/** Two imports under one name. */
export function checkKeywords(
  modules: readonly Module[],
  strict: boolean,
  diagnostics: Diagnostics,
): void {
  for (const { imports, v0 } of modules) {
    if (v0 && !strict) continue
    const seen = new Map<string, Import>()
    for (const imported of imports) {
      const name = importName(imported)
      if (name === undefined) continue
      const other = seen.get(name)
      if (other) {
        const message = `import must not shadow ${importText(other)}`
        diagnostics.add('rego_compile_error', imported.loc, message)
      } else seen.set(name, imported)
    }
  }
}

/** Arguments that would be the documents themselves, wherever in a pattern. */
export function checkShadowedRoots(modules: readonly Module[], diagnostics: Diagnostics): void {
  for (const { rules } of modules) {
    for (const rule of rules) {
      for (const arg of rule.head.args ?? []) {
        const name = rootIn(arg)
        if (name === undefined) continue
        const message = `args must not shadow ${name} (use a different variable name)`
        diagnostics.add('rego_compile_error', rule.loc, message)
        break
      }
    }
  }
}

function rootIn(arg: Term): string | undefined {
  if (arg.kind === 'var') return arg.name === 'input' || arg.name === 'data' ? arg.name : undefined
  if (arg.kind === 'ref' && arg.terms.length === 1) return rootIn(arg.terms[0])
  if (arg.kind === 'ref') return arg.terms.slice(1).map(rootIn).find(Boolean)
  if (arg.kind === 'array') return arg.items.map(rootIn).find(Boolean)
  return arg.kind === 'object'
    ? arg.pairs.map(([, value]) => rootIn(value)).find(Boolean)
    : undefined
}

/** Patterns of arguments are made of values and variables. */
export function checkArguments(modules: readonly Module[], diagnostics: Diagnostics): void {
  for (const { rules } of modules) {
    for (const rule of rules) {
      for (const arg of rule.head.args ?? []) {
        walkTerm(arg, (term) => {
          if (term.kind === 'call')
            diagnostics.add('rego_compile_error', arg.loc, 'rule arguments cannot contain calls')
          return term.kind !== 'template'
        })
      }
    }
  }
}

interface Checkable {
  readonly modules: readonly Module[]
  readonly tree: RuleNode
  readonly query: Body | undefined
}

/** Calls of what does not exist, with the wrong number of operands, or that the capabilities leave out. */
export function checkFunctions(
  { modules, tree, query }: Checkable,
  typeOf: TypeOf,
  allowed: (name: string) => boolean,
  diagnostics: Diagnostics,
): void {
  const checker = new FunctionChecker(tree, typeOf, allowed, diagnostics)
  // OPA validates `with` in a stage before calls.
  for (const mode of ['with', 'call'] as const) {
    for (const { rules } of modules) {
      for (const rule of rules)
        walkRule(
          rule,
          () => undefined,
          (expr) => checker.expr(expr, mode),
        )
    }
    if (query)
      walkBody(
        query,
        () => undefined,
        (expr) => checker.expr(expr, mode),
      )
    if (diagnostics.any) return
  }
}

class FunctionChecker {
  readonly #tree: RuleNode
  readonly #typeOf: TypeOf
  readonly #allowed: (name: string) => boolean
  readonly #diagnostics: Diagnostics

  constructor(
    tree: RuleNode,
    typeOf: TypeOf,
    allowed: (name: string) => boolean,
    diagnostics: Diagnostics,
  ) {
    this.#tree = tree
    this.#typeOf = typeOf
    this.#allowed = allowed
    this.#diagnostics = diagnostics
  }

  expr(expr: Expr, mode: 'with' | 'call'): boolean {
    const { node } = expr
    if (mode === 'with') {
      for (const { target, value } of expr.with) this.#with(target, value)
    } else if (node.kind === 'call') this.#call(expr, node.operator, node.args.length)
    return true
  }

  #call(expr: Expr, operator: RefTerm, operands: number): void {
    const name = operatorName(operator)
    const arity = name === undefined ? undefined : this.#arity(operator, name)
    if (name === undefined || arity === undefined) {
      this.#diagnostics.add(
        'rego_type_error',
        expr.loc,
        `undefined function ${name ?? '(computed)'}`,
      )
      return
    }
    const replaced = expr.with.some(({ target }) => pathOf(target)?.join('.') === name)
    if (!name.startsWith('data.') && !replaced && !this.#allowed(name)) {
      const what = OUTSIDE.has(name)
        ? 'reaches outside the evaluation'
        : 'is not among the capabilities'
      this.#diagnostics.add(
        'rego_capability_error',
        expr.loc,
        `built-in function ${name} ${what}`,
        ['name it in `capabilities` to allow it'],
      )
      return
    }
    if (name === 'print') return
    const fits = expr.generated
      ? operands === arity + 1 || name === 'eq'
      : operands === arity || operands === arity + 1
    if (fits) return
    const have = expr.generated ? operands - 1 : operands
    const message = `function ${name} has arity ${arity}, got ${have} argument${have === 1 ? '' : 's'}`
    this.#diagnostics.add('rego_type_error', expr.loc, message)
  }

  #arity(operator: RefTerm, name: string): number | undefined {
    if (!name.startsWith('data.')) return this.#typeOf(name)?.args.length
    const path = operator.terms.slice(1).map((t) => (t.kind === 'string' ? t.value : ''))
    const rules = nodeAt(this.#tree, path)?.rules ?? []
    if (rules.length === 0) return undefined
    // A rule of one value may be called like a function without arguments.
    return rules.find(({ rule }) => rule.head.args)?.rule.head.args?.length ?? 0
  }

  #with(target: Term, value: Term): void {
    const path = pathOf(target)
    const { loc } = target
    if (path?.[0] === 'input') return
    if (path?.[0] === 'data') return this.#withData(path.slice(1), value, loc)
    const name = path?.join('.')
    if (name !== undefined && this.#typeOf(name)) return this.#withBuiltin(name, value, loc)
    this.#diagnostics.add(
      'rego_type_error',
      loc,
      'with keyword target must reference existing input, data, or a function',
    )
  }

  #withData(path: readonly string[], value: Term, loc: Loc): void {
    for (let n = 1; n < path.length; n++) {
      if ((nodeAt(this.#tree, path.slice(0, n))?.rules.length ?? 0) > 0) {
        this.#diagnostics.add(
          'rego_compile_error',
          loc,
          'with keyword cannot partially replace virtual document(s)',
        )
        return
      }
    }
    void value
  }

  /** What stands in for a function takes as many operands. */
  #sameArity(name: string, value: Term, loc: Loc): void {
    const other = pathOf(value)
    if (!other) return
    const operator: RefTerm = value.kind === 'ref' ? value : { kind: 'ref', terms: [value], loc }
    const [want, have] = [this.#typeOf(name)?.args.length, this.#arity(operator, other.join('.'))]
    if (have === 0 && other[0] === 'data') return
    if (want === undefined || have === undefined || want === have) return
    this.#diagnostics.add('rego_type_error', loc, `${name}: arity mismatch`)
  }

  #withBuiltin(name: string, value: Term, loc: Loc): void {
    void value
    if (value.kind === 'var' || value.kind === 'ref') this.#sameArity(name, value, loc)
    const forbidden =
      name === 'eq' ||
      name === 'walk' ||
      name === 'print' ||
      name.startsWith('internal.') ||
      name.startsWith('rego.metadata.')
    if (forbidden) {
      this.#diagnostics.add(
        'rego_compile_error',
        loc,
        `with keyword replacing built-in function: replacement of ${name} invalid`,
      )
    }
  }
}

/** Whether the value of a `with` is the name of a function, which is not evaluated. */
export function standsForFunction(tree: RuleNode, { target, value }: With): boolean {
  const isFunctionNode = (node: RuleNode | undefined): boolean =>
    node?.rules.some(({ rule }) => (rule.head.args?.length ?? 0) > 0) ?? false
  const [to, from] = [pathOf(target), pathOf(value)]
  if (!to || !from || to[0] === 'input') return false
  const inTree = from[0] === 'data' ? nodeAt(tree, from.slice(1)) : undefined
  const isName = inTree !== undefined || isBuiltin(from.join('.'))
  if (to[0] !== 'data') return isName
  return (isName && isFunctionNode(nodeAt(tree, to.slice(1)))) || isFunctionNode(inTree)
}

function pathOf(term: Term): string[] | undefined {
  if (term.kind === 'var') return [term.name]
  if (term.kind !== 'ref') return undefined
  return term.terms.map((t) =>
    t.kind === 'var' || t.kind === 'string' ? (t.kind === 'var' ? t.name : t.value) : '',
  )
}

/** Functions that v1 has dropped; the old dialect still has them, but for its strict mode. */
export function checkDeprecated(
  modules: readonly Module[],
  strict: boolean,
  diagnostics: Diagnostics,
  warnings: Diagnostics,
): void {
  for (const { rules, v0 } of modules) {
    const found = v0 && !strict ? warnings : diagnostics
    for (const rule of rules) {
      walkRule(
        rule,
        () => undefined,
        ({ node, loc }) => {
          const name = node.kind === 'call' ? operatorName(node.operator) : undefined
          if (name !== undefined && DEPRECATED.has(name)) {
            found.add(
              'rego_type_error',
              loc,
              `deprecated built-in function calls in expression: ${name}`,
            )
          }
          return true
        },
      )
    }
  }
}

export { isBuiltin }
export type { Rule }
