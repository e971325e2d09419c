import type { DecisionApi } from '../bundle/types.ts'

export interface RawDecisionApi {
  readonly actions?: Readonly<Record<string, { readonly resource_types?: readonly string[] }>>
  readonly disclose?: readonly ('reason' | 'reasons')[]
  readonly opa?: { readonly default?: string; readonly guards?: boolean }
}

const OPA_DEFAULT = 'agent/allow'

/** Reads `decision_api` of `gate.yaml`. Without it, only tools may be asked about. */
export function readDecisionApi({
  actions = {},
  disclose = [],
  opa = {},
}: RawDecisionApi = {}): DecisionApi {
  const types = Object.entries(actions).map(
    ([name, action]) => [name, Object.freeze(action.resource_types ?? null)] as const,
  )
  return Object.freeze({
    actions: new Map(types),
    disclosesReasons: disclose.includes('reasons'),
    opa: Object.freeze({
      default: Object.freeze((opa.default ?? OPA_DEFAULT).split('/')),
      guards: opa.guards ?? false,
    }),
  })
}
