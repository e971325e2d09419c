import { randomUUID } from 'node:crypto'
import type { Json, JsonObject } from '../../../model/json.ts'
import { isObject, METHOD_NOT_FOUND } from '../../../mcp/wire.ts'
import type { CallResult } from '../../http/exchange.ts'
import type { CredentialMask } from '../../http/credential-mask.ts'
import type { Asked } from '../connection.ts'
import { type Framed, messageOf } from '../framing.ts'
import type { Sent } from '../sending.ts'

// Requests to one run of a program, and what it answers, each a line of JSON. A request counts as sent from the moment its
// line is given to the program's standard input: whether it was read before the program ended nobody can know. What it asks
// of its client is refused, since nobody behind the gate has agreed to be asked.

/** More at once, or more that is not read, is not sent at all. */
const WAITING_MAX = 256
/** Of one holder, so that nobody takes all the places. */
const OWN_WAITING_MAX = 64
const UNREAD_BYTES_MAX = 4 << 20

/** Where its lines go. */
export interface Mouth {
  readonly isWritable: boolean
  readonly unreadBytes: number
  write(line: string): void
}

export interface ConversationParts {
  readonly mouth: Mouth
  /** How long it may say nothing about a request, and how long one may take in all. */
  readonly timeoutMs: number
  readonly totalTimeoutMs: number
  readonly mask: CredentialMask
  /** Told that a credential was in what it said. */
  readonly onEcho: () => void
  /** Told that it lists other tools by now. */
  readonly onListChanged: () => void
}

interface Waiting {
  readonly holder: string
  readonly token: unknown
  readonly onNotification: ((framed: Framed) => void) | undefined
  readonly touch: () => void
  readonly end: (sent: Sent) => void
}

export class Conversation {
  readonly #parts: ConversationParts
  readonly #waiting = new Map<string, Waiting>()
  #onQuiet: (() => void)[] = []

  constructor(parts: ConversationParts) {
    this.#parts = parts
  }

  /** Once nothing is waited for. */
  quiet(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onQuiet.push(resolve))
  }

  ask(
    holder: string,
    { method, params, options, onNotification }: Asked,
    timeoutMs = this.#parts.timeoutMs,
  ): Promise<Sent> {
    const { mouth, totalTimeoutMs } = this.#parts
    if (!mouth.isWritable) return notSent('the server has ended')
    if (this.#waiting.size >= WAITING_MAX) return notSent('too many calls wait for the server')
    if (this.#waitingOf(holder) >= OWN_WAITING_MAX) return notSent('too many calls of yours wait')
    if (mouth.unreadBytes > UNREAD_BYTES_MAX) return notSent('the server reads nothing')
    if (!options.mayStart()) return notSent('refused', 'refused')
    const id = randomUUID()
    const meta = isObject(params['_meta']) ? params['_meta'] : {}
    const { sink, isRead = true } = options.answer ?? {}
    return new Promise((resolve) => {
      const timers = new RequestTimers({ timeoutMs, totalTimeoutMs }, () => {
        this.#giveUp(id, { type: 'unknown', message: 'timed out' })
      })
      this.#waiting.set(id, {
        holder,
        token: meta['progressToken'],
        onNotification,
        touch: () => timers.touch(),
        end: (sent) => {
          timers.clear()
          this.#waiting.delete(id)
          resolve(sent)
          if (this.#waiting.size === 0) for (const quiet of this.#onQuiet.splice(0)) quiet()
        },
      })
      mouth.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      // Of a write the outcome is waited for, whoever has left.
      sink?.onGone(() => {
        if (isRead) this.#giveUp(id, { type: 'unknown', message: 'its client left' })
      })
    })
  }

  tell(message: JsonObject): void {
    if (this.#parts.mouth.isWritable) {
      this.#parts.mouth.write(JSON.stringify({ jsonrpc: '2.0', ...message }))
    }
  }

  /** Something that it wrote. */
  line(raw: Buffer): void {
    const { mask, onEcho } = this.#parts
    const text = mask.body(raw, false, onEcho).toString('utf8')
    const message = messageOf(text)
    if (!message) return // what is no message is noise, as of a program that logs where it should not
    const { id, method } = message
    if (typeof method === 'string') {
      if (id === undefined) this.#noted(method, { text, message })
      else this.#refuse(id, method)
    } else if (typeof id === 'string') this.#waiting.get(id)?.end(answered({ text, message }))
  }

  /** A line that was too long to be read: whose it was stands at one of its ends. */
  longLine(ends: string): void {
    for (const [id, waiting] of this.#waiting) {
      if (ends.includes(id)) waiting.end({ ...answered(undefined), isTooLarge: true })
    }
  }

  /** It says nothing more. */
  over(how: string): void {
    for (const waiting of this.#waiting.values()) {
      waiting.end(unanswered({ type: 'unknown', message: how }))
    }
  }

  #waitingOf(holder: string): number {
    let count = 0
    for (const waiting of this.#waiting.values()) if (waiting.holder === holder) count++
    return count
  }

  #giveUp(id: string, exchange: CallResult): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    waiting.end(unanswered(exchange))
    this.tell({ method: 'notifications/cancelled', params: { requestId: id } })
  }

  #noted(method: string, framed: Framed): void {
    if (method === 'notifications/tools/list_changed') this.#parts.onListChanged()
    const { params } = framed.message
    const token = isObject(params) ? params['progressToken'] : undefined
    if (token === undefined) return
    for (const waiting of this.#waiting.values()) {
      if (waiting.token !== token) continue
      waiting.touch()
      waiting.onNotification?.(framed)
    }
  }

  #refuse(id: Json, method: string): void {
    if (this.#parts.mouth.unreadBytes > UNREAD_BYTES_MAX) return
    if (method === 'ping') this.tell({ id, result: {} })
    else this.tell({ id, error: { code: METHOD_NOT_FOUND, message: 'Method not found' } })
  }
}

type Times = Pick<ConversationParts, 'timeoutMs' | 'totalTimeoutMs'>

/** How long a request is waited for. */
class RequestTimers {
  readonly #idle: NodeJS.Timeout
  readonly #total: NodeJS.Timeout

  constructor({ timeoutMs, totalTimeoutMs }: Times, late: () => void) {
    this.#idle = setTimeout(late, timeoutMs)
    this.#total = setTimeout(late, Math.max(timeoutMs, totalTimeoutMs))
  }

  touch(): void {
    this.#idle.refresh()
  }

  clear(): void {
    clearTimeout(this.#idle)
    clearTimeout(this.#total)
  }
}

const OK = {
  type: 'answered',
  status: 200,
  headers: {},
  body: Buffer.alloc(0),
  truncated: false,
} as const

const answered = (response: Framed | undefined): Sent => ({
  response,
  exchange: OK,
  sessionId: undefined,
  isTooLarge: false,
})

const unanswered = (exchange: CallResult): Sent => ({ ...answered(undefined), exchange })

const notSent = (message: string, code: 'unreachable' | 'refused' = 'unreachable') =>
  Promise.resolve(unanswered({ type: 'not_sent', code, message }))
