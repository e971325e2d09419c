// The stages between parsing and planning, in OPA's order: a stage that finds something hides the later ones.
import type { Annotations, Body, Import, Module, RefTerm, Rule, Term } from '../ast/ast.ts'
import { walkBody, walkRule } from '../ast/walk.ts'
import { type Diagnostic, Diagnostics } from '../diagnostics.ts'
import { isOperator, operatorName } from '../ast/operators.ts'
import { buildTree, nodeAt, type RuleNode } from '../ast/tree.ts'
import { builtinType } from '../builtins/builtins.ts'
import { checkConflicts } from './conflicts.ts'
import { Expander } from './expand.ts'
import {
  checkArguments,
  checkDeprecated,
  checkFunctions,
  checkKeywords,
  checkShadowedRoots,
  standsForFunction,
} from './functions.ts'
import { checkAnnotations } from './annotations.ts'
import { checkVoidCalls, DeclaredChecker } from './declared.ts'
import { Dynamics } from './dynamics.ts'
import { importName, importText } from './imports.ts'
import { shower } from './show.ts'
import { Metadata } from './metadata.ts'
import { dropPrints, metadataCalls } from './rewrites.ts'
import { checkRecursion, type Needs } from './recursion.ts'
import { SafetyChecker } from './safety.ts'
import { type Globals, NameSource, Scope } from './scope.ts'
import { checkTypes } from './typecheck.ts'
import type { FunctionType, Type } from '../builtins/types.ts'

export interface CheckOptions {
  readonly strict: boolean
  /** Types of functions that the embedder declares. */
  readonly declared: ReadonlyMap<string, FunctionType>
  /** Builtins a policy may use; undefined allows every one that stays inside the evaluation. */
  readonly allowed: (name: string) => boolean
}

export interface CheckedQuery {
  readonly body: Body
  /** Variables of the query: their unique names and the names in the source. */
  readonly vars: readonly (readonly [string, string])[]
}

export interface Checked {
  readonly modules: readonly Module[]
  readonly tree: RuleNode
  readonly query: CheckedQuery | undefined
  /** Unique names of variables -> those in the source. */
  readonly original: ReadonlyMap<string, string>
  /** What strict mode would refuse. */
  readonly warnings: readonly Diagnostic[]
  /** The modules with every name resolved and nothing else changed. */
  readonly resolved: readonly Module[]
  /** The type of what a rule defines; undefined for one of another policy. */
  readonly types: (rule: Rule) => Type | undefined
}

export interface Query {
  readonly body: Body
  readonly imports?: readonly Import[]
  readonly package?: readonly string[]
}

/** The state that stages hand on. */
interface State {
  modules: readonly Module[]
  tree: RuleNode
  /** Rules as they were before anything was taken out of them. */
  resolved: RuleNode
  named: readonly Module[]
  types: Checked['types']
  /** Which rules each rule needs. */
  needs: Needs
  query: Body | undefined
  readonly original: Map<string, string>
  readonly names: NameSource
}

interface Stage {
  readonly name: string
  readonly run: (state: State, context: Context) => void
}

interface Context {
  readonly diagnostics: Diagnostics
  /** What strict mode would refuse. */
  readonly warnings: Diagnostics
  readonly options: CheckOptions
  readonly query: Query | undefined
  readonly functionType: (name: string) => FunctionType | undefined
}

const STAGES: readonly Stage[] = [
  { name: 'arguments', run: (s, c) => checkShadowedRoots(s.modules, c.diagnostics) },
  { name: 'keywords', run: checkModules },
  { name: 'names', run: resolveNames },
  {
    name: 'templates',
    run: (s, c) => eachDeclared(s, c, (checker, rule) => checker.templates(rule)),
  },
  {
    name: 'void calls',
    run: (s, c) =>
      checkVoidCalls(
        s.modules.flatMap(({ rules }) => rules),
        c.functionType,
        c.diagnostics,
      ),
  },
  { name: 'prints', run: (s, c) => eachDeclared(s, c, (checker, rule) => checker.prints(rule)) },
  { name: 'rewrites', run: rewrite },
  { name: 'annotations', run: (s, c) => checkAnnotations(s.modules, c.diagnostics) },
  { name: 'conflicts', run: (s, c) => checkConflicts(s.modules, s.tree, c.diagnostics) },
  // Undefined functions come before safety: an unknown call makes its result unsafe.
  {
    name: 'functions',
    run: (s, c) => checkFunctions(s, c.functionType, c.options.allowed, c.diagnostics),
  },
  { name: 'safety of heads', run: checkHeads },
  { name: 'safety of bodies', run: checkBodies },
  {
    name: 'recursion',
    run: (s, c) => {
      s.needs = checkRecursion(s.resolved, c.diagnostics)
    },
  },
  // Types follow references from rule to rule, so recursion must be out of the way.
  { name: 'dynamic terms', run: takeOutDynamics },
  {
    name: 'types',
    run: (s, c) => {
      const show = shower(s.original, s.names.subjects)
      s.types = checkTypes(s.tree, s.query, c.functionType, c.diagnostics, show, s.needs)
    },
  },
  {
    name: 'deprecated',
    run: (s, c) => checkDeprecated(s.modules, c.options.strict, c.diagnostics, c.warnings),
  },
]

export function check(
  modules: readonly Module[],
  query: Query | undefined,
  options: CheckOptions,
  diagnostics: Diagnostics,
): Checked | undefined {
  const functionType = (name: string) => options.declared.get(name) ?? builtinType(name)
  const state: State = {
    modules,
    tree: buildTree(modules),
    resolved: buildTree([]),
    named: modules,
    types: () => undefined,
    needs: [],
    query: query?.body,
    original: new Map(),
    names: new NameSource(),
  }
  const warnings = new Diagnostics()
  const context: Context = { diagnostics, warnings, options, query, functionType }
  for (const stage of STAGES) {
    stage.run(state, context)
    if (diagnostics.any) return undefined
  }
  return {
    modules: state.modules,
    tree: state.tree,
    original: state.original,
    warnings: warnings.list,
    resolved: state.named,
    types: state.types,
    query: state.query && {
      body: state.query,
      vars: queryVars(state.query, state.original, query?.body ?? []),
    },
  }
}

function checkModules(state: State, { diagnostics, options }: Context): void {
  checkKeywords(state.modules, options.strict, diagnostics)
}

/** Names of rules by package, over all its modules. */
function rulesByPackage(modules: readonly Module[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const { package: pkg, rules } of modules) {
    const key = pkg.path.join('\u0000')
    const names = found.get(key) ?? new Set()
    found.set(key, names)
    for (const { head } of rules) names.add(head.ref[0].name)
  }
  return found
}

function globalsOf(
  module: Pick<Module, 'package' | 'imports'>,
  names: ReadonlySet<string>,
): Globals {
  const { loc, path } = module.package
  const data = { kind: 'var', name: 'data', loc, lastUse: { loc } } as const
  const packageRef: RefTerm = {
    kind: 'ref',
    loc,
    terms: [data, ...path.map((value) => ({ kind: 'string', value, loc }) as const)],
  }
  const refs = new Map<string, RefTerm>()
  for (const name of names) {
    refs.set(name, {
      ...packageRef,
      terms: [...packageRef.terms, { kind: 'string', value: name, loc }],
    })
  }
  for (const imported of module.imports) {
    const [root] = imported.path.terms
    if (root.kind === 'var' && (root.name === 'future' || root.name === 'rego')) continue
    const name = importName(imported)
    if (name === undefined || name === 'input' || name === 'data' || root.kind !== 'var') continue
    const head = { ...root, lastUse: { loc: root.loc } }
    refs.set(name, { ...imported.path, terms: [head, ...imported.path.terms.slice(1)] })
  }
  return { refs, used: new Set(), packageRef }
}

function resolveNames(state: State, context: Context): void {
  const { diagnostics, warnings, options, query } = context
  const byPackage = rulesByPackage(state.modules)
  const unused = new Diagnostics()
  const found = new Diagnostics()
  state.modules = state.modules.map((module) => {
    const names = byPackage.get(module.package.path.join('\u0000')) ?? new Set()
    const globals = globalsOf(module, names)
    const rules = module.rules.map((rule) =>
      new Scope(globals, state.names, found, options.strict ? found : warnings, state.original)
        .at(rule.loc)
        .rule(rule),
    )
    reportUnusedImports(module, globals, options.strict ? unused : warnings)
    return { ...module, rules }
  })
  if (state.query) {
    const path = query?.package ?? []
    const names = byPackage.get(path.join('\u0000')) ?? new Set()
    const loc = { file: 'query', row: 0, col: 0, length: 0 }
    const globals = globalsOf(
      { package: { loc, path }, imports: query?.imports ?? [] },
      path.length > 0 ? names : new Set(),
    )
    state.query = new Scope(globals, state.names, found, new Diagnostics(), state.original).query(
      state.query,
    )
  }
  // Imports are resolved in a stage before variables are: their errors hide those of variables.
  for (const { code, location, message } of unused.any ? unused.list : found.list)
    diagnostics.add(code, location, message)
}

function reportUnusedImports(module: Module, globals: Globals, diagnostics: Diagnostics): void {
  for (const imported of module.imports) {
    const [root] = imported.path.terms
    if (root.kind === 'var' && (root.name === 'future' || root.name === 'rego')) continue
    const name = importName(imported)
    if (name !== undefined && !globals.used.has(name)) {
      diagnostics.add('rego_compile_error', imported.loc, `${importText(imported)} unused`)
    }
  }
}
function rewrite(state: State, { diagnostics }: Context): void {
  state.named = state.modules
  state.resolved = buildTree(state.modules)
  checkArguments(state.modules, diagnostics)
  if (diagnostics.any) return
  const expander = new Expander(state.names, (mod) => standsForFunction(state.tree, mod))
  const metadata = new Metadata(state.modules)
  state.modules = state.modules.map((module) => ({
    ...module,
    rules: module.rules.map((rule) => {
      const quiet = module.mentions.print ? dropPrints(rule) : rule
      return expander.rule(
        module.mentions.metadata ? metadataCalls(quiet, module, metadata) : quiet,
      )
    }),
  }))
  if (state.query) state.query = expander.query(state.query)
  state.tree = buildTree(state.modules)
}

function takeOutDynamics(state: State): void {
  const dynamics = new Dynamics(state.names)
  state.modules = state.modules.map((module) => ({
    ...module,
    rules: module.rules.map((rule) => dynamics.rule(rule)),
  }))
  if (state.query) state.query = dynamics.body(state.query, false)
  state.tree = buildTree(state.modules)
}

function safetyChecker(state: State, { diagnostics, functionType }: Context): SafetyChecker {
  const arity = (operator: RefTerm) => {
    const name = operatorName(operator)
    if (name === undefined) return undefined
    if (!name.startsWith('data.')) return functionType(name)?.args.length
    const path = operator.terms.slice(1).map((t) => (t.kind === 'string' ? t.value : ''))
    const rules = nodeAt(state.tree, path)?.rules ?? []
    if (rules.length === 0) return undefined
    return rules.find(({ rule }) => rule.head.args)?.rule.head.args?.length ?? 0
  }
  return new SafetyChecker(arity, diagnostics, state.original)
}

function eachDeclared(
  state: State,
  context: Context,
  check: (checker: DeclaredChecker, rule: Rule) => void,
): void {
  const { diagnostics } = context
  const checker = new DeclaredChecker(safetyChecker(state, context), diagnostics, state.original)
  for (const { rules, mentions } of state.modules) {
    if (!mentions.print && !mentions.template) continue
    for (const rule of rules) check(checker, rule)
  }
}

function checkHeads(state: State, context: Context): void {
  const checker = safetyChecker(state, context)
  for (const { rules } of state.modules) for (const rule of rules) checker.head(rule)
}

function checkBodies(state: State, context: Context): void {
  const checker = safetyChecker(state, context)
  state.modules = state.modules.map((module) => ({
    ...module,
    rules: module.rules.map((rule) => checker.rule(rule)),
  }))
  if (state.query) state.query = checker.body(state.query, new Set(['data', 'input']))
}

/** The variables of a query that are its result, under their names in the source. */
function queryVars(
  body: Body,
  original: ReadonlyMap<string, string>,
  source: Body,
): [string, string][] {
  const shown = new Map<string, string>()
  const see = (t: Term) => {
    if (t.kind === 'var' && !t.name.startsWith('$')) {
      const name = original.get(t.name) ?? t.name
      if (name !== 'data' && name !== 'input' && !name.startsWith('%')) shown.set(t.name, name)
    }
    return t.kind.endsWith('Comprehension') ? false : undefined
  }
  walkBody(body, see, ({ node }) => node.kind !== 'body')
  void source
  return [...shown]
}

export { isOperator, walkRule }
export type { Annotations, Rule }
