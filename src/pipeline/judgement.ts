import { GatewayError } from '../errors.ts'
import { canonicalJson, sha256 } from '../lib/canonical.ts'
import type { Decision, Reason, Reservation } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import { MODEL_UPSTREAM } from '../model/model-call.ts'
import type { Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import { buildModelTarget } from '../policy/model-tool.ts'
import { buildTarget } from '../policy/target.ts'
import type { Bundle } from '../policy/types.ts'

/** One action judged: what the claim, the approval hash and the upstream call are made of. */
export interface Judgement {
  readonly bundle: Bundle
  readonly facts: Facts
  readonly tool: Tool | undefined
  readonly upstream: Upstream | undefined
  readonly target: Target | undefined
  readonly decision: Decision
}

// No obligation is built yet, so an allow that comes with one cannot be kept to.
export function honourable(decision: Decision): Decision {
  const [first] = decision.obligations
  if (!first || decision.effect === 'deny') return decision
  const reason: Reason = {
    code: 'obligation_unsupported',
    message: `the gate cannot honour obligation \`${first.type}\``,
    effect: 'deny',
    source: first.id,
  }
  return { ...decision, effect: 'deny', reasons: [reason] }
}

/** A decision for a caller that cannot wait for a person: what would be held is denied instead. */
export function unholdable(decision: Decision): Decision {
  const reservations = decision.reservations.map((one) => ({ ...one, exceeded: denied(one) }))
  if (decision.effect !== 'require_approval') return { ...decision, reservations }
  const kept = reservations.filter(({ phase }) => phase === 'request')
  const reasons = decision.reasons.map((reason): Reason => ({ ...reason, effect: 'deny' }))
  return { ...decision, effect: 'deny', reasons, reservations: kept, obligations: [] }
}

const denied = ({ exceeded }: Reservation): Reason => ({ ...exceeded, effect: 'deny' })

// Arguments that cannot be put into the upstream call are a denial, and recorded like any other.
export function withTarget(
  bundle: Bundle,
  tool: Tool,
  upstream: Upstream,
  args: JsonObject,
  decision: Decision,
): { target: Target | undefined; decision: Decision } {
  try {
    const isModel = upstream.name === MODEL_UPSTREAM
    const target = isModel ? buildModelTarget(bundle, args) : buildTarget(tool, upstream, args)
    return { target, decision }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const reason: Reason = {
      code: 'invalid_target',
      message: error.message,
      effect: 'deny',
      source: tool.name,
      location: tool.location,
      wire: 'invalid_request',
    }
    return { target: undefined, decision: { ...decision, effect: 'deny', reasons: [reason] } }
  }
}

/** What an approval is for: the exact call. */
export function targetHash(target: Target | undefined): string {
  return target ? sha256(canonicalJson({ ...target })) : ''
}
