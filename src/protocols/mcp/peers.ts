import { randomUUID } from 'node:crypto'
import { mcpToolName } from '../../bundle/pins.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { Upstream } from '../../model/tool.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import { type Listing, Peer, PeerError } from './peer.ts'

// Every MCP server of the live policy, and what it listed last. What is listed is held against what is pinned: a tool that
// is listed otherwise than a person has seen it is not there any more, to whoever lists and to whoever calls. A list that
// cannot be had hides all of a server's tools.

const WATCH_EVERY_MS = 5 * 60_000

/** A tool that is listed otherwise than it is pinned. */
export interface Drift {
  readonly server: string
  readonly tool: string
  readonly pinned: string
  readonly listed: string
}

export interface PeersParts {
  readonly client: UpstreamClient
  readonly bundle: () => Bundle
  readonly onDrift: (drift: Drift) => void
}

interface Known {
  readonly upstream: Upstream
  readonly peer: Peer
  listing: Promise<Listing> | undefined
  listedAt: number
}

export class McpPeers {
  readonly #parts: PeersParts
  readonly #known = new Map<string, Known>()
  #watch: NodeJS.Timeout | undefined

  constructor(parts: PeersParts) {
    this.#parts = parts
  }

  start(): void {
    this.#watch = setInterval(() => this.#look(), WATCH_EVERY_MS).unref()
    this.#look()
  }

  stop(): void {
    clearInterval(this.#watch)
  }

  peer(upstream: Upstream): Peer {
    return this.#of(upstream).peer
  }

  /** The tools that are listed as they are pinned, no older than the policy wants them. @throws PeerError */
  async tools(upstream: Upstream): Promise<Listing> {
    const { tools, mcp } = this.#parts.bundle()
    const listing = await this.#listing(this.#of(upstream), mcp.relistMs)
    const asPinned = [...listing].filter(([name, { hash }]) => {
      const pinned = tools.get(mcpToolName(upstream.name, name))
      if (!pinned) return false
      const pin = pinned.declared['pin']
      if (pin === hash) return true
      this.#parts.onDrift({
        server: upstream.name,
        tool: name,
        pinned: typeof pin === 'string' ? pin : '',
        listed: hash,
      })
      return false
    })
    return new Map(asPinned)
  }

  #of(upstream: Upstream): Known {
    const known = this.#known.get(upstream.name)
    // A reload makes new objects of the same words.
    if (known && JSON.stringify(known.upstream) === JSON.stringify(upstream)) return known
    const peer = new Peer(this.#parts.client, upstream)
    const made = { upstream, peer, listing: undefined, listedAt: 0 }
    this.#known.set(upstream.name, made)
    return made
  }

  #listing(known: Known, maxAgeMs: number): Promise<Listing> {
    const now = performance.now()
    if (known.listing && now - known.listedAt < maxAgeMs) return known.listing
    const options = { requestId: randomUUID(), actionId: '', mayStart: () => true }
    const listing = known.peer.list(options).catch((error: unknown) => {
      known.listing = undefined
      throw error instanceof PeerError ? error : new PeerError(String(error))
    })
    known.listing = listing
    known.listedAt = now
    return listing
  }

  #look(): void {
    for (const upstream of this.#parts.bundle().upstreams.values()) {
      if (upstream.protocol === 'mcp') this.tools(upstream).catch(() => {})
    }
  }
}
