import { performance } from 'node:perf_hooks'
import type { Agent } from '../agents/agent.ts'
import type { KillState, KillTarget } from '../control/kill-state.ts'
import { decide } from '../decide/decide.ts'
import type { FactLookups, FetchFact } from '../facts/lookups.ts'
import { newId } from '../lib/ids.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json } from '../model/json.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Transport } from '../protocols/transport.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { killTargetOf } from './claim.ts'
import { honourable, targetOf, unholdable, withTarget, type Judgement } from './judgement.ts'

const NO_FACT = 'the look-up got no usable answer'
const INEXACT_FACT = 'the answer of the look-up is not JSON that has one meaning'

export interface JudgeParts {
  readonly metrics: Metrics
  /** What calls, by protocol. */
  readonly transports: ReadonlyMap<string, Transport>
  readonly facts: FactLookups
  readonly killState: KillState
}

/** Gathers what a decision needs and the request does not carry, and decides. Nothing is written or taken. */
export class Judge {
  readonly #parts: JudgeParts

  constructor(parts: JudgeParts) {
    this.#parts = parts
  }

  /** `mayBeHeld`: whether somebody comes back for what a person must approve first. */
  async judge(
    request: ActionRequest,
    agent: Agent,
    bundle: Bundle,
    mayBeHeld = true,
  ): Promise<Judgement> {
    const tool = bundle.tools.get(request.tool)
    const upstream = tool && bundle.upstreams.get(tool.upstream)
    if (upstream) transportOf(this.#parts.transports, upstream).assertReady()
    const facts = {
      nowMs: Date.now(),
      agent,
      ...(await this.#gather(bundle, tool, request, agent)),
    }
    const startedAt = performance.now()
    const decided = decide(request, facts, bundle)
    const honoured = honourable(decided instanceof Promise ? await decided : decided)
    const decision = mayBeHeld ? honoured : unholdable(honoured)
    this.#parts.metrics.decide.observe((performance.now() - startedAt) / 1000)
    if (!tool || !upstream || decision.effect === 'deny') {
      return { bundle, facts, tool, upstream, target: undefined, decision }
    }
    const placed = withTarget(bundle, tool, upstream, request.args, decision)
    return { bundle, facts, tool, upstream, ...placed }
  }

  async #gather(bundle: Bundle, tool: Tool | undefined, request: ActionRequest, agent: Agent) {
    const isBlocked =
      tool &&
      this.#parts.killState.check(killTargetOf({ request, agent, upstream: tool.upstream })).blocked
    // Under an engaged switch not even look-ups leave the gate; the ledger refuses anyway.
    if (!tool || tool.facts.length === 0 || isBlocked) return { lookups: {}, unavailable: {} }
    return this.#parts.facts.gather(
      tool.facts,
      request.args,
      bundle.revision,
      this.#factFetcher(bundle, killTargetOf({ request, agent, upstream: tool.upstream })),
    )
  }

  #factFetcher(bundle: Bundle, asking: KillTarget): FetchFact {
    return async (lookup, args) => {
      const tool = bundle.tools.get(lookup.tool)
      const upstream = tool && bundle.upstreams.get(tool.upstream)
      if (!tool || !upstream) throw new Error(`tool ${lookup.tool} is not declared`)
      const target = targetOf(bundle, tool, upstream, args)
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
