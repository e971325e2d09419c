import { randomUUID } from 'node:crypto'
import { mcpToolName } from '../../bundle/pins.ts'
import type { Bundle } from '../../bundle/types.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { type Connection, PeerError } from './connection.ts'
import { type Listing, Peer } from './peer.ts'

// Every MCP server of the live policy and of one on trial, and what it listed last. What is listed is held against what the
// policy has pinned that asks: a tool that is listed otherwise than a person has seen it is not there any more, to whoever
// lists and to whoever calls. A list that cannot be had hides all of a server's tools.

const WATCH_EVERY_MS = 5 * 60_000
/** People who look again and again are no reason to ask more often. */
const JUST_MS = 5_000
/** Calls that are still under way when the gate ends: it has waited for them already. */
const STOP_MS = 2_000

/** A tool that is listed otherwise than it is pinned. */
export interface Drift {
  readonly server: string
  readonly tool: string
  readonly pinned: string
  readonly listed: string
}

export interface PeersParts {
  readonly connect: (upstream: Upstream, onListChanged: () => void) => Connection
  /** The live policy first. */
  readonly bundles: () => readonly [Bundle, ...Bundle[]]
  readonly onDrift: (drift: Drift) => void
}

/** What a server listed when it was asked last, or why it did not. */
export interface Seen {
  readonly at: Date
  readonly listing?: Listing
  readonly error?: string
}

interface Known {
  readonly peer: Peer
  seen: Seen | undefined
  listing: Promise<Listing> | undefined
  listedAt: number
}

export class McpPeers {
  readonly #parts: PeersParts
  /** By the words of its upstream, of which two policies may have others under one name. */
  readonly #known = new Map<string, Known>()
  #watch: NodeJS.Timeout | undefined

  constructor(parts: PeersParts) {
    this.#parts = parts
  }

  start(): void {
    this.#watch = setInterval(() => this.settle(), WATCH_EVERY_MS).unref()
    this.#look()
  }

  async stop(): Promise<void> {
    clearInterval(this.#watch)
    await Promise.all([...this.#known.values()].map(({ peer }) => peer.stop(STOP_MS)))
  }

  /** Another policy decides: what it does not name any more is let go, and what is new in it is asked. */
  settle(): void {
    const said = new Set(this.#said())
    for (const [words, { peer }] of this.#known) {
      if (said.has(words)) continue
      this.#known.delete(words)
      void peer.stop()
    }
    this.#look()
  }

  peer(upstream: Upstream): Peer {
    return this.#of(upstream).peer
  }

  /** The tools that are listed as a policy has them pinned, no older than it wants them. @throws PeerError */
  async tools(upstream: Upstream, by: Bundle = this.#parts.bundles()[0]): Promise<Listing> {
    const { tools, mcp } = by
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

  /** Another list of a server, as it is now. @throws PeerError */
  listOf(upstream: Upstream, method: string, member: string): Promise<readonly JsonObject[]> {
    return this.#of(upstream).peer.listOf(method, member, lookingOptions())
  }

  /** What is known of a server; with `look`, it is asked now, unless it was just asked. */
  async seen(upstream: Upstream, look: boolean): Promise<Seen | undefined> {
    const known = this.#of(upstream)
    if (look) await this.#listing(known, JUST_MS).catch(() => {})
    return known.seen
  }

  #of(upstream: Upstream): Known {
    // A reload makes new objects of the same words.
    const words = JSON.stringify(upstream)
    const known = this.#known.get(words)
    if (known) return known
    const made: Known = {
      peer: new Peer(this.#parts.connect(upstream, () => void (made.listing = undefined))),
      seen: undefined,
      listing: undefined,
      listedAt: 0,
    }
    this.#known.set(words, made)
    return made
  }

  /** The words of every server that some policy names. */
  #said(): readonly string[] {
    return this.#parts
      .bundles()
      .flatMap(({ upstreams }) => [...upstreams.values()])
      .filter(({ protocol }) => protocol === 'mcp')
      .map((upstream) => JSON.stringify(upstream))
  }

  #listing(known: Known, maxAgeMs: number): Promise<Listing> {
    const now = performance.now()
    if (known.listing && now - known.listedAt < maxAgeMs) return known.listing
    const listing = known.peer.list(lookingOptions()).then(
      (listed) => {
        known.seen = { at: new Date(), listing: listed }
        return listed
      },
      (error: unknown) => {
        known.listing = undefined
        const why = error instanceof PeerError ? error : new PeerError(String(error))
        known.seen = { at: new Date(), error: why.message }
        throw why
      },
    )
    known.listing = listing
    known.listedAt = now
    return listing
  }

  #look(): void {
    for (const bundle of this.#parts.bundles()) {
      for (const upstream of bundle.upstreams.values()) {
        if (upstream.protocol === 'mcp') this.tools(upstream, bundle).catch(() => {})
      }
    }
  }
}

/** To look is nobody's action. */
const lookingOptions = () => ({ requestId: randomUUID(), actionId: '', mayStart: () => true })
