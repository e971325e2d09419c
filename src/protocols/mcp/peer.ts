import { pinHash } from '../../bundle/pins.ts'
import { spansAt } from '../../lib/json-spans.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { LEGACY_VERSIONS, MODERN_VERSION, modernMeta, negotiated } from '../../mcp/eras.ts'
import { isObject } from '../../mcp/wire.ts'
import type { CallOptions } from '../http/exchange.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import { send, tell, type Sending, type Sent } from './sending.ts'

// One MCP server as the gate speaks to it: in which protocol, in which session, and what it lists. The gate declares one and
// the same set of capabilities to it (none), whoever its client is, since servers list other tools to other clients. Of a
// server with sessions every agent has one of its own, so that what one leaves in it is not another's to find.

const PAGES_MAX = 100
const LIST_CHARS_MAX = 4 << 20
const LIST_MS_MAX = 30_000
const TOOLS_MAX = 2_000
const SESSIONS_MAX = 1_000
const SELF = { name: 'portcullis', version: '1' }
/** Whose session it is that lists. */
const NOBODY = ''

/** Why a server cannot be used. */
export class PeerError extends Error {}

export interface Listed {
  readonly tool: JsonObject
  readonly hash: string
}

/** What a server lists, by name. */
export type Listing = ReadonlyMap<string, Listed>

interface Page {
  readonly result: JsonObject
  /** As it came. */
  readonly text: string
}

interface Session {
  readonly id: string | undefined
  readonly version: string
}

/** What a request is sent with. */
type Asked = Pick<Sending, 'method' | 'params' | 'options' | 'onNotification'> & {
  /** Of what is called, for intermediaries; `Mcp-Param-*` besides. */
  readonly headers?: Readonly<Record<string, string>>
}

export class Peer {
  readonly #client: UpstreamClient
  readonly #upstream: Upstream
  readonly #sessions = new Map<string, Promise<Session>>()
  #last: { readonly text: string; readonly listing: Listing } | undefined
  #isModern: Promise<boolean> | undefined
  #era: 'modern' | 'legacy' | null = null

  constructor(client: UpstreamClient, upstream: Upstream) {
    this.#client = client
    this.#upstream = upstream
  }

  /** Which protocol it was last found to speak; null: it did not say yet. */
  get era(): 'modern' | 'legacy' | null {
    return this.#era
  }

  /** Sends one request in the protocol of the server. @throws PeerError where no session can be had */
  async ask(holder: string, asked: Asked): Promise<Sent> {
    const isModern = await this.#modern(asked.options)
    return isModern ? this.#askModern(asked) : this.#askLegacy(holder, asked)
  }

  /** Everything it lists. @throws PeerError */
  async list(options: CallOptions): Promise<Listing> {
    const pages: Page[] = []
    let cursor: string | undefined
    let chars = 0
    const deadline = performance.now() + LIST_MS_MAX
    do {
      if (pages.length === PAGES_MAX) {
        throw new PeerError(`its list has more than ${PAGES_MAX} pages`)
      }
      if (performance.now() > deadline) throw new PeerError('its list does not end')
      const page = await this.#page(cursor, options)
      pages.push(page)
      chars += page.text.length
      if (chars > LIST_CHARS_MAX) throw new PeerError('its list is too large')
      const { nextCursor } = page.result
      cursor = typeof nextCursor === 'string' ? nextCursor : undefined
    } while (cursor !== undefined)
    return this.#listingOf(pages)
  }

  // Asked before each call, and the same nearly always: hashing hundreds of tools each time would be what calls cost.
  #listingOf(pages: readonly Page[]): Listing {
    const text = pages.map((page) => page.text).join('\n')
    if (this.#last?.text === text) return this.#last.listing
    const found = new Map<string, Listed>()
    for (const { result } of pages) {
      if (!Array.isArray(result['tools'])) throw new PeerError('it lists no tools')
      for (const tool of result['tools'] as readonly Json[]) note(found, tool)
      if (found.size > TOOLS_MAX) throw new PeerError(`it lists more than ${TOOLS_MAX} tools`)
    }
    this.#last = { text, listing: found }
    return found
  }

  async #page(cursor: string | undefined, options: CallOptions): Promise<Page> {
    const params = cursor === undefined ? {} : { cursor }
    const sent = await this.ask(NOBODY, { method: 'tools/list', params, options })
    const result = resultOf(sent)
    const { text = '' } = sent.response ?? {}
    const [span] = spansAt(text, [['result']])
    return { result, text: span ? text.slice(span.from, span.to) : text }
  }

  #askModern({ method, params, headers, ...rest }: Asked): Promise<Sent> {
    const meta = { ...(params['_meta'] as JsonObject | undefined), ...modernMeta(SELF) }
    return send(this.#client, this.#upstream, {
      ...{ method, ...rest },
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
    const params = { protocolVersion: LEGACY_VERSIONS[0] ?? '', capabilities: {}, clientInfo: SELF }
    const sent = await send(this.#client, this.#upstream, {
      ...{ method: 'initialize', params, headers: {}, options },
    })
    const { protocolVersion } = resultOf(sent)
    if (negotiated(protocolVersion) !== protocolVersion) {
      throw new PeerError('it speaks no version that the gate knows')
    }
    const session = { id: sent.sessionId, version: protocolVersion }
    const note = { method: 'notifications/initialized' }
    await tell(this.#client, this.#upstream, note, headersOf(session), options.mayStart)
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

function resultOf({ response, exchange, isTooLarge }: Sent): JsonObject {
  const { result, error } = response?.message ?? {}
  if (isObject(result)) return result
  if (isTooLarge) throw new PeerError('its answer is too large')
  if (isObject(error)) throw new PeerError(`it answered an error: ${JSON.stringify(error['code'])}`)
  if (exchange.type === 'answered') throw new PeerError(`it answered ${exchange.status}`)
  throw new PeerError(exchange.message)
}

// What cannot be hashed, or has no name, is nobody's to pin or to call.
function note(found: Map<string, Listed>, tool: Json): void {
  if (!isObject(tool) || typeof tool['name'] !== 'string' || !isObject(tool['inputSchema'])) return
  try {
    found.set(tool['name'], { tool, hash: pinHash(tool) })
  } catch {
    found.delete(tool['name'])
  }
}
