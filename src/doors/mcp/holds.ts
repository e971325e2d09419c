import { Writable } from 'node:stream'
import type { Caller } from '../../agents/keys.ts'
import { cancelApproval } from '../../operations/approvals.ts'
import { GatewayError } from '../../errors.ts'
import type { Answer, Submission } from '../../pipeline/submission.ts'
import { metaOf } from '../../mcp/eras.ts'
import type { Replying } from './replying.ts'
import type { McpParts } from './served.ts'

// A call that a person must approve is waited for, because that is how clients understand it best; but no client waits
// longer than a minute, whatever it is told meanwhile. So it is answered as pending before that, and the same call again
// joins it. Who goes away before: to a modern client that is how it cancels; a legacy client says so, and may come back.

const LOOK_MS = 1_000
const BEAT_MS = 5_000
export const HOLD_KEY = 'dev.portcullis/hold_s'

type Held = Extract<Answer, { type: 'held' }>

/** What is waited for, and by whom. */
export interface Waiting {
  readonly submission: Submission
  readonly caller: Caller
  readonly tool: string
  readonly upstream: string
  readonly replying: Replying
}

export class Holds {
  readonly #parts: McpParts
  /** How many clients of this replica wait for an action. */
  readonly #waiters = new Map<string, number>()
  /** Legacy calls under way, by holder, session and id. */
  readonly #cancels = new Map<string, () => void>()

  constructor(parts: McpParts) {
    this.#parts = parts
  }

  /** A legacy client takes a call back. */
  cancel(callId: string): void {
    this.#cancels.get(callId)?.()
  }

  /** The answer once there is one, or as it is when the wait is over. @throws GatewayError when the kill switch ends it */
  async wait(held: Held, waiting: Waiting, callId: string | null): Promise<Answer> {
    const { actionId } = held
    const holdMs = this.#holdMs(waiting.replying)
    if (holdMs === 0) return held
    const gone = new AbortController()
    const room = this.#room(waiting)
    if (!room) return held
    this.#waiters.set(actionId, (this.#waiters.get(actionId) ?? 0) + 1)
    const isOwn = held.joined !== true
    let isCancelled = false
    const cancel = () => {
      isCancelled = true
      gone.abort()
    }
    if (callId !== null) this.#cancels.set(callId, cancel)
    waiting.replying.onGone(() => {
      // A gate that stops and a key that is revoked are no decision of the client's.
      const byClient = !room.destroyed && !this.#parts.pipeline.isStopping
      if (waiting.replying.era.isModern && byClient) cancel()
      else gone.abort()
    })
    try {
      return await this.#until(held, waiting, { holdMs, gone: gone.signal })
    } finally {
      room.destroy()
      if (callId !== null) this.#cancels.delete(callId)
      const left = (this.#waiters.get(actionId) ?? 1) - 1
      if (left > 0) this.#waiters.set(actionId, left)
      else this.#waiters.delete(actionId)
      if (isCancelled && isOwn && left === 0) await this.#takeBack(held, waiting.caller)
    }
  }

  // One stream of the key, held to it: undefined where it has as many as it may.
  #room({ caller, replying }: Waiting): Writable | undefined {
    const room = new Writable()
    try {
      this.#parts.streams.add(caller, room)
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'rate_limited') return undefined
      throw error
    }
    room.once('close', () => {
      if (replying.isStreaming) replying.abandon()
    })
    return room
  }

  async #until(
    held: Held,
    waiting: Waiting,
    { holdMs, gone }: { readonly holdMs: number; readonly gone: AbortSignal },
  ): Promise<Answer> {
    const { replying, submission } = waiting
    const deadline = performance.now() + holdMs
    const beat = beats(replying, held)
    let answer: Answer = held
    let beatAt = 0
    while (answer.type === 'held' && !gone.aborted) {
      const left = deadline - performance.now()
      if (left <= 0) return answer
      if (performance.now() >= beatAt) {
        beat()
        beatAt = performance.now() + BEAT_MS
      }
      await this.#assertNotKilled(waiting)
      const waitMs = Math.min(LOOK_MS, left)
      answer = await this.#parts.pipeline.collect({ ...submission, waitMs }, held.actionId)
    }
    return answer
  }

  #holdMs({ message }: Replying): number {
    const hint = metaOf(message)[HOLD_KEY]
    const { holdMs } = this.#parts.policies.current.mcp
    return typeof hint === 'number' ? Math.min(holdMs, Math.max(0, hint) * 1000) : holdMs
  }

  async #assertNotKilled({ caller, tool, upstream }: Waiting): Promise<void> {
    const { agents, killState } = this.#parts
    const agent = await agents.acting(caller)
    const target = { agentId: agent.id, agentName: agent.name, tool, upstream }
    const verdict = killState.check(target)
    if (!verdict.blocked) return
    const why = verdict.code === 'kill_switch_engaged' ? `: ${verdict.row.reason}` : ''
    const message = `the kill switch is engaged${why}; the call stays held`
    throw new GatewayError(verdict.code, message)
  }

  async #takeBack({ approval }: Held, caller: Caller): Promise<void> {
    const { operations, log } = this.#parts
    try {
      await operations.write((tx) =>
        cancelApproval(tx, approval.id, caller, 'its client cancelled the call'),
      )
    } catch (error) {
      // Decided meanwhile, most often; what cannot be taken back stays as it is on record.
      log.info({ err: error, approval: approval.id }, 'a call was not taken back')
    }
  }
}

/** Says that it is being waited for, as often as it is called. */
function beats(replying: Replying, { approval }: Held): () => void {
  if (!replying.canStream) return () => {}
  const { progressToken } = metaOf(replying.message)
  replying.open()
  let progress = 0
  return () => {
    if (typeof progressToken !== 'string' && typeof progressToken !== 'number') {
      replying.comment('waiting')
      return
    }
    const message = `waiting for approval ${approval.id}`
    replying.notify('notifications/progress', { progressToken, progress: ++progress, message })
  }
}
