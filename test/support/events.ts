import { until } from './gate.ts'

export interface StreamEvent {
  readonly id: number
  readonly type: string
  /** Parsed data. Its shape is what the tests assert, so it has no type. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly data: any
}

/** A reader of `GET /events` that keeps all it got. */
export class EventReader {
  readonly events: StreamEvent[] = []
  /** The stream as it came. */
  text = ''
  ended = false
  readonly #controller = new AbortController()
  readonly #done: Promise<void>
  #parsed = 0

  private constructor(response: Response) {
    this.#done = this.#read(response)
  }

  /** Resolves once the stream is open, so that what happens next is in it. */
  static async open(
    url: string,
    key: string,
    options: { readonly query?: string; readonly lastEventId?: number } = {},
  ): Promise<EventReader> {
    const { query = '', lastEventId } = options
    const response = await fetch(`${url}/events${query}`, {
      headers: {
        'x-api-key': key,
        ...(lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }),
      },
    })
    if (response.status !== 200) throw new Error(`events answered ${response.status}`)
    const reader = new EventReader(response)
    await until('the stream begins', () => reader.text !== '')
    return reader
  }

  get ids(): number[] {
    return this.events.map(({ id }) => id)
  }

  async close(): Promise<void> {
    this.#controller.abort()
    await this.#done
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder()
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    this.#controller.signal.addEventListener('abort', () => void reader.cancel().catch(() => {}))
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        this.text += decoder.decode(value, { stream: true })
        this.#parse()
      }
    } catch {
      // The other side went away; what came before it counts.
    }
    this.ended = true
  }

  #parse(): void {
    for (;;) {
      const end = this.text.indexOf('\n\n', this.#parsed)
      if (end < 0) return
      const fields = new Map<string, string>()
      for (const line of this.text.slice(this.#parsed, end).split('\n')) {
        const [, name = '', value = ''] = /^([^:]*): ?(.*)$/.exec(line) ?? []
        fields.set(name, value)
      }
      this.#parsed = end + 2
      const id = fields.get('id')
      if (id === undefined) continue
      const data = JSON.parse(fields.get('data') ?? 'null') as unknown
      this.events.push({ id: Number(id), type: fields.get('event') ?? '', data })
    }
  }
}
