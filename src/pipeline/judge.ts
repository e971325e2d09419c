import { performance } from 'node:perf_hooks'
import type { Agent } from '../agents/agent.ts'
import { filesIn } from '../bundle/files.ts'
import { protocolOf } from '../bundle/protocol.ts'
import type { Bundle, ToolCall } from '../bundle/types.ts'
import type { KillState, KillTarget } from '../control/kill-state.ts'
import { costOf } from '../decide/cost.ts'
import { decide } from '../decide/decide.ts'
import { GatewayError } from '../errors.ts'
import type { FactLookups, FetchFact } from '../facts/lookups.ts'
import { canonicalJson, sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { SentFiles } from '../lib/spool.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import { type Decision, ofPhase, type Reason, type Reservation } from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { ActionRequest, Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { Transport } from '../protocols/transport.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { killTargetOf } from '../control/kill-state.ts'
import type { SecondOpinion } from '../model/canary.ts'
import { askBeside, type AskedBeside, opinionOf } from '../canary/second-opinion.ts'

// Everything that is asked before the ledger is: look-ups, the decision, and the exact call that an allowed
// action becomes, since its hash is what an approval is for. All of it sees one bundle, so a reload in
// between cannot mix two policies. A look-up without a usable answer is no failure here: it is a fact that
// is unavailable, and guards turn that into a denial. Nothing is taken or written, so it may be thrown away.

const NO_FACT = 'the look-up got no usable answer'
const INEXACT_FACT = 'the answer of the look-up is not JSON that has one meaning'

export interface JudgeParts {
  readonly metrics: Metrics
  /** What calls, by protocol. */
  readonly transports: ReadonlyMap<string, Transport>
  readonly facts: FactLookups
  readonly killState: KillState
}

/** What is to be judged. */
export interface AskedToJudge {
  readonly request: ActionRequest
  readonly agent: Agent
  readonly bundle: Bundle
  readonly files: SentFiles | undefined
  /** Whether somebody comes back for what a person must approve first. */
  readonly mayBeHeld: boolean
  /** The other policy of a canary, which is asked as well and has no say. */
  readonly beside?: AskedBeside | null
}

/** Gathers what a decision needs and the request does not carry, and decides. Nothing is written or taken. */
export class Judge {
  readonly #parts: JudgeParts

  constructor(parts: JudgeParts) {
    this.#parts = parts
  }

  async judge(asked: AskedToJudge): Promise<Judgement> {
    const { request, agent, bundle, files, mayBeHeld, beside = null } = asked
    const tool = bundle.tools.get(request.action.name)
    const upstream = tool && bundle.upstreams.get(tool.upstream)
    if (upstream) transportOf(this.#parts.transports, upstream).assertReady()
    const facts = {
      nowMs: Date.now(),
      agent,
      ...(await this.#gather(bundle, tool, request, agent)),
    }
    // Begun first, so that whoever has to wait waits for both at once.
    const said = beside && askBeside(beside, knownOf(asked, tool, facts), byThese(asked, facts))
    const startedAt = performance.now()
    const deciding = decisionOn({ request, facts, bundle, mayBeHeld })
    const decision = deciding instanceof Promise ? await deciding : deciding
    this.#parts.metrics.decide.observe((performance.now() - startedAt) / 1000)
    const judgement = judgementOn({ request, facts, bundle, files }, decision)
    if (beside === null) return judgement
    return { ...judgement, beside: opinionOf(beside, judgement.decision, await said) }
  }

  async #gather(bundle: Bundle, tool: Tool | undefined, request: ActionRequest, agent: Agent) {
    const isBlocked =
      tool &&
      this.#parts.killState.check(killTargetOf({ request, agent, upstream: tool.upstream })).blocked
    // Under an engaged switch not even look-ups leave the gate; the ledger refuses anyway.
    if (!tool || tool.facts.length === 0 || isBlocked) return { lookups: {}, unavailable: {} }
    return this.#parts.facts.gather(
      tool.facts,
      request.action.properties,
      bundle.revision,
      this.#factFetcher(bundle, killTargetOf({ request, agent, upstream: tool.upstream })),
    )
  }

  #factFetcher(bundle: Bundle, asking: KillTarget): FetchFact {
    return async (lookup, args) => {
      const tool = bundle.tools.get(lookup.tool)
      const upstream = tool && bundle.upstreams.get(tool.upstream)
      if (!tool || !upstream) throw new Error(`tool ${lookup.tool} is not declared`)
      const target = targetOf(bundle, { tool, upstream, args })
      const transport = transportOf(this.#parts.transports, upstream)
      const { exchange: result } = await transport.call(upstream, target, {
        requestId: newId('req'),
        actionId: '',
        mayStart: () => !this.#parts.killState.check(asking).blocked,
      })
      if (result.type !== 'answered' || result.status !== 200 || result.truncated) {
        throw new Error(NO_FACT)
      }
      return lookedUp(result.body)
    }
  }
}

const knownOf = ({ request }: AskedToJudge, tool: Tool | undefined, facts: Facts) => ({
  tool,
  toolName: request.action.name,
  facts,
})

/** What another policy says of the same, by the same facts. */
const byThese =
  (asked: AskedToJudge, facts: Facts) =>
  async (bundle: Bundle): Promise<Decision> =>
    placed(asked, bundle, heldTo(asked, await decide(asked.request, facts, bundle))).decision

const heldTo = ({ mayBeHeld }: AskedToJudge, decision: Decision): Decision =>
  mayBeHeld ? honourable(decision) : unholdable(honourable(decision))

function placed(
  { request, files }: AskedToJudge,
  bundle: Bundle,
  decision: Decision,
): Pick<Judgement, 'target' | 'decision'> {
  const tool = bundle.tools.get(request.action.name)
  const upstream = tool && bundle.upstreams.get(tool.upstream)
  if (!tool || !upstream || decision.effect === 'deny') return { target: undefined, decision }
  const call = { tool, upstream, args: request.action.properties, ...sentAlong(request) }
  return withTarget(bundle, call, decision, files)
}

/** What calls an upstream: the half of its protocol that has effects. */
export function transportOf(
  transports: ReadonlyMap<string, Transport>,
  { name, protocol }: Upstream,
): Transport {
  const transport = transports.get(protocol)
  if (!transport) throw new Error(`nothing calls upstream ${name}`)
  return transport
}

// Read as strictly as a request: exact numbers, no duplicate members. An error quotes nothing of the answer,
// which the agent would see.
function lookedUp(body: Buffer): Json {
  try {
    return parseStrictJson(utf8.decode(body))
  } catch {
    throw new Error(INEXACT_FACT)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** One action judged: what the claim, the approval hash and the upstream call are made of. */
export interface Judgement {
  readonly bundle: Bundle
  readonly facts: Facts
  readonly tool: Tool | undefined
  readonly upstream: Upstream | undefined
  readonly target: Target | undefined
  readonly decision: Decision
  /** What the other policy of a canary says. */
  readonly beside?: SecondOpinion
}

/** What is decided on; a rehearsal and a replay ask as an action does. */
type Decidable = Pick<AskedToJudge, 'request' | 'bundle'> & { readonly facts: Facts }

/** What guards and modules say, within what the gate can keep to and the caller can wait for. */
export function decisionOn({
  request,
  facts,
  bundle,
  mayBeHeld,
}: Decidable & Pick<AskedToJudge, 'mayBeHeld'>): Decision | Promise<Decision> {
  const kept = (said: Decision) => (mayBeHeld ? honourable(said) : unholdable(honourable(said)))
  const decided = decide(request, facts, bundle)
  return decided instanceof Promise ? decided.then(kept) : kept(decided)
}

/** The decision with the call that it lets be made, which may turn out to be none. */
export function judgementOn(
  { request, facts, bundle, files }: Decidable & Partial<Pick<AskedToJudge, 'files'>>,
  decision: Decision,
): Judgement {
  const tool = bundle.tools.get(request.action.name)
  const upstream = tool && bundle.upstreams.get(tool.upstream)
  if (!tool || !upstream || decision.effect === 'deny') {
    return { bundle, facts, tool, upstream, target: undefined, decision }
  }
  const call = { tool, upstream, args: request.action.properties, ...sentAlong(request) }
  return { bundle, facts, tool, upstream, ...withTarget(bundle, call, decision, files) }
}

/** Micro-units that a judged action costs at most; a denied one costs nothing. */
export function costIn({ decision, tool, bundle }: Judgement, request: ActionRequest): bigint {
  return decision.effect === 'deny' || !tool ? 0n : costOf(request, tool, bundle)
}

// No obligation is built yet, so an allow that comes with one cannot be kept to.
function honourable(decision: Decision): Decision {
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
function unholdable(decision: Decision): Decision {
  const reservations = decision.reservations.map((one) => ({ ...one, exceeded: denied(one) }))
  if (decision.effect !== 'require_approval') return { ...decision, reservations }
  const kept = ofPhase({ reservations }, 'request')
  const reasons = decision.reasons.map((reason): Reason => ({ ...reason, effect: 'deny' }))
  return { ...decision, effect: 'deny', reasons, reservations: kept, obligations: [] }
}

const denied = ({ exceeded }: Reservation): Reason => ({ ...exceeded, effect: 'deny' })

/** The call that these args stand for. @throws GatewayError `invalid_request` where they do not fit into it */
export function targetOf(bundle: Bundle, call: ToolCall): Target {
  return protocolOf(bundle, call.tool).target(call, bundle)
}

/** What the client of a request sends along with its call. */
export const sentAlong = ({ headers }: ActionRequest): Pick<ToolCall, 'headers'> =>
  headers ? { headers } : {}

// A digest alone is nothing to send, and would tell whoever names it that somebody else has such a file.
function assertThere({ tool, args }: ToolCall, files: SentFiles | undefined): void {
  for (const { arg, file } of filesIn(tool.http, args)) {
    if (files?.get(file.sha256)?.bytes === file.bytes) continue
    throw new GatewayError(
      'invalid_request',
      `the bytes of file \`${arg.slice(0, 80)}\` are not there`,
    )
  }
}

// Arguments that cannot be put into the upstream call are a denial, and recorded like any other.
function withTarget(
  bundle: Bundle,
  call: ToolCall,
  decision: Decision,
  files?: SentFiles,
): { target: Target | undefined; decision: Decision } {
  try {
    const target = targetOf(bundle, call)
    assertThere(call, files)
    return { target, decision }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const reason: Reason = {
      code: 'invalid_target',
      message: error.message,
      effect: 'deny',
      source: call.tool.name,
      location: call.tool.location,
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
  const { parts, file, headers, ...call } = target
  const more = {
    ...(headers ? { headers: { ...headers } } : {}),
    ...(parts
      ? {
          parts: parts.map((part) =>
            'file' in part ? { ...part, file: { ...part.file } } : { ...part },
          ),
        }
      : {}),
    ...(file ? { file: { ...file } } : {}),
  }
  return sha256(
    canonicalJson({ target: { ...call, ...more }, declared: declaredHash(tool, upstream) }),
  )
}

// Tools and upstreams live as long as their bundle, and every action needs this.
const declaredHashes = new WeakMap<Tool, WeakMap<Upstream, string>>()

function declaredHash(tool: Tool, upstream: Upstream): string {
  const ofTool = declaredHashes.get(tool) ?? new WeakMap<Upstream, string>()
  declaredHashes.set(tool, ofTool)
  const known = ofTool.get(upstream)
  if (known !== undefined) return known
  const { location: _, description: __, reservedPaths: ___, argsSchema, ...rest } = tool
  const { args = argsSchema, ...said } = tool.declared
  const declared = {
    upstream: asApproved(upstream, upstream.declared),
    tool: asApproved({ ...rest, argsSchema: args }, said),
  }
  const all = JSON.stringify(declared, bigintAsText)
  const hash = sha256(canonicalJson(JSON.parse(all) as JsonObject))
  ofTool.set(upstream, hash)
  return hash
}

// What is made of the words of newer files is left out, and the words stand for it: so hashes of what was approved
// before there were any stay as they are.
function asApproved<T extends Pick<Tool | Upstream, 'http' | 'declared'>>(
  one: T,
  said: JsonObject,
) {
  const { http: _, declared: __, ...plain } = one
  return Object.keys(said).length === 0 ? plain : { ...plain, declared: said }
}

const bigintAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value
