import { decide } from '../../src/decide/index.ts'
import type { Decision } from '../../src/model/decision.ts'
import type { Facts } from '../../src/model/facts.ts'
import type { JsonObject } from '../../src/model/json.ts'
import type { ActionRequest } from '../../src/model/request.ts'
import type { Bundle } from '../../src/policy/index.ts'

export const request = (
  tool: string,
  args: JsonObject = {},
  change: Partial<ActionRequest> = {},
): ActionRequest => ({
  subject: { type: 'agent', id: 'agent-1' },
  action: { name: tool, properties: args },
  resource: null,
  context: {},
  reason: null,
  costMicros: null,
  ...change,
})

// Thursday, 2026-11-19 10:30 UTC
export const NOW_MS = Date.UTC(2026, 10, 19, 10, 30)

export const facts = (
  change: Partial<Facts> = {},
  roles: readonly string[] = ['writer'],
): Facts => ({
  nowMs: NOW_MS,
  agent: {
    id: 'agent-1',
    name: 'one',
    owner: 'team',
    roles,
    status: 'active',
    properties: {},
  },
  lookups: {},
  unavailable: {},
  ...change,
})

/** Decides where no module is asynchronous. */
export function decideNow(asked: ActionRequest, known: Facts, bundle: Bundle): Decision {
  const decision = decide(asked, known, bundle)
  if (decision instanceof Promise) throw new Error('expected an answer at once')
  return decision
}

export const codes = (decision: Decision): string[] => decision.reasons.map((one) => one.code)
