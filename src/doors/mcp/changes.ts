import { Writable } from 'node:stream'
import { SUBSCRIPTION_KEY } from '../../mcp/eras.ts'
import { isObject } from '../../mcp/wire.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Replying } from './replying.ts'
import type { Asking, McpParts, Offers } from './served.ts'

// What a list holds depends on the policy and on the agent; both change on record, so the record says when a client should
// look again. It is told that it should, never what has changed. A new revision is on record just before it decides, and a
// switch is thrown in several entries: one notice goes out a second after the first of them.

const SETTLE_MS = 1_000
const BEAT_MS = 15_000
const CHANGING = /^(?:policy\.reloaded|policy\.canary|agent\.|kill_switch\.|alert\.mcp_)/

/** What a subscription is told besides lists. */
export interface AlsoTold {
  readonly agreed: JsonObject
  /** What is to be told when something was put on record of an action. */
  about(
    actionId: string,
  ): Promise<{ readonly method: string; readonly params: JsonObject } | undefined>
}

/** What a stream may be told of: lists, and what else a subscription is about. */
export interface Telling {
  readonly offers: Offers
  readonly also?: AlsoTold | undefined
}

const LISTS = ['tools', 'resources', 'prompts'] as const
type List = (typeof LISTS)[number]

/** Streams of sessions, to be ended with them. */
export class ChangeStreams {
  readonly #parts: McpParts
  readonly #bySession = new Map<string, Set<Replying>>()

  constructor(parts: McpParts) {
    this.#parts = parts
  }

  /** The stream of a legacy session. @throws GatewayError `rate_limited` */
  ofSession(asking: Asking, replying: Replying, sessionId: string, offers: Offers): void {
    this.#open(asking, replying)
    const streams = this.#bySession.get(sessionId) ?? new Set()
    this.#bySession.set(sessionId, streams.add(replying))
    replying.onGone(() => {
      streams.delete(replying)
      if (streams.size === 0) this.#bySession.delete(sessionId)
    })
    this.#follow(asking, replying, {}, listsOf(offers))
  }

  /** `subscriptions/listen`: says what it agrees to, and then tells of it. @throws GatewayError `rate_limited` */
  subscription(asking: Asking, replying: Replying, { offers, also }: Telling): void {
    const { message } = asking
    const asked = message.params['notifications']
    const wanted = listsOf(offers).filter(
      (list) => isObject(asked) && asked[`${list}ListChanged`] === true,
    )
    this.#open(asking, replying)
    const meta: JsonObject = { _meta: { [SUBSCRIPTION_KEY]: message.id } }
    const lists = Object.fromEntries(wanted.map((list) => [`${list}ListChanged`, true]))
    const agreed = { ...lists, ...also?.agreed }
    replying.notify('notifications/subscriptions/acknowledged', { ...meta, notifications: agreed })
    if (wanted.length > 0) this.#follow(asking, replying, meta, wanted)
    if (also) this.#tell(also, asking, replying, meta)
  }

  // In order, although each is read anew: what is told last is what stands.
  #tell(also: AlsoTold, { caller }: Asking, replying: Replying, meta: JsonObject): void {
    let telling: Promise<unknown> = Promise.resolve()
    const unsubscribe = this.#parts.events.subscribe(({ actionId, agentId }) => {
      if (actionId === '' || agentId !== caller.agentId) return
      telling = telling.then(async () => {
        const told = await also.about(actionId).catch(() => undefined)
        if (told) replying.notify(told.method, { ...meta, ...told.params })
      })
    })
    replying.onEnd(unsubscribe)
  }

  endOf(sessionId: string): void {
    for (const replying of this.#bySession.get(sessionId) ?? []) replying.abandon()
    this.#bySession.delete(sessionId)
  }

  #open({ caller }: Asking, replying: Replying): void {
    const room = new Writable()
    this.#parts.streams.add(caller, room)
    room.once('close', () => {
      if (replying.isStreaming) replying.abandon()
    })
    replying.open()
    replying.comment('open')
    const beat = setInterval(() => replying.comment('beat'), BEAT_MS)
    replying.onEnd(() => {
      clearInterval(beat)
      room.destroy()
    })
  }

  #follow(
    { caller }: Asking,
    replying: Replying,
    params: JsonObject,
    lists: readonly List[],
  ): void {
    let timer: NodeJS.Timeout | undefined
    const tell = () => {
      timer = undefined
      for (const list of lists) replying.notify(`notifications/${list}/list_changed`, params)
    }
    const unsubscribe = this.#parts.events.subscribe(({ kind, agentId }) => {
      const isTheirs = agentId === '' || agentId === caller.agentId
      if (isTheirs && CHANGING.test(kind)) timer ??= setTimeout(tell, SETTLE_MS)
    })
    replying.onEnd(() => {
      clearTimeout(timer)
      unsubscribe()
    })
  }
}

const listsOf = (offers: Offers): readonly List[] =>
  LISTS.filter((list) => list === 'tools' || offers[list])
