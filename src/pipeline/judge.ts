import { performance } from 'node:perf_hooks'
import type { Agent } from '../agents/agent.ts'
import type { KillState, KillTarget } from '../control/kill-state.ts'
import { decide } from '../decide/decide.ts'
import type { ModelClient } from '../enforce/model-client.ts'
import type { UpstreamClient } from '../enforce/upstream-client.ts'
import { GatewayError } from '../errors.ts'
import type { FactLookups, FetchFact } from '../facts/lookups.ts'
import { newId } from '../lib/ids.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import type { Json } from '../model/json.ts'
import { MODEL_TOOL } from '../model/model-call.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import { buildTarget } from '../policy/target.ts'
import type { Bundle } from '../policy/types.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { killTargetOf } from './claim.ts'
import { honourable, unholdable, withTarget, type Judgement } from './judgement.ts'

const NO_FACT = 'the look-up got no usable answer'
const INEXACT_FACT = 'the answer of the look-up is not JSON that has one meaning'

export interface JudgeParts {
  readonly metrics: Metrics
  readonly client: UpstreamClient
  readonly model: ModelClient
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
    if (tool?.name === MODEL_TOOL) this.#assertModel()
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
      const result = await this.#parts.client.call(upstream, buildTarget(tool, upstream, args), {
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

  #assertModel(): void {
    if (this.#parts.model.settings) return
    throw new GatewayError('llm_unconfigured', 'no model is configured')
  }
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
