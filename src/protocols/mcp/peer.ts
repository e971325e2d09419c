import { pinHash } from '../../bundle/pins.ts'
import { spansAt } from '../../lib/json-spans.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { isObject } from '../../mcp/wire.ts'
import type { CallOptions } from '../http/exchange.ts'
import { type Asked, type Connection, PeerError, type Running } from './connection.ts'
import { resultOf } from './handshake.ts'
import type { Sent } from './sending.ts'

// One MCP server as the gate speaks to it, and what it lists, however it is spoken to.

const PAGES_MAX = 100
const LIST_CHARS_MAX = 4 << 20
const LIST_MS_MAX = 30_000
const TOOLS_MAX = 2_000
const ITEMS_MAX = 5_000
/** Whose session it is that lists. */
const NOBODY = ''

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

export class Peer {
  readonly #connection: Connection
  #last: { readonly text: string; readonly listing: Listing } | undefined

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Which protocol it was last found to speak; null: it did not say yet. */
  get era(): Connection['era'] {
    return this.#connection.era
  }

  get running(): Running | null {
    return this.#connection.running
  }

  /** Sends one request in the protocol of the server. @throws PeerError where it could not be sent at all */
  ask(holder: string, asked: Asked): Promise<Sent> {
    return this.#connection.ask(holder, asked)
  }

  /** Nobody needs it any more; what is under way has so long to end. */
  stop(patienceMs?: number): Promise<void> {
    return this.#connection.stop(patienceMs)
  }

  /** Every tool it lists. @throws PeerError */
  async list(options: CallOptions): Promise<Listing> {
    return this.#listingOf(await this.#pages('tools/list', options).catch(noneOfIt))
  }

  /** Everything of another list, such as that of its resources; nothing where it has none. @throws PeerError */
  async listOf(
    method: string,
    member: string,
    options: CallOptions,
  ): Promise<readonly JsonObject[]> {
    const pages = await this.#pages(method, options).catch(noneOfIt)
    const items = pages.flatMap(({ result }) => {
      const part = result[member]
      return Array.isArray(part) ? (part as readonly Json[]).filter(isObject) : []
    })
    if (items.length <= ITEMS_MAX) return items
    throw new PeerError(`it lists more than ${ITEMS_MAX} ${member}`)
  }

  async #pages(method: string, options: CallOptions): Promise<readonly Page[]> {
    const pages: Page[] = []
    let cursor: string | undefined
    let chars = 0
    const deadline = performance.now() + LIST_MS_MAX
    do {
      if (pages.length === PAGES_MAX) {
        throw new PeerError(`its list has more than ${PAGES_MAX} pages`)
      }
      if (performance.now() > deadline) throw new PeerError('its list does not end')
      const page = await this.#page(method, cursor, options)
      pages.push(page)
      chars += page.text.length
      if (chars > LIST_CHARS_MAX) throw new PeerError('its list is too large')
      const { nextCursor } = page.result
      cursor = typeof nextCursor === 'string' ? nextCursor : undefined
    } while (cursor !== undefined)
    return pages
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

  async #page(method: string, cursor: string | undefined, options: CallOptions): Promise<Page> {
    const params = cursor === undefined ? {} : { cursor }
    const sent = await this.ask(NOBODY, { method, params, options })
    const result = resultOf(sent)
    const { text = '' } = sent.response ?? {}
    const [span] = spansAt(text, [['result']])
    return { result, text: span ? text.slice(span.from, span.to) : text }
  }
}

// A server that has none of something has no list of it either.
function noneOfIt(error: unknown): readonly Page[] {
  if (error instanceof PeerError && error.isUnknownMethod) return []
  throw error
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
