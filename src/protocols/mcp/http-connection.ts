import type { JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { MODERN_VERSION, modernMeta } from '../../mcp/eras.ts'
import { isObject } from '../../mcp/wire.ts'
import type { CallOptions } from '../http/exchange.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import { type Asked, type Connection, PeerError } from './connection.ts'
import { INITIALIZED, initializeParams, SELF, versionOf } from './handshake.ts'
import { send, tell, type Sent } from './sending.ts'

// A server over HTTP: in which protocol it is spoken to, and in which session. Of a server with sessions every agent has one
// of its own, so that what one leaves in it is not another's to find.

const SESSIONS_MAX = 1_000

interface Session {
  readonly id: string | undefined
  readonly version: string
}

export class HttpConnection implements Connection {
  readonly #client: UpstreamClient
  readonly #upstream: Upstream
  readonly #sessions = new Map<string, Promise<Session>>()
  readonly running = null
  #isModern: Promise<boolean> | undefined
  #era: Connection['era'] = null

  constructor(client: UpstreamClient, upstream: Upstream) {
    this.#client = client
    this.#upstream = upstream
  }

  get era(): Connection['era'] {
    return this.#era
  }

  async ask(holder: string, asked: Asked): Promise<Sent> {
    const isModern = await this.#modern(asked.options)
    return isModern ? this.#askModern(asked) : this.#askLegacy(holder, asked)
  }

  async stop(): Promise<void> {}

  // What a server wants to be told it says in its result: it asks nothing on the way.
  #askModern({ method, params, headers, options, onNotification }: Asked): Promise<Sent> {
    const meta = { ...(params['_meta'] as JsonObject | undefined), ...modernMeta(SELF) }
    return send(this.#client, this.#upstream, {
      ...{ method, options, ...(onNotification ? { onNotification } : {}) },
      params: { ...params, _meta: meta },
      headers: { ...headers, 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': method },
    })
  }

  // Its headers are those of the session alone.
  async #askLegacy(holder: string, asked: Asked): Promise<Sent> {
    const session = await this.#session(holder, asked.options)
    const sent = await send(this.#client, this.#upstream, {
      ...asked,
      headers: headersOf(session),
    })
    const { exchange } = sent
    // It knows nothing of the session any more: the next request begins another.
    if (exchange.type === 'answered' && exchange.status === 404) this.#sessions.delete(holder)
    return sent
  }

  #modern(options: CallOptions): Promise<boolean> {
    this.#isModern ??= this.#discover(options).catch((error: unknown) => {
      this.#isModern = undefined
      throw error
    })
    return this.#isModern
  }

  async #discover(options: CallOptions): Promise<boolean> {
    const asked = { method: 'server/discover', params: {}, options: plain(options) }
    const { response, exchange } = await this.#askModern(asked)
    if (exchange.type !== 'answered') throw new PeerError(exchange.message)
    const { result } = response?.message ?? {}
    const versions = isObject(result) ? result['supportedVersions'] : undefined
    const isModern = Array.isArray(versions) && versions.includes(MODERN_VERSION)
    this.#era = isModern ? 'modern' : 'legacy'
    return isModern
  }

  #session(holder: string, options: CallOptions): Promise<Session> {
    const known = this.#sessions.get(holder)
    if (known) return known
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size >= SESSIONS_MAX && oldest !== undefined) this.#sessions.delete(oldest)
    const begun = this.#initialize(plain(options)).catch((error: unknown) => {
      this.#sessions.delete(holder)
      this.#isModern = undefined // perhaps it is another server by now
      throw error
    })
    this.#sessions.set(holder, begun)
    return begun
  }

  async #initialize(options: CallOptions): Promise<Session> {
    const sent = await send(this.#client, this.#upstream, {
      ...{ method: 'initialize', params: initializeParams(this.#upstream), headers: {}, options },
    })
    const session = { id: sent.sessionId, version: versionOf(sent) }
    const headers = headersOf(session)
    await tell(this.#client, this.#upstream, INITIALIZED, headers, options.mayStart)
    return session
  }
}

/** Only the call itself is the action's: what makes it possible is told to nobody. */
const plain = ({ requestId, mayStart }: CallOptions): CallOptions => ({
  requestId,
  actionId: '',
  mayStart,
})

const headersOf = ({ id, version }: Session): Record<string, string> => ({
  'mcp-protocol-version': version,
  ...(id === undefined ? {} : { 'mcp-session-id': id }),
})
