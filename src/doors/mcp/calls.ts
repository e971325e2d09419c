import type { TokenOrigin } from '../../agents/keys.ts'
import { GatewayError, type ErrorCode } from '../../errors.ts'
import type { RawJson } from '../../lib/raw-json.ts'
import { SentFiles } from '../../lib/spool.ts'
import { Seal } from '../../lib/seal.ts'
import type { JsonObject } from '../../model/json.ts'
import { UNSAID } from '../../model/request.ts'
import type { Answer, Submission } from '../../pipeline/submission.ts'
import { assertParamHeaders, metaOf } from '../../mcp/eras.ts'
import { INVALID_PARAMS, isObject, McpError, textParam } from '../../mcp/wire.ts'
import { stateOf } from '../edge/context.ts'
import { idempotencyKey } from '../edge/once.ts'
import type { Asks } from './asks.ts'
import type { Holds } from './holds.ts'
import type { Replying } from './replying.ts'
import { shownTo } from './side.ts'
import { errorResult, pendingResult, refusedResult } from './results.ts'
import type { Asking, CalledTool, McpParts, Served } from './served.ts'
import type { Tasks } from './tasks.ts'

// A call is an action like any other: the pipeline decides, records and carries it out, and this file puts its answer into
// the words of MCP. A tool that is not there and one that the caller may not know of are answered alike, and both are on
// record: trying names is something that people want to see.

const NAME_CHARS_MAX = 128
const IDEMPOTENCY_KEY = 'dev.portcullis/idempotencyKey'
const VISIBLE = /^[\x21-\x7e]{1,255}$/
/** What is called is named by something else than an action: nobody can have declared it. */
export const unknownName = (server: string, name: string): string => `mcp/${server}/${name}`

/** What a call is carried out with. */
export interface Calling {
  readonly parts: McpParts
  readonly holds: Holds
  readonly tasks: Tasks
  readonly asks: Asks
}

/** `tools/call`. */
export async function callTool(
  { parts, holds, tasks, asks }: Calling,
  served: Served,
  asking: Asking,
  replying: Replying,
): Promise<void> {
  const { message, caller, req } = asking
  if (caller.agentId === null) {
    throw new GatewayError('forbidden', `a key of role ${caller.role} may look, and call nothing`)
  }
  const name = nameIn(asking)
  const called = await served.find(asking, name)
  // Of a hidden tool nothing is said, not even this.
  if (called?.isShown && replying.era.isModern) {
    assertParamHeaders(message, req.headers, called.schema)
  }
  const files = new SentFiles()
  try {
    const tool = called?.tool ?? unknownName(served.name, name)
    const sink = served.sink?.(asking, replying, asks)
    const submission = {
      ...submissionOf(asking, {
        server: called?.server ?? served.name,
        tool,
        args: argsOf(asking),
      }),
      files,
      ...(sink ? { sink } : {}),
    }
    const answer = await parts.pipeline.act(submission)
    if (!called?.isShown && answer.type === 'refused') throw unknownTool(name, asking)
    const known = called ?? NO_TOOL
    if (answer.type === 'held' && tasks.areWanted(replying)) {
      replying.result(await tasks.created(answer, served, asking))
      return
    }
    const ended = await waited(parts, holds, { answer, submission, asking, replying, known })
    replying.result(resultOf(served, ended, known, replying))
  } catch (error) {
    const isTold = error instanceof GatewayError && isAgents(error)
    if (!isTold || !called) throw error
    replying.result(errorResult(error, called))
  } finally {
    files.discard()
  }
}

const NO_TOOL: CalledTool = { tool: '', schema: {}, hasOutputSchema: false, isShown: false }

/** What went wrong with the call; with anything else the gate itself is in trouble, and says so by HTTP. */
export const isAgents = ({ code }: GatewayError): boolean => TOLD.has(code)

const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'invalid_request',
  'conflict',
  'in_flight',
  'idempotency_mismatch',
  'kill_switch_engaged',
  'outcome_unrecorded',
])

function nameIn({ message }: Asking): string {
  const name = textParam(message, 'name')
  if (name !== '' && name.length <= NAME_CHARS_MAX && !/\p{Cc}/u.test(name)) return name
  throw new McpError(INVALID_PARAMS, 'Unknown tool', { id: message.id })
}

const unknownTool = (name: string, { message }: Asking): McpError =>
  new McpError(INVALID_PARAMS, `Unknown tool: ${name}`, { id: message.id })

function argsOf({ message }: Asking): JsonObject {
  const { arguments: args = {} } = message.params
  if (isObject(args)) return args
  throw new McpError(INVALID_PARAMS, '`arguments` must be an object', { id: message.id })
}

/** What is asked for, in the words of the pipeline. */
export interface Wanted {
  readonly server: string
  readonly tool: string
  readonly args: JsonObject
}

/** As it is submitted, files apart. @throws McpError for keys of idempotency that are none */
export function submissionOf(
  asking: Asking,
  { server, tool, args }: Wanted,
): Omit<Submission, 'files'> {
  const { req, caller } = asking
  const key = keyOf(asking)
  const { presentedKey, requestId } = stateOf(req)
  return {
    caller,
    requestId,
    call: { tool, args },
    ...UNSAID,
    // What it is joined by when it is sent again is in it: nothing of the session or the client is.
    context: { mcp: { server, ...(caller.token ? { oauth: oauthJson(caller.token) } : {}) } },
    idempotencyKey: key,
    seal: key === null ? null : new Seal(presentedKey ?? '', key),
    waitMs: 0,
    fetchesLater: true,
  }
}

/** For whom it is asked for: an approval, and a key of idempotency, is for that one alone. */
const oauthJson = ({ issuer, client, subject }: TokenOrigin): JsonObject => ({
  issuer,
  client_id: client,
  ...(subject === '' ? {} : { subject }),
})

function keyOf({ req, message }: Asking): string | null {
  const inHeader = idempotencyKey(req)
  const inMeta = metaOf(message)[IDEMPOTENCY_KEY]
  if (inMeta === undefined) return inHeader
  if (typeof inMeta !== 'string' || !VISIBLE.test(inMeta)) {
    const text = `\`${IDEMPOTENCY_KEY}\` must be 1 to 255 visible ASCII characters`
    throw new McpError(INVALID_PARAMS, text, { id: message.id })
  }
  if (inHeader === null || inHeader === inMeta) return inMeta
  throw new McpError(INVALID_PARAMS, 'two different idempotency keys', { id: message.id })
}

interface Taken {
  readonly answer: Answer
  readonly submission: Submission
  readonly asking: Asking
  readonly replying: Replying
  readonly known: CalledTool
}

/** The answer of an action; of a held one when a person has decided, or when its client has waited long enough. */
export async function waited(
  parts: McpParts,
  holds: Holds,
  { answer, submission, asking, replying, known }: Taken,
): Promise<Answer> {
  if (answer.type !== 'held') return answer
  const { caller, message } = asking
  const { sessionId } = replying.era
  const { bundle } = await shownTo(parts, asking)
  const upstream = bundle.tools.get(known.tool)?.upstream ?? ''
  const waiting = { submission, caller, tool: known.tool, upstream, replying }
  const id = sessionId === null ? null : callId(sessionId, message.id)
  return holds.wait(answer, waiting, id)
}

/** What a legacy client means when it takes a call back. */
export const callId = (sessionId: string, id: unknown): string =>
  JSON.stringify([sessionId, id ?? null])

function resultOf(
  served: Served,
  answer: Answer,
  tool: CalledTool,
  replying: Replying,
): JsonObject | RawJson {
  switch (answer.type) {
    case 'executed':
      return served.result(answer, replying, tool.tool)
    case 'held':
      return pendingResult(answer, tool)
    case 'refused':
      return refusedResult(answer, tool)
    case 'dry_run':
      throw new Error('a call over MCP is no dry run')
  }
}
