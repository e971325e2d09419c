import type { JsonObject } from '../model/json.ts'
import type { Decision } from '../model/decision.ts'
import type { AgentFacts, Facts } from '../model/facts.ts'
import { type ActionRequest, UNSAID } from '../model/request.ts'
import { JUDGE, type Outlook, outlookOf } from '../decide/index.ts'
import type { Bundle, ExplainedStep } from '../bundle/types.ts'
import { GatewayError } from '../errors.ts'
import { closeAll } from '../policy/load.ts'
import type { GivenFiles, PolicyStore } from '../policy/store.ts'
import type { TestedPolicy } from '../policy/test-run.ts'
import { didYouMean } from '../lib/suggest.ts'
import { invalid } from './publisher.ts'

// Questions to a policy that change nothing: to the live one, or to one that is only written yet. A draft is loaded as
// any other, in the thread that loads; a test of it that does not hold is no reason not to ask it.

/** Tools and agents of one matrix, multiplied. */
const CELLS_MAX = 20_000

/** What somebody would do. */
export interface Trial {
  readonly agent: AgentFacts
  readonly tool: string
  readonly args: JsonObject
  readonly context: JsonObject
  readonly resource: ActionRequest['resource']
  readonly costMicros: bigint | null
  /** Answers of look-ups, by name: none is made. */
  readonly facts: Facts['lookups']
  readonly atMs: number
}

export interface Tried {
  readonly decision: Decision
  readonly trace: readonly ExplainedStep[]
}

export class Drafts {
  readonly #policies: PolicyStore

  constructor(policies: PolicyStore) {
    this.#policies = policies
  }

  /** Decides as `act` would, with nothing charged, counted, asked or sent. @throws GatewayError `policy_invalid` */
  try(files: GivenFiles | undefined, trial: Trial): Promise<Tried> {
    return this.#withBundle(files, async (bundle) => {
      const { tool, args, context, resource, costMicros } = trial
      const subject = { type: 'agent', id: trial.agent.id }
      const action = { name: tool, properties: args }
      const request = { ...UNSAID, subject, action, resource, context, costMicros }
      const facts: Facts = {
        nowMs: trial.atMs,
        agent: trial.agent,
        lookups: trial.facts,
        unavailable: {},
      }
      const decision = await JUDGE.decide(request, facts, bundle)
      const trace = await JUDGE.explain(decision.trace, request, facts, bundle)
      return { decision, trace }
    })
  }

  /** What rules say of each agent and tool, before anybody says with which args. */
  matrix(
    files: GivenFiles | undefined,
    agents: readonly AgentFacts[],
    wanted: readonly string[] | undefined,
  ): Promise<{ revision: string; tools: string[]; may: Outlook[][] }> {
    return this.#withBundle(files, async (bundle) => {
      const tools = (wanted ?? [...bundle.tools.keys()]).map((name) => toolOf(bundle, name))
      if (tools.length * agents.length > CELLS_MAX) {
        throw new GatewayError('invalid_request', `more than ${CELLS_MAX} combinations`)
      }
      const nowMs = Date.now()
      const may = agents.map((agent) => tools.map((tool) => outlookOf(tool, agent, bundle, nowMs)))
      return { revision: bundle.revision, tools: tools.map(({ name }) => name), may }
    })
  }

  /** Runs every test of a draft, or of what is live. @throws GatewayError `policy_invalid` */
  async test(files: GivenFiles): Promise<Extract<TestedPolicy, { ok: true }>> {
    const tested = await this.#policies.test(files)
    if (tested.ok) return tested
    throw invalid(tested.diagnostics, this.#policies.current.revision)
  }

  async #withBundle<T>(
    files: GivenFiles | undefined,
    ask: (bundle: Bundle) => Promise<T>,
  ): Promise<T> {
    const { current } = this.#policies
    if (!files) return ask(current)
    const result = await this.#policies.draft(files, 'told')
    if (!result.ok) throw invalid(result.diagnostics, current.revision)
    try {
      return await ask(result.bundle)
    } finally {
      await closeAll(result.bundle.modules)
    }
  }
}

function toolOf(bundle: Bundle, name: string) {
  const tool = bundle.tools.get(name)
  if (tool) return tool
  const hint = didYouMean(name, [...bundle.tools.keys()])
  const message = `there is no tool \`${name}\`${hint ? `; ${hint}` : ''}`
  throw new GatewayError('invalid_request', message)
}
