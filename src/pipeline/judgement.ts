import { GatewayError } from '../errors.ts'
import { canonicalJson, sha256 } from '../lib/canonical.ts'
import type { Decision, Reason, Reservation } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import type { Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import { protocolOf } from '../bundle/protocol.ts'
import type { Bundle } from '../bundle/types.ts'

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

/** The call that these args stand for. @throws GatewayError `invalid_request` where they do not fit into it */
export function targetOf(bundle: Bundle, tool: Tool, upstream: Upstream, args: JsonObject): Target {
  return protocolOf(bundle, tool).target({ tool, upstream, args }, bundle)
}

// Arguments that cannot be put into the upstream call are a denial, and recorded like any other.
export function withTarget(
  bundle: Bundle,
  tool: Tool,
  upstream: Upstream,
  args: JsonObject,
  decision: Decision,
): { target: Target | undefined; decision: Decision } {
  try {
    return { target: targetOf(bundle, tool, upstream, args), decision }
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

/**
 * What an approval is for: the exact call, where it goes, with which credential (by name), and the tool as it
 * was declared. Whatever the effect depends on is in it, so nothing of it can change behind the approver;
 * the secret itself may, as secrets do. '' where there is no call to make.
 */
export function effectHash({
  target,
  tool,
  upstream,
}: Pick<Judgement, 'target' | 'tool' | 'upstream'>): string {
  if (!target || !tool || !upstream) return ''
  return sha256(canonicalJson({ target: { ...target }, declared: declaredHash(tool, upstream) }))
}

// Tools and upstreams live as long as their bundle, and every action needs this.
const declaredHashes = new WeakMap<Tool, WeakMap<Upstream, string>>()

function declaredHash(tool: Tool, upstream: Upstream): string {
  const ofTool = declaredHashes.get(tool) ?? new WeakMap<Upstream, string>()
  declaredHashes.set(tool, ofTool)
  const known = ofTool.get(upstream)
  if (known !== undefined) return known
  const { location: _, description: __, reservedPaths: ___, ...declared } = tool
  const all = JSON.stringify({ upstream, tool: declared }, bigintAsText)
  const hash = sha256(canonicalJson(JSON.parse(all) as JsonObject))
  ofTool.set(upstream, hash)
  return hash
}

const bigintAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value
