import type { Kinds } from '../policy/compose.ts'
import { PROTOCOLS } from '../protocols/index.ts'
import { GUARD_KINDS } from './guards/registry.ts'

/** The guards and protocols there are, which policies are loaded with. */
export const KINDS: Kinds = { kinds: GUARD_KINDS, protocols: PROTOCOLS }
