export type { Diagnostic, Place } from './diagnostics.ts'
export type { PolicyEnv } from './env.ts'
export { loadBundle, type LoadOptions, type LoadResult, type SourceTexts } from './load.ts'
export { type MatrixCase, readMatrices } from './matrix.ts'
export {
  type Decider,
  describeCase,
  describeDecider,
  type MatrixResult,
  runMatrix,
  wanted,
} from './matrix-run.ts'
export type { PathCheck, PathProblem } from './paths.ts'
export { readRules } from './opa-module.ts'
export { printDiagnostics, type PrintOptions } from './print.ts'
export { POLICY_LIMITS } from './limits.ts'
export type * from './types.ts'
export { matchRoute, type RouteMatch, withBody } from './route.ts'
export { buildTarget, hasBody } from './target.ts'
export {
  type PolicyListener,
  PolicyStore,
  type Rejection,
  type PolicyStoreOptions,
  type ReloadResult,
} from './store.ts'
