import { setTimeout as delay } from 'node:timers/promises'
import type { Caller } from '../agents/keys.ts'
import type { Agent } from '../agents/agent.ts'
import type { AgentCache } from '../agents/registry.ts'
import type { Transport } from '../protocols/transport.ts'
import { ERRORS, GatewayError, RETRYABLE } from '../errors.ts'
import { digest, sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import { jsonText } from '../lib/raw-json.ts'
import type { ChatMessage, Completion } from '../protocols/model/call.ts'
import { chatCall, isModelTool } from '../protocols/model/protocol.ts'
import type { Facts } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import { UNSAID } from '../model/request.ts'
import { offeredTools } from '../protocols/model/tool.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Ledger, Tx } from '../record/ledger.ts'
import type { RecordMask } from '../record/mask.ts'
import {
  countRunningTurns,
  finishTurn,
  insertTurn,
  orphanedTurns,
  priorTurn,
  type RecordedTurn,
} from '../record/turns.ts'
import { maskingOf } from '../pipeline/claim.ts'
import type { Masking } from '../record/masking.ts'
import { completionOf, usageJson } from '../protocols/model/outcome.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { NamedCall } from '../pipeline/submission.ts'
import type { Answer, Submission } from '../pipeline/submission.ts'
import {
  echoed,
  meant,
  offerable,
  opening,
  parseArgs,
  resultForModel,
  toolMessage,
} from './turn-messages.ts'

// A turn is a loop around the pipeline and has no powers of its own: the model's every call and every tool
// it asks for are actions of the agent, decided and recorded one by one. Its row is written before the model
// is asked, so an Idempotency-Key runs a turn once; it can stop at any step (a refusal, a limit, a caller
// that is gone), and what was done until then is on record and in the answer. Whatever replica dies in a
// turn, the sweep of another ends it.

export interface TurnSubmission {
  readonly caller: Caller
  readonly requestId: string
  readonly prompt: string
  readonly context: JsonObject
  readonly idempotencyKey: string | null
  /** Says that nobody waits for the answer any more: no further step starts then. */
  readonly isGone: () => boolean
}

/** What is answered, and answered again to the same Idempotency-Key. */
export interface TurnAnswer {
  readonly status: number
  readonly body: JsonObject
}

export interface TurnsParts {
  readonly ledger: Ledger
  readonly pipeline: Pipeline
  readonly agents: AgentCache
  readonly model: Transport
  readonly replicaId: string
  readonly mask: RecordMask
  readonly log: Logger
  readonly bundle: () => Bundle
}

const RECORDED_CHARS_MAX = 1_000
/** At once, for one agent. Their steps have the agent's rate; that a turn begins is recorded before. */
const RUNNING_MAX = 8
const RATE_WAITS_MAX = 5
const ORPHAN_GRACE_MS = 2_000
const RETRY_END_MS = 250

/**
 * Turns: prompt, model, the actions it proposes, and the model again, up to a bound. Every model call and
 * every action is an action of the calling agent in the one pipeline; here is only the order of things.
 */
export class Turns {
  readonly #parts: TurnsParts

  constructor(parts: TurnsParts) {
    this.#parts = parts
  }

  /** @throws GatewayError before the turn is on record; afterwards every end is an answer. */
  async run(submission: TurnSubmission): Promise<TurnAnswer> {
    this.#parts.model.assertReady()
    const agent = await this.#parts.agents.acting(submission.caller)
    const bundle = this.#parts.bundle()
    const id = newId('trn')
    const prior = await this.#parts.ledger.write((tx) =>
      this.#open(tx, id, submission, agent, bundle),
    )
    if (prior) return answerOf(prior)
    const turn = new Turn(this.#parts.pipeline, id, submission, agent, bundle)
    const end = await this.#play(turn)
    await this.#close(turn, end)
    return end.answer
  }

  /** Ends the turns of replicas that are gone. What they did is on record action by action. */
  async sweep(): Promise<void> {
    await this.#parts.ledger.write(async (tx) => {
      for (const row of await orphanedTurns(tx, ORPHAN_GRACE_MS)) await endOrphan(tx, row)
    })
  }

  // The row with the key is written before anything is asked, so two requests cannot both run.
  async #open(
    tx: Tx,
    id: string,
    { caller, requestId, prompt, context, idempotencyKey }: TurnSubmission,
    agent: Agent,
    bundle: Bundle,
  ): Promise<RecordedTurn | undefined> {
    const requestHash = digest({ prompt, context })
    const prior =
      idempotencyKey === null ? undefined : await priorTurn(tx, agent.id, idempotencyKey)
    if (prior) return checked(prior, requestHash)
    if ((await countRunningTurns(tx, agent.id)) >= RUNNING_MAX) {
      const message = `${RUNNING_MAX} turns of this agent are under way`
      throw new GatewayError('rate_limited', message, { retryAfterS: 1 })
    }
    const { replicaId } = this.#parts
    await insertTurn(tx, {
      id,
      agentId: agent.id,
      keyId: caller.keyId,
      requestHash,
      idempotencyKey,
      replicaId,
      revision: bundle.revision,
    })
    tx.append(
      entry('turn.started', agent.id, {
        turn_id: id,
        request_id: requestId,
        key_id: caller.keyId,
        agent_name: agent.name,
        prompt_sha256: sha256(prompt),
        context_sha256: digest(context),
        model: bundle.llm.model,
        revision: bundle.revision,
      }),
    )
    return undefined
  }

  async #play(turn: Turn): Promise<TurnEnd> {
    try {
      return turn.completed(await turn.play())
    } catch (error) {
      if (error instanceof TurnStop) return turn.stopped(error.code, error.message, error.details)
      if (error instanceof GatewayError)
        return turn.stopped(error.code, error.message, error.details)
      this.#parts.log.error({ err: error, turn: turn.id }, 'turn failed')
      return turn.stopped('internal_error', 'something went wrong inside the gate', {})
    }
  }

  // What the turn did is on record action by action; its own end is tried until it is, too.
  async #close(turn: Turn, end: TurnEnd): Promise<void> {
    try {
      await this.#record(turn, end)
    } catch (error) {
      this.#parts.log.error({ err: error, turn: turn.id }, 'end of a turn not recorded')
      void this.#keepTrying(turn, end)
      throw new GatewayError(
        'outcome_unrecorded',
        'the turn is over, but its end is not on record',
        {
          cause: error,
          details: { turn_id: turn.id },
        },
      )
    }
  }

  async #keepTrying(turn: Turn, end: TurnEnd): Promise<void> {
    for (;;) {
      await delay(RETRY_END_MS, undefined, { ref: false })
      const isRecorded = await this.#record(turn, end).then(
        () => true,
        () => false,
      )
      if (isRecorded) return
    }
  }

  #record(turn: Turn, { status, answer, freesKey, ...rest }: TurnEnd): Promise<void> {
    return this.#parts.ledger.write(async (tx) => {
      const masking = turn.masking(this.#parts.mask)
      const told = { ...answer, body: masking ? masking.told(answer.body) : answer.body }
      const end = { status, answer: JSON.stringify(told), freesKey }
      if (!(await finishTurn(tx, turn.id, end))) return
      const summary = turn.summary({ status, answer, freesKey, ...rest }, masking)
      tx.append(entry('turn.finished', turn.agent.id, { turn_id: turn.id, ...summary }))
    })
  }
}

interface TurnEnd {
  readonly status: 'completed' | 'stopped' | 'failed'
  readonly text: string | null
  readonly code: string | null
  readonly answer: TurnAnswer
  readonly freesKey: boolean
}

/** Why a turn goes no further. */
class TurnStop extends Error {
  readonly code: string
  readonly details: JsonObject

  constructor(code: string, message: string, details: JsonObject = {}) {
    super(message)
    this.code = code
    this.details = details
  }
}

/** One turn under way. */
class Turn {
  readonly id: string
  readonly agent: Agent
  readonly #pipeline: Pipeline
  readonly #submission: TurnSubmission
  readonly #bundle: Bundle
  readonly #messages: ChatMessage[]
  readonly #tools: readonly string[]
  readonly #actions: JsonObject[] = []
  readonly #modelCalls: string[] = []
  /** The calls and their results as they were, before anything is shortened or withheld. */
  readonly #told: JsonObject[] = []
  #tokens = { promptTokens: 0, completionTokens: 0 }
  #callsLeft: number
  #model: string

  constructor(
    pipeline: Pipeline,
    id: string,
    submission: TurnSubmission,
    agent: Agent,
    bundle: Bundle,
  ) {
    this.#pipeline = pipeline
    this.id = id
    this.#submission = submission
    this.agent = agent
    this.#bundle = bundle
    this.#messages = opening(agent, bundle, submission.prompt, submission.context)
    this.#tools = offerable(agent, bundle)
    this.#callsLeft = bundle.llm.toolCallsMax
    this.#model = bundle.llm.model
  }

  /** What of all that was said the record may not hold. */
  masking(mask: RecordMask): Masking | null {
    const rules = this.#pipeline.policies.onRecord(this.#bundle, this.agent)
    const masking = maskingOf(mask, this.#bundle, rules)
    masking?.learn(this.#told)
    return masking
  }

  get #facts(): Facts {
    return { nowMs: Date.now(), agent: this.agent, lookups: {}, unavailable: {} }
  }

  /** Plays until the model has nothing more to call; its last words. */
  async play(): Promise<string> {
    for (;;) {
      const completion = await this.#ask()
      if (completion.calls.length === 0) return completion.text
      if (this.#callsLeft === 0) {
        const most = this.#bundle.llm.toolCallsMax
        throw new TurnStop('tool_call_limit', `more than ${most} tool calls in one turn`)
      }
      await this.#carryOut(completion)
    }
  }

  async #ask(): Promise<Completion> {
    // Without calls left none are offered, so that the model can still conclude.
    const tools = this.#callsLeft > 0 ? { tools: this.#tools } : {}
    const messages = this.#messages.map((message) => ({ ...message }))
    const args = { messages, ...tools } as unknown as JsonObject
    const answer = await this.#act(chatCall(args), false)
    if (answer.type !== 'dry_run') this.#modelCalls.push(answer.actionId)
    if (answer.type === 'executed' && answer.state === 'succeeded') {
      return this.#count(completionOf(answer.result))
    }
    if (answer.type !== 'refused') throw new Error(`a model call ended as ${answer.type}`)
    const reasons = answer.reasons.map(({ code, message, source }) => ({ code, message, source }))
    const details = { action_id: answer.actionId, decision_id: answer.decisionId, reasons }
    throw new TurnStop(answer.code, answer.message, details)
  }

  #count(completion: Completion): Completion {
    const { promptTokens = 0, completionTokens = 0 } = completion.usage ?? {}
    this.#tokens = {
      promptTokens: this.#tokens.promptTokens + promptTokens,
      completionTokens: this.#tokens.completionTokens + completionTokens,
    }
    if (completion.model !== '') this.#model = completion.model
    return completion
  }

  // In order, one after another: a later call may rest on an earlier one.
  async #carryOut(completion: Completion): Promise<void> {
    this.#messages.push(echoed(completion, this.#facts, this.#bundle))
    this.#told.push({ tool_calls: completion.calls.map(({ args }) => ({ arguments: args })) })
    for (const call of completion.calls) {
      const result = this.#callsLeft > 0 ? await this.#perform(call.name, call.args) : OVER_LIMIT
      if (this.#callsLeft > 0) this.#callsLeft--
      this.#told.push({ role: 'tool', content: jsonText(result) })
      this.#messages.push(toolMessage(call.id, result, this.#facts, this.#bundle))
    }
  }

  async #perform(name: string, argsText: string): Promise<JsonObject> {
    const parsed = parseArgs(argsText)
    const offered = offeredTools(this.#bundle, this.#tools)
    const tool = meant(name, offered) ?? name.slice(0, RECORDED_NAME_CHARS_MAX).toWellFormed()
    if ('problem' in parsed) return this.#refuse(tool, 'invalid_request', parsed.problem)
    // The model has a door of its own; through this one it would call itself.
    if (isModelTool(tool)) return this.#refuse(tool, 'policy_denied', 'this tool is not offered')
    const answer = await this.#act({ tool, args: parsed.args }, true)
    this.#actions.push(actionJson(tool, answer))
    return resultForModel(answer)
  }

  #refuse(tool: string, code: string, message: string): JsonObject {
    this.#actions.push({
      action_id: null,
      tool,
      decision: 'deny',
      status: 'refused',
      code,
      message,
    })
    return { status: 'refused', error: { code, message } }
  }

  async #act(call: NamedCall, mayBeHeld: boolean): Promise<Answer> {
    const submission: Submission = {
      caller: this.#submission.caller,
      requestId: this.#submission.requestId,
      call,
      ...UNSAID,
      context: this.#submission.context,
      idempotencyKey: null,
      waitMs: 0,
      mayBeHeld,
      told: this.#told,
    }
    for (let wait = 0; ; wait++) {
      if (this.#submission.isGone())
        throw new TurnStop('caller_gone', 'nobody waits for the answer')
      const answer = await this.#pipeline.act(submission)
      const isLimited = answer.type === 'refused' && answer.code === 'rate_limited'
      if (!isLimited || wait === RATE_WAITS_MAX) return answer
      // A refusal for its rate left no trace, and a turn has more than one step a second.
      await delay((answer.retryAfterS ?? 1) * 1000)
    }
  }

  completed(text: string): TurnEnd {
    const answer = { status: 200, body: { ...this.#body('completed'), text } }
    return { status: 'completed', text, code: null, answer, freesKey: false }
  }

  /**
   * A turn that proposed nothing yet ends as the error it met; one that did something answers what it did,
   * and why it went no further: an error would hide effects.
   */
  stopped(code: string, message: string, details: Readonly<Record<string, unknown>>): TurnEnd {
    const known = code in ERRORS ? (code as keyof typeof ERRORS) : 'internal_error'
    if (this.#actions.length > 0 || !(code in ERRORS)) {
      const body = { ...this.#body('stopped'), text: null, stopped_by: { code, message } }
      return { status: 'stopped', text: null, code, answer: { status: 200, body }, freesKey: false }
    }
    const error = { code, message, turn_id: this.id, ...(details as JsonObject) }
    const answer = { status: ERRORS[known], body: { error } }
    return { status: 'failed', text: null, code, answer, freesKey: RETRYABLE.has(known) }
  }

  #body(status: string): JsonObject {
    return {
      turn_id: this.id,
      status,
      actions: this.#actions,
      model_calls: this.#modelCalls,
      usage: usageJson(this.#tokens),
      model: this.#model,
      revision: this.#bundle.revision,
    }
  }

  /** For the record: what was asked and answered by hash, and as much of it as can be kept. */
  summary({ status, text: said, code }: TurnEnd, masking: Masking | null): JsonObject {
    const { prompt } = this.#submission
    // Masked before it is cut: half a value would not be found.
    const text = said === null || !masking ? said : masking.message(said)
    return {
      status,
      code,
      prompt_sha256: sha256(prompt),
      prompt: bounded(masking?.message(prompt) ?? prompt),
      text_sha256: text === null ? null : sha256(text),
      text: text === null ? null : bounded(text),
      actions: masking ? masking.told(this.#actions) : this.#actions,
      model_calls: this.#modelCalls,
      usage: usageJson(this.#tokens),
      model: this.#model,
      revision: this.#bundle.revision,
    }
  }
}

const RECORDED_NAME_CHARS_MAX = 200
const OVER_LIMIT: JsonObject = {
  status: 'refused',
  error: { code: 'tool_call_limit', message: 'no tool calls are left in this turn; conclude now' },
}

const bounded = (text: string): string =>
  text.length <= RECORDED_CHARS_MAX ? text : text.slice(0, RECORDED_CHARS_MAX).toWellFormed()

/** One action of a turn, for the answer. */
function actionJson(tool: string, answer: Answer): JsonObject {
  if (answer.type === 'dry_run') throw new Error('a turn makes no dry runs')
  const base = { action_id: answer.actionId, decision_id: answer.decisionId, tool }
  if (answer.type === 'executed') {
    return { ...base, decision: 'allow', status: answer.state, http_status: answer.result.status }
  }
  if (answer.type === 'held') {
    return {
      ...base,
      decision: 'require_approval',
      status: 'held',
      approval_id: answer.approval.id,
    }
  }
  const { code, message } = answer
  if (code === 'outcome_unknown')
    return { ...base, decision: 'allow', status: 'indeterminate', code, message }
  if (code === 'upstream_unreachable')
    return { ...base, decision: 'allow', status: 'failed', code, message }
  return { ...base, decision: 'deny', status: 'refused', code, message }
}

function checked(prior: RecordedTurn, requestHash: string): RecordedTurn {
  if (prior.requestHash !== requestHash) {
    throw new GatewayError(
      'idempotency_mismatch',
      'this Idempotency-Key was used for a different request',
    )
  }
  if (prior.status !== 'running') return prior
  throw new GatewayError('in_flight', 'the first request with this Idempotency-Key is under way', {
    retryAfterS: 1,
    details: { turn_id: prior.id },
  })
}

const answerOf = ({ answer }: RecordedTurn): TurnAnswer => JSON.parse(answer) as TurnAnswer

async function endOrphan(tx: Tx, turn: RecordedTurn): Promise<void> {
  const message = 'the replica that ran the turn stopped; its actions are on record'
  const body = {
    turn_id: turn.id,
    status: 'stopped',
    text: null,
    stopped_by: { code: 'replica_gone', message },
  }
  const answer = JSON.stringify({ status: 200, body })
  const ended = await finishTurn(tx, turn.id, { status: 'stopped', answer, freesKey: false })
  if (!ended) return
  const detail = {
    turn_id: turn.id,
    status: 'stopped',
    code: 'replica_gone',
    replica: turn.replicaId,
  }
  tx.append(entry('turn.finished', turn.agentId, detail))
}

function entry(kind: string, agentId: string, detail: JsonObject) {
  return { kind, agentId, tool: '', effect: '', actionId: '', detail }
}
