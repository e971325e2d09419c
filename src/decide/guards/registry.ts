import type { GuardKind } from '../../policy/types.ts'
import { permissions } from './permissions.ts'
import { rateLimit } from './rate-limit.ts'

/** Every kind of guard. A new kind is one file here and one schema in `schemas/guards/`. */
export const GUARD_KINDS: readonly GuardKind[] = Object.freeze([permissions, rateLimit])
