// Rego to WebAssembly: the public door.
export { compile, plan } from './compile.ts'
export { printPolicy } from './ir/print.ts'
export { BUILTIN_NAMES, OUTSIDE, VARYING } from './builtins/builtins.ts'
export type { Budget, Capabilities, Compiled, CompileOptions, Refused } from './compile.ts'
export type { Diagnostic, SourceLocation } from './diagnostics.ts'
export { renderDiagnostic } from './diagnostics.ts'
export { EvalError, load } from './host/load.ts'
export type { DataImage, Loaded, LoadOptions, PlainFunction, PointCount } from './host/load.ts'
export { evaluateQuery as eval } from './query.ts'
export { parse } from './parse.ts'
export { readYaml } from './read-yaml.ts'
export { project, type Projection } from './host/project.ts'
export { separateTests, type TestRule } from './ast/tests.ts'
export { TEST_CASE } from './planner/cases.ts'
export { ParseCache } from './parser/cache.ts'
export { type Expression, expressionsOf, renderExpression, renderExpressions } from './explain.ts'
export { format } from './format.ts'
export { inspect } from './inspect.ts'
export { migrate } from './migrate.ts'
export {
  type Argument,
  type Call,
  namesIn,
  type Reference,
  type RuleSurvey,
  type Step,
} from './survey.ts'
export { keyOf, type Type, typeText } from './builtins/types.ts'
export type { Module as ParsedModule } from './ast/ast.ts'
