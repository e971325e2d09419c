import type { ErrorRequestHandler } from 'express'
import type { Logger } from '../../lib/log.ts'
import type { Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Evaluation } from '../../inquiries/evaluations.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { toGatewayError } from '../edge/errors.ts'
import type { PartsOf } from '../edge/parts.ts'
import { AGENTS } from '../edge/roles.ts'
import { always, STRING } from '../edge/schemas.ts'
import { sendJsonText } from '../edge/send.ts'
import { OPEN, shape } from '../edge/validate.ts'

// The PreToolUse hook of Claude Code: each of its tools is asked about before it runs, as `claude.{tool}`. Its client goes
// on where a hook fails, so everything here is a 200 whose answer denies, a wrong key and a gate that stops included. An
// allow only ever leaves the client's own permissions in force, unless the policy says that it grants.

export const CLAUDE_HOOK_PATH = '/hooks/claude-code'
const MESSAGE_CHARS_MAX = 1_000

interface Asked {
  readonly tool_name: string
  readonly tool_input: JsonObject
  readonly cwd?: string
  readonly session_id?: string
  readonly permission_mode?: string
}

/** Clients of later versions may say more. */
const BODY = shape<Asked>({
  type: 'object',
  properties: {
    hook_event_name: { const: 'PreToolUse' },
    tool_name: { type: 'string', pattern: '^[A-Za-z0-9_.:-]{1,120}$' },
    tool_input: OPEN,
    cwd: { type: 'string', maxLength: 4_096 },
    session_id: { type: 'string', maxLength: 200 },
    permission_mode: { type: 'string', maxLength: 100 },
  },
  required: ['hook_event_name', 'tool_name', 'tool_input'],
  additionalProperties: true,
})

const ANSWER = always({
  hookSpecificOutput: always({
    hookEventName: { const: 'PreToolUse' },
    permissionDecision: { enum: ['allow', 'deny', 'ask', 'defer'] },
    permissionDecisionReason: STRING,
  }),
})

/** `POST /hooks/claude-code`. */
export function claudeHook(parts: PartsOf<'inquiries'>): Endpoints {
  return new Endpoints('decisions', parts).on(
    'post',
    CLAUDE_HOOK_PATH,
    {
      summary: 'Whether Claude Code may use a tool (PreToolUse hook)',
      description: 'Always 200: what cannot be decided is denied.',
      roles: AGENTS,
      body: BODY,
      answer: ANSWER,
    },
    async ({ body, caller, requestId }) => {
      const asker = { caller, requestId, surface: 'claude_code' }
      const [evaluation] = await parts.inquiries.evaluate([inquiryOf(body, caller.name)], asker)
      return decision(evaluation as Evaluation)
    },
  )
}

/** Ends a request of the hook that failed: the client must not run what nobody decided. */
export function claudeHookErrors(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    // As the route is matched: with a slash behind it, too.
    const path = req.originalUrl.split('?', 1)[0]?.replace(/\/$/, '')
    if (path !== CLAUDE_HOOK_PATH || req.method !== 'POST') {
      return next(error)
    }
    if (res.headersSent) return res.destroy()
    const { code, message, status } = toGatewayError(error)
    if (status >= 500) log.error({ err: error }, code)
    if (!req.complete) res.setHeader('Connection', 'close') // an unread body must not be parsed as a request
    sendJsonText(res, 200, JSON.stringify(answer('deny', `${code}: ${message}`)))
  }
}

function inquiryOf(body: Asked, agentName: string): Inquiry {
  const { tool_name: tool, tool_input: input } = body
  const name = `claude.${tool}`
  const context: Record<string, Json> = {}
  for (const member of ['cwd', 'session_id', 'permission_mode'] as const) {
    if (body[member] !== undefined) context[member] = body[member]
  }
  return {
    subject: { type: 'agent', id: agentName, properties: {} },
    action: { name, properties: input },
    resource: { type: 'tool', id: name, properties: {} },
    context,
  }
}

function decision({ effect, reasons, decisionId, api }: Evaluation): JsonObject {
  const { grants, asksLocally } = api.claude
  const why = reasons.map(({ code, message }) => `${code} (${decisionId}): ${message}`).join('; ')
  if (effect === 'allow') return answer(grants ? 'allow' : 'defer', why)
  if (effect === 'require_approval') return answer(asksLocally ? 'ask' : 'deny', why)
  return answer('deny', why)
}

const answer = (permissionDecision: string, reason: string): JsonObject => ({
  hookSpecificOutput: {
    hookEventName: 'PreToolUse',
    permissionDecision,
    permissionDecisionReason: reason.toWellFormed().slice(0, MESSAGE_CHARS_MAX),
  },
})
