export type { Diagnostic, Place } from '../sources/diagnostics.ts'
export type { PolicyEnv } from '../sources/env.ts'
export { loadBundle, type LoadOptions, type LoadResult } from './load.ts'
export type { SourceTexts } from '../sources/texts.ts'
export { readMatrices } from './matrix.ts'
export {
  type Decider,
  describeCase,
  describeDecider,
  type MatrixResult,
  runMatrix,
  wanted,
} from './matrix-run.ts'
export type { PathCheck, PathProblem } from '../bundle/paths.ts'
export { readRules } from '../engines/opa-module.ts'
export { printDiagnostics, type PrintOptions } from '../sources/print.ts'
export { POLICY_LIMITS } from '../sources/limits.ts'
export type * from '../bundle/types.ts'
export { withBody } from '../bundle/body-args.ts'
export { matchRoute, type RouteMatch } from '../bundle/route.ts'
export { buildTarget, hasBody } from '../bundle/target.ts'
export {
  type Adopting,
  type Candidate,
  type GivenFiles,
  type PolicyListener,
  PolicyStore,
  type ReadPolicy,
  type Rejection,
  type PolicyStoreOptions,
  type ReloadResult,
} from './store.ts'
