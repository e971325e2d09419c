import { replaced, spansAt } from '../../lib/json-spans.ts'
import { RawJson } from '../../lib/raw-json.ts'
import { SentFiles } from '../../lib/spool.ts'
import { GatewayError } from '../../errors.ts'
import type { ExposedMethod } from '../../bundle/exposed.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { INTERNAL_ERROR, INVALID_PARAMS, McpError, RESOURCE_NOT_FOUND } from '../../mcp/wire.ts'
import { refusalOf } from '../api/answers.ts'
import { isAgents, submissionOf, waited } from './calls.ts'
import { toldError } from './errors.ts'
import type { Holds } from './holds.ts'
import { relayed, withMembers } from './relay-served.ts'
import type { Replying } from './replying.ts'
import { pendingTold } from './results.ts'
import type { Asking, Beside, Executed, McpParts } from './served.ts'

// Reading a resource and getting a prompt are actions like a call, but their results have no place for a refusal: it is a
// JSON-RPC error under HTTP 200, whose `data` is the gate's. What is not exposed and what the caller may not know of are
// answered alike, and are on record.

interface Reading {
  readonly beside: Beside
  readonly method: ExposedMethod
}

/** `resources/read`, `prompts/get`, `completion/complete`. @throws McpError, GatewayError */
export async function readBeside(
  { parts, holds }: { readonly parts: McpParts; readonly holds: Holds },
  { beside, method }: Reading,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  const { caller, message } = asking
  if (caller.agentId === null) {
    throw new GatewayError('forbidden', `a key of role ${caller.role} may look, and read nothing`)
  }
  const { tool, server, args } = await beside.find(asking, method)
  const files = new SentFiles()
  try {
    const submission = { ...submissionOf(asking, { server, tool: tool.tool, args }), files }
    const answer = await parts.pipeline.act(submission)
    const known = tool
    const ended = await waited(parts, holds, { answer, submission, asking, replying, known })
    if (ended.type === 'refused' && !tool.isShown) throw notFound(method, asking, replying)
    replying.result(resultOf(ended, method, replying))
  } catch (error) {
    if (error instanceof GatewayError && isAgents(error)) throw toldError(error, message.id)
    throw error
  } finally {
    files.discard()
  }
}

function resultOf(answer: Answer, method: ExposedMethod, replying: Replying): JsonObject | RawJson {
  const { id } = replying.message
  switch (answer.type) {
    case 'executed':
      return readResult(answer, method, replying)
    case 'held':
      throw pending(answer, id)
    case 'refused':
      throw toldError(refusalOf(answer), id)
    case 'dry_run':
      throw new Error('a question over MCP is no dry run')
  }
}

function readResult(answer: Executed, method: ExposedMethod, replying: Replying): RawJson {
  const { truncated } = answer.result
  if (truncated) {
    const text = 'the answer was too large to be on record: ask for it again'
    throw new McpError(INTERNAL_ERROR, text, { id: replying.message.id })
  }
  const result = relayed(answer, replying)
  const isCacheable = method === 'resources/read' && replying.era.isModern
  const text = result instanceof RawJson ? result.text : JSON.stringify(result)
  return new RawJson(isCacheable ? asPrivate(text) : text)
}

function pending(answer: Extract<Answer, { type: 'held' }>, id: McpError['id']): McpError {
  const data = pendingTold(answer)
  return new McpError(FORBIDDEN, `${data.code}: ${data.message}`, { id, data })
}

const FORBIDDEN = 403
const READ_TTL_MS_MAX = 60_000

// What one agent reads is not for another, however long the server says that it stands.
function asPrivate(text: string): string {
  const { ttlMs } = JSON.parse(text) as JsonObject
  const ttl = typeof ttlMs === 'number' && ttlMs > 0 ? Math.min(ttlMs, READ_TTL_MS_MAX) : 0
  return withMember(withMember(text, 'ttlMs', ttl), 'cacheScope', 'private')
}

function withMember(text: string, name: string, value: Json): string {
  const spans = spansAt(text, [[name]])
  if (spans.length === 0) return withMembers(text, { [name]: value })
  return replaced(text, spans, () => JSON.stringify(value))
}

function notFound(method: ExposedMethod, { message }: Asking, { era }: Replying): McpError {
  const { id, params } = message
  if (method !== 'resources/read') return new McpError(INVALID_PARAMS, 'Unknown prompt', { id })
  const code = era.isModern ? INVALID_PARAMS : RESOURCE_NOT_FOUND
  return new McpError(code, 'Resource not found', { id, data: { uri: params['uri'] ?? null } })
}
