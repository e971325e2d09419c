import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { kindOf, serverAnswer, type ServerAnswer } from '../../mcp/server-requests.ts'
import { INVALID_REQUEST, isObject, McpError, METHOD_NOT_FOUND } from '../../mcp/wire.ts'
import type { ServerAsk } from '../../protocols/http/exchange.ts'
import type { Replying } from './replying.ts'
import type { AskingClients, CallTarget, McpParts } from './served.ts'

// What a server asks of its client while it carries out a call, where the policy lets it ask at all. It is put to the one
// client whose call it is, on the stream of that call, under an id of the gate's own; and only that session can answer it,
// once, while the call is under way. A client that never said it could be asked is not. What cannot be put to anybody is
// answered to the server as a method that there is none of, as where nothing is allowed.

/** Of one call at once; a server that wants more has to wait for an answer. */
const OPEN_MAX = 4
const ASK_CHARS_MAX = 256 * 1024
const ID_BYTES = 24

const REFUSED: ServerAnswer = { error: { code: METHOD_NOT_FOUND, message: 'Method not found' } }

interface Open {
  readonly sessionId: string
  readonly target: CallTarget
  readonly resolve: (answer: ServerAnswer) => void
}

interface Question {
  readonly target: CallTarget
  readonly sessionId: string
  readonly replying: Replying
  /** Aborted once nobody needs the answer, or nobody can give it. */
  readonly ending: AbortController
}

/** What a client says to something that it was asked. */
export interface Said {
  readonly sessionId: string
  readonly message: JsonObject
}

export class Asks implements AskingClients {
  readonly #parts: McpParts
  /** What clients of this replica have been asked, by the id that the gate gave it. */
  readonly #open = new Map<string, Open>()

  constructor(parts: McpParts) {
    this.#parts = parts
  }

  /** Asks the client of one call; undefined where it can be asked nothing. */
  of(target: CallTarget, replying: Replying): ServerAsk | undefined {
    const { asks = [], sessionId } = replying.era
    if (asks.length === 0 || sessionId === null || !replying.canStream) return undefined
    const enders = new Set<() => void>()
    replying.onEnd(() => {
      for (const end of enders) end()
    })
    return async (request, over) => {
      const kind = kindOf(request)
      const isTooMuch = enders.size >= OPEN_MAX
      if (!kind || !asks.includes(kind) || isTooMuch || isLong(request)) return REFUSED
      const ending = new AbortController()
      const end = () => ending.abort()
      enders.add(end)
      over.addEventListener('abort', end)
      if (over.aborted) end()
      try {
        await this.#assertMay(target)
        return await this.#put(request, { target, sessionId, replying, ending })
      } catch (error) {
        if (error instanceof GatewayError) return REFUSED
        throw error
      } finally {
        enders.delete(end)
        over.removeEventListener('abort', end)
      }
    }
  }

  /**
   * Takes the answer of a client to the server that waits for it. One that nobody waits for, because it is late or another
   * session was asked, is dropped without a word. @throws McpError, GatewayError
   */
  async answer({ sessionId, message }: Said): Promise<void> {
    const { id } = message
    if (typeof id !== 'string') return
    const open = this.#open.get(id)
    if (!open || open.sessionId !== sessionId) return
    const said = serverAnswer(message)
    if (!said) throw unreadable()
    this.#open.delete(id)
    try {
      await this.#assertMay(open.target)
    } catch (error) {
      open.resolve(REFUSED)
      throw error
    }
    open.resolve(said)
  }

  async #put(
    { method, params }: JsonObject,
    { target, sessionId, replying, ending }: Question,
  ): Promise<ServerAnswer> {
    const id = `ask_${randomBytes(ID_BYTES).toString('base64url')}`
    // Held to the key like any stream: one that is revoked is asked nothing more, and what it was asked is over.
    const room = new Writable()
    this.#parts.streams.add(target.asking.caller, room)
    try {
      return await new Promise((resolve) => {
        this.#open.set(id, { sessionId, target, resolve })
        ending.signal.addEventListener('abort', () => resolve(REFUSED))
        room.once('close', () => ending.abort())
        const isAsked =
          !ending.signal.aborted && replying.ask(id, method as string, withoutMeta(params))
        if (!isAsked) resolve(REFUSED)
      })
    } finally {
      this.#open.delete(id)
      room.destroy()
      if (ending.signal.aborted) replying.notify('notifications/cancelled', { requestId: id })
    }
  }

  /** @throws GatewayError where its call could not be made any more */
  async #assertMay({ asking, tool, upstream }: CallTarget): Promise<void> {
    const { agents, killState } = this.#parts
    const agent = await agents.acting(asking.caller)
    if (agent.status !== 'active') {
      throw new GatewayError('agent_paused', `the agent is ${agent.status}`)
    }
    const verdict = killState.check({
      ...{ agentId: agent.id, agentName: agent.name },
      ...{ tool, upstream },
    })
    if (verdict.blocked) throw new GatewayError(verdict.code, 'the kill switch is engaged')
  }
}

const isLong = (request: JsonObject): boolean => JSON.stringify(request).length > ASK_CHARS_MAX

// What is said there is between the server and the gate.
function withoutMeta(params: JsonObject[string] | undefined): JsonObject | undefined {
  if (!isObject(params)) return undefined
  const { _meta, ...rest } = params
  return rest
}

const unreadable = (): McpError =>
  new McpError(INVALID_REQUEST, 'a response has either a result or an error', { status: 400 })
