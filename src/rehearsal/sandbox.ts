import { performance } from 'node:perf_hooks'
import type { Caller } from '../agents/keys.ts'
import type { Agent } from '../agents/agent.ts'
import { agentStates, findAgent, type AgentState } from '../agents/registry.ts'
import { askingReservations } from '../decide/pace.ts'
import { GatewayError } from '../errors.ts'
import { sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import { microsFromJson } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Ledger, Tx } from '../record/ledger.ts'
import {
  countOpenRuns,
  finishRun,
  findRun,
  forgottenRuns,
  insertRun,
  orphanedRuns,
  requeueRun,
  startRun,
  type SandboxRun,
  type RunStatus,
} from '../record/sandbox-runs.ts'
import type { RecordMask } from '../record/mask.ts'
import type { Db } from '../store/tx.ts'
import { reasonJson } from '../record/entries.ts'
import { sandboxJob } from '../record/outbox.ts'
import { maskingOf } from '../pipeline/claim.ts'
import type { Masking } from '../record/masking.ts'
import { keepPace } from '../agents/pace.ts'
import { Rehearsal, type Scenario, type Step } from './rehearsal.ts'

// A run is queued in the batch that puts it on record, played by whichever replica takes its job, and finished in another batch. A
// replica that dies in between leaves a run that is `running` under its id: others queue it again, a few times at most.

export const SCENARIO_ACTIONS_MAX = 200
const SCENARIO_BYTES_MAX = 256 * 1024
/** Not finished at once, for one agent. */
const OPEN_RUNS_MAX = 10
const RUN_MS_MAX = 10_000
const ATTEMPTS_MAX = 3
const BUSY_RETRY_AFTER_S = 5

export interface SandboxParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly replicaId: string
  readonly mask: RecordMask
  readonly log: Logger
  readonly bundle: () => Bundle
}

/** Sandbox runs: queued, played without any effect, finished; each of it on record. */
export class Sandbox {
  readonly #parts: SandboxParts
  /** What this replica is at; a run of its own that is not among them could not be finished. */
  readonly #playing = new Set<string>()

  constructor(parts: SandboxParts) {
    this.#parts = parts
  }

  /**
   * Queues a run; the answer is the work of one ledger batch.
   * @throws GatewayError `payload_too_large`, `invalid_request`, and `rate_limited` inside the batch
   */
  queue(agent: Agent, scenario: Scenario, caller: Caller): (tx: Tx) => Promise<JsonObject> {
    const text = JSON.stringify(scenario)
    if (Buffer.byteLength(text) > SCENARIO_BYTES_MAX) {
      throw new GatewayError(
        'payload_too_large',
        `a scenario has at most ${SCENARIO_BYTES_MAX} bytes`,
      )
    }
    assertMoney(scenario)
    const facts = { nowMs: Date.now(), agent, lookups: {}, unavailable: {} }
    const asking = caller.agentId === null ? [] : askingReservations(facts, this.#parts.bundle())
    const shown = JSON.stringify(maskedScenario(scenario, agent.id, this.#masking()) ?? scenario)
    return async (tx) => {
      await keepPace(tx, asking)
      if ((await countOpenRuns(tx, agent.id)) >= OPEN_RUNS_MAX) {
        const message = `${OPEN_RUNS_MAX} runs of this agent are not finished yet`
        throw new GatewayError('rate_limited', message, { retryAfterS: BUSY_RETRY_AFTER_S })
      }
      const id = newId('run', tx.nowMs)
      const name = scenario.name ?? ''
      await insertRun(tx, {
        id,
        agentId: agent.id,
        name,
        scenario: shown === text ? text : this.#sealed(id, text),
        requestedBy: caller.name,
      })
      tx.enqueue(sandboxJob(id))
      const detail = { actor: caller.name, key_id: caller.keyId, scenario_sha256: sha256(shown) }
      tx.append(
        entry('sandbox.queued', agent.id, id, {
          name,
          actions: scenario.actions.length,
          ...detail,
        }),
      )
      return { ok: true, run_id: id, status: 'queued' }
    }
  }

  /** Plays a run, if it is still to be played. Safe to call any number of times. */
  async run(id: string): Promise<void> {
    const { ledger, replicaId } = this.#parts
    this.#playing.add(id)
    try {
      const begun = await ledger.write((tx) => begin(tx, id, replicaId))
      if (begun) await this.#carryThrough(begun)
    } finally {
      this.#playing.delete(id)
    }
  }

  async #carryThrough(begun: Begun): Promise<void> {
    const startedAt = performance.now()
    const bundle = this.#parts.bundle()
    const end = await this.#play(begun, bundle, startedAt)
    const seconds = (performance.now() - startedAt) / 1000
    await this.#parts.ledger.write((tx) => this.#finish(tx, begun.run, bundle, end, seconds))
  }

  /** Runs that nobody is playing any more are queued again, a few times; forgotten ones are played. */
  async sweep(forgottenMs: number): Promise<void> {
    const { db, ledger, replicaId } = this.#parts
    const lost = await orphanedRuns(db, replicaId)
    for (const run of lost.filter(({ id }) => !this.#playing.has(id)))
      await ledger.write((tx) => this.#again(tx, run.id))
    for (const id of await forgottenRuns(db, forgottenMs)) await this.run(id)
  }

  async #play(begun: Begun, bundle: Bundle, startedAt: number): Promise<RunEnd> {
    const { run, agent, state } = begun
    const isOver = () => performance.now() - startedAt > RUN_MS_MAX
    try {
      const scenario = JSON.parse(this.#opened(run)) as Scenario
      const steps = await new Rehearsal(agent, state, bundle, scenario, Date.now()).play(isOver)
      if (!steps) return failed(`more than ${RUN_MS_MAX / 1000} seconds`)
      const status = steps.some(({ met }) => met === false) ? 'failed' : 'passed'
      return { status, steps, scenario, error: '' }
    } catch (error) {
      this.#parts.log.error({ err: error, run: run.id }, 'sandbox run failed')
      return failed('something went wrong inside the gate')
    }
  }

  async #finish(
    tx: Tx,
    run: SandboxRun,
    { revision }: Bundle,
    { status, steps, scenario, error }: RunEnd,
    seconds: number,
  ): Promise<void> {
    const masking = this.#masking()
    const shown = maskedScenario(played(this.#opened(run)), run.agentId, masking)
    const told = JSON.stringify(
      steps.map((step, at) => stepJson(masking ? maskedStep(step, masking) : step, scenario, at)),
    )
    // Played, it is of no more use in clear.
    const kept = shown || isSealed(run) ? JSON.stringify(shown ?? { actions: [] }) : run.scenario
    const end = { status, revision, steps: told, error, scenario: kept }
    if (!(await finishRun(tx, run, end))) return
    tx.append(
      entry('sandbox.finished', run.agentId, run.id, {
        status,
        name: run.name,
        steps: steps.length,
        expectations: steps.filter(({ met }) => met !== null).length,
        missed: steps.filter(({ met }) => met === false).length,
        seconds,
        revision,
        ...(error === '' ? {} : { error }),
      }),
    )
  }

  #masking(): Masking | null {
    return maskingOf(this.#parts.mask, this.#parts.bundle())
  }

  #sealed(id: string, text: string): string {
    return JSON.stringify({ sealed: this.#parts.mask.sealFor(`scenario ${id}`).close(text) })
  }

  #opened({ id, scenario }: SandboxRun): string {
    const { sealed } = JSON.parse(scenario) as { sealed?: string }
    if (sealed === undefined) return scenario
    try {
      return this.#parts.mask.sealFor(`scenario ${id}`).open(sealed)
    } catch {
      return NOTHING // sealed with a secret that is lost
    }
  }

  async #again(tx: Tx, id: string): Promise<void> {
    const run = await findRun(tx, id)
    if (run?.status !== 'running') return
    if (run.attempts < ATTEMPTS_MAX) {
      await requeueRun(tx, run)
      tx.enqueue(sandboxJob(id))
      const reason = 'it was started and not finished'
      tx.append(entry('sandbox.queued', run.agentId, id, { name: run.name, reason }))
      return
    }
    await this.#finish(
      tx,
      run,
      this.#parts.bundle(),
      failed(`given up after ${run.attempts} tries`),
      0,
    )
  }
}

interface Begun {
  readonly run: SandboxRun
  readonly agent: Agent
  readonly state: AgentState
}

interface RunEnd {
  readonly status: RunStatus
  readonly steps: readonly Step[]
  readonly scenario: Scenario
  readonly error: string
}

const failed = (error: string): RunEnd => ({
  status: 'error',
  steps: [],
  scenario: { actions: [] },
  error,
})

async function begin(tx: Tx, id: string, replicaId: string): Promise<Begun | undefined> {
  const run = await startRun(tx, id, replicaId)
  if (!run) return undefined
  const agent = await findAgent(tx, run.agentId)
  const state = (await agentStates(tx, [run.agentId])).get(run.agentId)
  if (!agent || !state) return undefined // gone, and its runs with it
  const { name, attempts } = run
  tx.append(
    entry('sandbox.started', run.agentId, id, { name, attempt: attempts, replica: replicaId }),
  )
  return { run, agent, state }
}

const NOTHING = JSON.stringify({ actions: [] })
const played = (text: string): Scenario => JSON.parse(text) as Scenario

const isSealed = ({ scenario }: SandboxRun): boolean => scenario.startsWith('{"sealed":')

/** The scenario as it is on record; undefined where nothing of it is masked. */
function maskedScenario(
  scenario: Scenario,
  agentId: string,
  masking: Masking | null,
): Scenario | undefined {
  if (!masking) return undefined
  const actions = scenario.actions.map((action) => {
    const { tool, args = {}, resource = null, context = {}, reason = null, facts } = action
    const subject = { type: 'agent', id: agentId } as const
    const called = { name: tool, properties: args }
    const asked = { subject, action: called, resource, context, reason, costMicros: null }
    const shown = masking.request(asked)
    return {
      ...action,
      args: shown.action.properties,
      context: shown.context,
      ...(shown.resource ? { resource: shown.resource } : {}),
      ...(shown.reason === null ? {} : { reason: shown.reason }),
      ...(facts ? { facts: masking.facts(facts) } : {}),
    }
  })
  const facts = scenario.facts ? { facts: masking.facts(scenario.facts) } : {}
  return masking.any ? { ...scenario, actions, ...facts } : undefined
}

function maskedStep(step: Step, masking: Masking): Step {
  return {
    ...step,
    reasons: step.reasons.map((one) => masking.reason(one)),
    shadow: step.shadow.map((one) => masking.reason(one)),
  }
}

function assertMoney({ actions, state = {} }: Scenario): void {
  const wrong = actions.findIndex(
    ({ cost }) => cost !== undefined && microsFromJson(cost) === undefined,
  )
  if (wrong >= 0) {
    throw new GatewayError('invalid_request', `\`/scenario/actions/${wrong}/cost\` is no amount`)
  }
  for (const [id, value] of Object.entries(state)) {
    if (microsFromJson(value) !== undefined) continue
    throw new GatewayError('invalid_request', `\`/scenario/state/${id}\` is no count and no amount`)
  }
}

function stepJson(step: Step, { actions }: Scenario, at: number): JsonObject {
  const { tool, effect, reasons, shadow, met } = step
  return {
    tool,
    effect,
    reasons: reasons.map(reasonJson),
    ...(shadow.length > 0 ? { shadow: shadow.map(reasonJson) } : {}),
    expected: actions[at]?.expect ?? null,
    met,
  }
}

function entry(kind: string, agentId: string, runId: string, detail: JsonObject) {
  return { kind, agentId, tool: '', effect: '', actionId: '', detail: { run_id: runId, ...detail } }
}
