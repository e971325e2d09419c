import type { Response } from 'express'
import { GatewayError, type ErrorCode } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { chatCall } from '../../protocols/model/protocol.ts'
import { completionOf, usageJson } from '../../protocols/model/outcome.ts'
import type { Answer } from '../../pipeline/submission.ts'
import type { TurnAnswer } from '../../turns/turns.ts'
import { sendAnswer } from './answers.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { sendError } from '../edge/errors.ts'
import { idempotencyKey, sealOf } from '../edge/once.ts'
import { UNSAID } from '../../model/request.ts'
import type { PartsOf } from '../edge/parts.ts'
import { AGENTS, ANYONE } from '../edge/roles.ts'
import { always, HELD_ANSWER, INTEGER, list, MAYBE_STRING, STRING } from '../edge/schemas.ts'
import { object, OPEN, shape } from '../edge/validate.ts'
import { ACT_ERRORS } from './act.ts'
import { saidContext } from './said-context.ts'

const PROMPT_CHARS_MAX = 100_000
const MESSAGES_MAX = 100
const PROMPT = {
  type: 'string',
  pattern: '^[^\\u0000]*$',
  minLength: 1,
  maxLength: PROMPT_CHARS_MAX,
} as const

const TURN = shape<{ prompt: string; context?: JsonObject }>(
  object({ prompt: PROMPT, context: OPEN }, ['prompt']),
)

interface ChatBody {
  readonly prompt?: string
  readonly messages?: readonly JsonObject[]
  readonly max_tokens?: number
  readonly temperature?: number
  readonly seed?: number
}

const CHAT = shape<ChatBody>(
  object({
    prompt: PROMPT,
    messages: {
      type: 'array',
      minItems: 1,
      maxItems: MESSAGES_MAX,
      items: object({ role: { enum: ['system', 'user', 'assistant'] }, content: PROMPT }, [
        'role',
        'content',
      ]),
    },
    max_tokens: { type: 'integer', minimum: 1, maximum: 1_000_000 },
    temperature: { type: 'number', minimum: 0, maximum: 2 },
    seed: { type: 'integer' },
  }),
)

const USAGE: JsonObject = {
  anyOf: [
    always({ prompt_tokens: INTEGER, completion_tokens: INTEGER, total_tokens: INTEGER }),
    { type: 'null' },
  ],
}
const TURN_ACTION = always(
  {
    action_id: { ...MAYBE_STRING, description: 'null: it could not even become an action' },
    decision_id: STRING,
    tool: STRING,
    decision: { enum: ['allow', 'deny', 'require_approval'] },
    status: STRING,
    http_status: INTEGER,
    approval_id: STRING,
    code: STRING,
    message: STRING,
  },
  ['decision_id', 'http_status', 'approval_id', 'code', 'message'],
)
const TURN_ANSWER = always(
  {
    turn_id: STRING,
    status: { enum: ['completed', 'stopped'] },
    text: MAYBE_STRING,
    stopped_by: always({ code: STRING, message: STRING }),
    actions: list(TURN_ACTION),
    model_calls: list(STRING),
    usage: USAGE,
    model: MAYBE_STRING,
    revision: STRING,
  },
  // One that its replica left behind says no more than that.
  ['stopped_by', 'actions', 'model_calls', 'usage', 'model', 'revision'],
)
const CHAT_ANSWER = always({
  action_id: STRING,
  decision_id: STRING,
  text: STRING,
  finish_reason: STRING,
  usage: USAGE,
  model: STRING,
  revision: STRING,
})

/** `POST /turn`, `POST /llm/chat`, `GET /llm/status`. */
export function turnEndpoints(parts: PartsOf<'config' | 'pipeline' | 'turns'>): Endpoints {
  const { policies, config, pipeline, turns } = parts
  const endpoints = new Endpoints('turns', parts)

  endpoints.stream(
    'post',
    '/turn',
    {
      summary: 'Give the model a prompt; each tool call it proposes is an action of the agent',
      description:
        'A turn that had no effect may end as an error; one that proposed an action answers 200 and ' +
        'says how it ended. With an `Idempotency-Key` the same request gets the same answer.',
      roles: AGENTS,
      body: TURN,
      answer: TURN_ANSWER,
      errors: ACT_ERRORS,
    },
    async ({ req, res, body, caller, requestId }) => {
      const answer = await turns.run({
        caller,
        requestId,
        prompt: body.prompt,
        context: saidContext(body.context),
        idempotencyKey: idempotencyKey(req),
        isGone: () => res.destroyed,
      })
      sendTurn(res, answer)
    },
  )

  endpoints.stream(
    'post',
    '/llm/chat',
    {
      summary: 'Ask the model, without tools',
      description:
        'An action of the tool `llm.chat`: permitted, charged and recorded like any other.',
      roles: AGENTS,
      body: CHAT,
      answer: CHAT_ANSWER,
      also: {
        202: {
          means: 'a person must approve it first: `GET` the `Location` later',
          answer: HELD_ANSWER,
        },
      },
      errors: ACT_ERRORS,
    },
    async ({ req, res, body, caller, requestId }) => {
      const answer = await pipeline.act({
        caller,
        requestId,
        call: chatCall(chatArgs(body)),
        ...UNSAID,
        idempotencyKey: idempotencyKey(req),
        seal: sealOf(req),
        waitMs: 0,
      })
      sendChat(res, answer)
    },
  )

  endpoints.on(
    'get',
    '/llm/status',
    {
      summary: 'Whether a model is configured, and which; never the key',
      roles: ANYONE,
      answer: always({
        configured: { type: 'boolean' },
        provider: { type: ['string', 'null'] },
        base_url: { type: ['string', 'null'] },
        has_key: { type: 'boolean' },
        model: { type: 'string' },
        temperature: { type: 'number' },
        seed: { type: 'integer' },
        max_tokens: { type: 'integer' },
        max_tool_calls: { type: 'integer' },
        timeout_s: { type: 'number' },
        priced: { type: 'boolean' },
      }),
    },
    () => {
      const { llm } = policies.current
      return {
        configured: config.model !== null,
        provider: config.model?.provider ?? null,
        base_url: config.model ? new URL(config.model.baseUrl).origin : null,
        has_key: (config.model?.keyVariable ?? null) !== null,
        model: llm.model,
        temperature: llm.temperature,
        seed: llm.seed,
        max_tokens: llm.maxTokens,
        max_tool_calls: llm.toolCallsMax,
        timeout_s: llm.timeoutMs / 1000,
        priced: llm.price !== null,
      }
    },
  )

  return endpoints
}

function sendTurn(res: Response, { status, body }: TurnAnswer): void {
  const { error } = body as { error?: { code: ErrorCode; message: string } & JsonObject }
  if (!error) {
    res.status(status).json(body)
    return
  }
  const { code, message, ...details } = error
  sendError(res, new GatewayError(code, message, { details }))
}

function chatArgs({ prompt, messages, ...rest }: ChatBody): JsonObject {
  if ((prompt === undefined) === (messages === undefined)) {
    throw new GatewayError('invalid_request', 'give `prompt` or `messages`, one of them')
  }
  return { messages: messages ?? [{ role: 'user', content: prompt ?? '' }], ...rest }
}

function sendChat(res: Response, answer: Answer): void {
  if (answer.type !== 'executed') {
    sendAnswer(res, answer)
    return
  }
  const completion = completionOf(answer.result)
  res.status(200).json({
    action_id: answer.actionId,
    decision_id: answer.decisionId,
    text: completion.text,
    finish_reason: completion.finishReason,
    usage: usageJson(completion.usage),
    model: completion.model,
    revision: answer.revision,
  })
}
