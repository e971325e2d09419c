export { decide } from './decide.ts'
export { explainTrace, type ExplainedStep, withoutExpressions } from './explain.ts'
export { GUARD_KINDS } from './guards/registry.ts'
