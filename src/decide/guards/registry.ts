import type { GuardKind } from '../../bundle/types.ts'
import { argsSchema } from './args-schema.ts'
import { budget } from './budget.ts'
import { bulkLimit } from './bulk-limit.ts'
import { doNotContact } from './do-not-contact.ts'
import { pathWhitelist } from './path-whitelist.ts'
import { permissions } from './permissions.ts'
import { rateLimit } from './rate-limit.ts'
import { riskPatterns } from './risk-patterns.ts'
import { timeWindow } from './time-window.ts'

/** Every kind of guard. A new kind is one file here and one schema in `schemas/guards/`. */
export const GUARD_KINDS: readonly GuardKind[] = Object.freeze([
  permissions,
  bulkLimit,
  doNotContact,
  riskPatterns,
  pathWhitelist,
  budget,
  rateLimit,
  timeWindow,
  argsSchema,
])
