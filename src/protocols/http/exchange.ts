import { createHash } from 'node:crypto'
import type { Dispatcher } from 'undici'
import type { Bundle } from '../../bundle/types.ts'
import type { ServerAnswer } from '../../mcp/server-requests.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Bytes, SpoolWriter } from '../../lib/spool.ts'
import type { ResponseRules, Upstream } from '../../model/tool.ts'
import type { CredentialMask, StreamMask } from './credential-mask.ts'
import { Decoder } from './decoder.ts'
import { localHeaders } from './location.ts'
import type { FilesByDigest } from './request-body.ts'

// One answer on its way: unpacked where it comes packed, with the gate's credentials taken out, and then held in memory,
// given to a client as it comes, or kept in the spool. Whoever reads it slowly makes the upstream wait. Nothing here ends
// what a client gets: that is done by whoever has put the outcome on record.

/** What came of one upstream call. */
export type CallResult =
  | Answered
  /** No byte of the request left: there was no effect. */
  | {
      readonly type: 'not_sent'
      readonly code: 'unreachable' | 'refused' | 'no_credential'
      readonly message: string
    }
  /** Bytes left and no answer came, or not all of it: nobody knows. */
  | { readonly type: 'unknown'; readonly message: string; readonly isKilled?: true }

export interface Answered {
  readonly type: 'answered'
  readonly status: number
  /** Lower-case names; hop-by-hop headers are gone. */
  readonly headers: Headers
  /** All of it, or its beginning. */
  readonly body: Buffer
  readonly truncated: boolean
  /** Of all of it, where `body` is its beginning. */
  readonly whole?: { readonly bytes: number; readonly sha256: string }
  /** All of it, where `body` is its beginning and it was to be kept. */
  readonly kept?: Bytes
  /** Why the rest of it was not read. */
  readonly stopped?: 'too_large' | 'unreadable' | 'client_left'
  /** A client has had it as it came. */
  readonly isStreamed?: true
}

type Headers = Readonly<Record<string, string | readonly string[]>>

/** A client that gets an answer as it comes. */
export interface AnswerSink {
  /** Called once, before any byte. `length`: how many there will be, where that is known. */
  start(head: { status: number; headers: Headers; length: number | null }): void
  /** False: it is behind, and `onRoom` says when it is not any more. */
  write(chunk: Buffer, onRoom: () => void): boolean
  onGone(gone: () => void): void
  /** It is given up: it gets no end. */
  abandon(): void
  /** What an upstream asks before it answers; absent: it may ask nothing. */
  readonly ask?: ServerAsk
}

/** Puts a request of the upstream to the client, until the call is over; always answered. */
export type ServerAsk = (request: JsonObject, over: AbortSignal) => Promise<ServerAnswer>

/** One that is told first which action it is the answer of. */
export interface ActionSink extends AnswerSink {
  of(action: { readonly actionId: string; readonly decisionId: string }): void
}

/** How an answer is read. */
export interface AnswerPlan {
  readonly rules: ResponseRules
  readonly isRead: boolean
  /** Asked again and again while an answer is streamed. */
  readonly mayGoOn: () => boolean
  /** Gets what is streamed; without one all is held. */
  readonly sink?: AnswerSink | undefined
  /** Keeps what is too large to be held. */
  readonly keep?: (() => SpoolWriter) | undefined
}

export interface CallOptions {
  readonly requestId: string
  readonly actionId: string
  /** For whom it is, where an upstream is to tell them apart. */
  readonly holder?: string
  /** Asked at the last moment before bytes leave; false means they never do. */
  readonly mayStart: () => boolean
  /** The bytes of the files that the target names. */
  readonly files?: FilesByDigest
  /** The policy that the call is made by, whose pins it is held to; absent: the live one. */
  readonly bundle?: Bundle
  /** Absent: held in memory, up to what the upstream may answer, and cut there. */
  readonly answer?: AnswerPlan
}

/** Informational answers (1xx) of one call; an upstream that sends more is broken. */
const INFORMATIONAL_MAX = 16
/** An answer this long is streamed although its length is known. */
const STREAMED_FROM_BYTES = 1 << 20
/** How much of a streamed answer the record may want. */
const BEGINNING_BYTES = 256 * 1024
const KILL_CHECK_MS = 200
/** How long a head waits for its first byte: an upstream that breaks at once is an error and no answer. */
const HEAD_WAIT_MS = 20

export interface ExchangeParts {
  readonly upstream: Upstream
  readonly path: string
  readonly options: CallOptions
  /** Until the answer begins; longer where there is much to send. */
  readonly waitMs: number
  readonly mask: CredentialMask
  /** Told that a credential was in the answer. */
  readonly onEcho: () => void
}

/** One request on the wire, as undici reports it. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #parts: ExchangeParts
  readonly #resolve: (result: CallResult) => void
  readonly #hash = createHash('sha256')
  readonly #timers = new Timers()
  #mask: StreamMask
  #chunks: Buffer[] = []
  #heldBytes = 0
  #bytes = 0
  #controller: Dispatcher.DispatchController | undefined
  #decoder: Decoder | undefined
  #writer: SpoolWriter | undefined
  #writing: Promise<void> = Promise.resolve()
  #informational = 0
  #isStarted = false
  #isRefused = false
  #isKilled = false
  #hasTimedOut = false
  #hasEnded = false
  #isCut = false
  #stopped: Answered['stopped']
  #stream: 'none' | 'due' | 'open' | 'gone' = 'none'
  #status = 0
  #headers: Headers = {}
  #length: number | null = null

  constructor(parts: ExchangeParts, resolve: (result: CallResult) => void) {
    this.#parts = parts
    this.#resolve = resolve
    this.#mask = parts.mask.stream(false, parts.onEcho)
    this.#timers.total(parts.waitMs, () => this.#timeOut())
  }

  // undici calls this synchronously before it writes the request to a connected socket.
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#hasTimedOut) {
      controller.abort(new Error('timed out'))
    } else if (!this.#parts.options.mayStart()) {
      this.#isRefused = true
      controller.abort(new Error('refused'))
    } else {
      this.#isStarted = true
    }
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      this.#informational++
      if (this.#informational > INFORMATIONAL_MAX) controller.abort(new Error('no answer'))
      return
    }
    const { upstream, path, mask, onEcho, options } = this.#parts
    this.#status = status
    this.#headers = mask.headers(localHeaders(headers, upstream, path), onEcho)
    const decoder = Decoder.for(String(headers['content-encoding'] ?? ''))
    const given = headers['content-length']
    this.#length = decoder === undefined && given !== undefined ? Number(given) : null
    if (decoder === null) return this.#stop('unreadable')
    if (decoder) this.#unpack(decoder)
    if (!options.answer) return
    if ((this.#length ?? 0) > this.#bytesMax) return this.#stop('too_large')
    if (this.#isStreamable(options.answer)) this.#startStream(options.answer)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#timers.touch()
    if (!this.#decoder) this.#take(chunk)
    else if (!this.#decoder.write(chunk, () => this.#resume())) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#decoder && !this.#decoder.isEmpty) this.#decoder.end()
    else void this.#answer()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // The status line is the upstream's word on the effect, even when the rest of it is not wanted.
    if (this.#isCut || this.#stopped) void this.#answer()
    else if (this.#isRefused) this.#end({ type: 'not_sent', code: 'refused', message: 'refused' })
    else if (this.#isKilled) this.#end({ type: 'unknown', message: 'stopped', isKilled: true })
    else if (this.#isStarted) this.#end({ type: 'unknown', message: this.#describe(error) })
    else this.#unreachable(this.#describe(error))
  }

  get #bytesMax(): number {
    const { upstream, options } = this.#parts
    return options.answer?.rules.bytesMax ?? upstream.http.answerBytesMax
  }

  #isStreamable({ rules, sink, keep }: AnswerPlan): boolean {
    if ((!sink && !keep) || rules.stream === 'never') return false
    // Whether a redirect is handed on at all is not known yet.
    if (this.#status >= 300 && this.#status < 400) return false
    if ((this.#length ?? 0) > STREAMED_FROM_BYTES) return true
    const isEvents = /^text\/event-stream\b/i.test(String(this.#headers['content-type'] ?? ''))
    return sink !== undefined && (isEvents || this.#length === null)
  }

  #startStream({ sink, mayGoOn, isRead }: AnswerPlan): void {
    const { idleTimeoutMs, totalTimeoutMs } = this.#parts.upstream.http
    this.#timers.total(totalTimeoutMs, () => this.#timeOut())
    this.#timers.idle(idleTimeoutMs, () => this.#timeOut())
    if (!sink) return
    this.#stream = 'due'
    this.#mask = this.#parts.mask.stream(this.#length !== null, this.#parts.onEcho)
    this.#timers.head(HEAD_WAIT_MS, () => this.#openStream(sink))
    this.#timers.each(KILL_CHECK_MS, () => {
      if (mayGoOn()) return
      this.#isKilled = true
      this.#controller?.abort(new Error('stopped'))
    })
    sink.onGone(() => {
      if (this.#hasEnded) return
      this.#stream = 'gone'
      // A write is read to its end for its outcome; of a read nobody needs the rest.
      if (isRead) this.#stop('client_left')
      else this.#go()
    })
  }

  #openStream(sink: AnswerSink): void {
    if (this.#stream !== 'due' || this.#hasEnded) return
    this.#stream = 'open'
    this.#timers.head(0, undefined)
    sink.start({ status: this.#status, headers: this.#headers, length: this.#length })
  }

  #unpack(decoder: Decoder): void {
    this.#decoder = decoder
    decoder.start({
      data: (chunk) => this.#take(chunk),
      end: () => void this.#answer(),
      failed: () => this.#stop('unreadable'),
    })
  }

  #take(raw: Buffer): void {
    if (this.#hasEnded || this.#isCut || this.#stopped) return
    const { options, upstream } = this.#parts
    this.#bytes += raw.length
    if (!options.answer) return this.#holdUpTo(upstream.responseBytesMax, raw)
    if (this.#bytes > this.#bytesMax) return this.#stop('too_large')
    const { sink, keep } = options.answer
    if (sink && this.#stream !== 'none') this.#pass(sink, this.#mask.take(raw))
    else if (!this.#writer && this.#heldBytes + raw.length <= upstream.responseBytesMax) {
      this.#hold(raw)
    } else if (keep) this.#keep(keep, raw)
    else if (sink) this.#stop('too_large')
    else this.#holdUpTo(upstream.responseBytesMax, raw)
  }

  #hold(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#heldBytes += chunk.length
  }

  // As much of it as may be held, and no more of it is read.
  #holdUpTo(max: number, chunk: Buffer): void {
    const room = max - this.#heldBytes
    if (chunk.length <= room) return this.#hold(chunk)
    this.#hold(chunk.subarray(0, room))
    this.#isCut = true
    this.#controller?.abort(new Error('answer too large'))
  }

  #pass(sink: AnswerSink, chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#hash.update(chunk)
    if (this.#heldBytes < BEGINNING_BYTES) this.#hold(chunk)
    this.#openStream(sink)
    if (this.#stream !== 'open' || sink.write(chunk, () => this.#go())) return
    this.#wait()
    // Whoever takes nothing for so long holds a connection that others need.
    this.#timers.slow(this.#parts.upstream.http.idleTimeoutMs, () => sink.abandon())
  }

  // What was held so far goes there first.
  #keep(keep: () => SpoolWriter, raw: Buffer): void {
    const before = this.#writer ? [] : this.#chunks
    const writer = (this.#writer ??= keep())
    const chunks = [...before, raw].map((chunk) => this.#mask.take(chunk))
    this.#wait()
    this.#writing = this.#writing
      .then(async () => {
        for (const chunk of chunks) {
          this.#hash.update(chunk)
          await writer.write(chunk)
        }
        this.#go()
      })
      .catch(() => this.#stop('too_large')) // there is no room to keep it
  }

  #wait(): void {
    this.#timers.stopIdle()
    if (this.#decoder) this.#decoder.pause()
    this.#controller?.pause()
  }

  #go(): void {
    this.#timers.touch()
    if (this.#decoder) this.#decoder.resume()
    this.#resume()
  }

  // Never before the socket has been read again: undici then parses nothing, pauses on it, and parses nothing for ever.
  #resume(): void {
    setImmediate(() => this.#controller?.resume())
  }

  #stop(why: NonNullable<Answered['stopped']>): void {
    if (this.#stopped || this.#hasEnded) return
    this.#stopped = why
    this.#decoder?.destroy()
    this.#controller?.abort(new Error(why))
    // An answer that has ended already is not told of any more.
    void this.#answer()
  }

  #timeOut(): void {
    this.#hasTimedOut = true
    if (this.#controller) this.#controller.abort(new Error('timed out'))
    else this.#unreachable('no connection in time')
  }

  #unreachable(message: string): void {
    this.#end({ type: 'not_sent', code: 'unreachable', message })
  }

  async #answer(): Promise<void> {
    if (this.#hasEnded) return
    const isWhole = !this.#isCut && !this.#stopped
    if (isWhole && this.#stream !== 'none') this.#passRest()
    const kept = this.#writer && (await this.#keptWhole(this.#writer, isWhole))
    const { options, mask, onEcho } = this.#parts
    const isStreamed = this.#stream !== 'none'
    const held = Buffer.concat(this.#chunks)
    const body = isStreamed ? held : mask.body(held, !isWhole || kept !== undefined, onEcho)
    const isAll = isWhole && (isStreamed ? this.#heldBytes === this.#bytes : !kept)
    const needsDigest = options.answer !== undefined && !isAll
    this.#end({
      type: 'answered',
      status: this.#status,
      headers: this.#headers,
      body,
      truncated: !isAll,
      ...(needsDigest && isWhole
        ? { whole: { bytes: this.#bytes, sha256: kept?.sha256 ?? this.#hash.digest('hex') } }
        : {}),
      ...(kept ? { kept } : {}),
      ...(this.#stopped ? { stopped: this.#stopped } : {}),
      ...(isStreamed ? { isStreamed } : {}),
    })
  }

  #passRest(): void {
    const sink = this.#parts.options.answer?.sink
    const rest = this.#mask.end()
    if (!sink) return
    if (rest.length > 0) this.#pass(sink, rest)
    this.#openStream(sink)
  }

  async #keptWhole(writer: SpoolWriter, isWhole: boolean): Promise<Bytes | undefined> {
    await this.#writing
    if (!isWhole || this.#stopped) {
      writer.abort()
      return undefined
    }
    try {
      await writer.write(this.#mask.end())
      return await writer.end()
    } catch {
      writer.abort()
      this.#stopped = 'too_large'
      return undefined
    }
  }

  #end(result: CallResult): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#timers.clear()
    if (result.type !== 'answered') this.#writer?.abort()
    this.#resolve(result)
  }

  // Only the kind of failure: messages of the network stack carry addresses.
  #describe(error: Error): string {
    if (this.#hasTimedOut) return 'timed out'
    const { code } = error as { code?: string }
    return code === undefined ? 'the connection failed' : `the connection failed: ${code}`
  }
}

/** The times within which an answer has to come. */
class Timers {
  #total: NodeJS.Timeout | undefined
  #head: NodeJS.Timeout | undefined
  #each: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #slow: NodeJS.Timeout | undefined
  #idleMs = 0
  #onIdle: (() => void) | undefined

  total(ms: number, late: () => void): void {
    clearTimeout(this.#total)
    this.#total = setTimeout(late, ms)
  }

  head(ms: number, due: (() => void) | undefined): void {
    clearTimeout(this.#head)
    this.#head = due && setTimeout(due, ms)
  }

  each(ms: number, look: () => void): void {
    clearInterval(this.#each)
    this.#each = setInterval(look, ms)
  }

  idle(ms: number, late: () => void): void {
    this.#idleMs = ms
    this.#onIdle = late
    this.touch()
  }

  slow(ms: number, late: () => void): void {
    clearTimeout(this.#slow)
    this.#slow = setTimeout(late, ms)
  }

  /** Something came, or went. */
  touch(): void {
    clearTimeout(this.#slow)
    if (!this.#onIdle) return
    clearTimeout(this.#idle)
    this.#idle = setTimeout(this.#onIdle, this.#idleMs)
  }

  /** Nothing is waited for: somebody else is slow. */
  stopIdle(): void {
    clearTimeout(this.#idle)
  }

  clear(): void {
    this.#onIdle = undefined
    for (const one of [this.#total, this.#head, this.#idle, this.#slow]) clearTimeout(one)
    clearInterval(this.#each)
  }
}
