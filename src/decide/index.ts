export { decide } from './decide.ts'
export { GUARD_KINDS } from './guards/registry.ts'
