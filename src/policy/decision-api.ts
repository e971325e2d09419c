import type { DecisionApi } from '../bundle/types.ts'

export interface RawDecisionApi {
  readonly actions?: Readonly<Record<string, { readonly resource_types?: readonly string[] }>>
  readonly disclose?: readonly ('reason' | 'reasons')[]
}

/** Reads `decision_api` of `gate.yaml`. Without it, only tools may be asked about. */
export function readDecisionApi({ actions = {}, disclose = [] }: RawDecisionApi = {}): DecisionApi {
  const types = Object.entries(actions).map(
    ([name, action]) => [name, Object.freeze(action.resource_types ?? null)] as const,
  )
  return Object.freeze({
    actions: new Map(types),
    disclosesReasons: disclose.includes('reasons'),
  })
}
