import { request } from 'undici'

// The client's side of OPA's bundle protocol. A server that keeps a request open until there is something new says so by the
// type of its answer; only such a one is asked to. What was answered once is asked for by its tag, so that an unchanged bundle
// costs nothing. An answer that is none of this is an error, and changes nothing.

/** Packed. */
const BUNDLE_BYTES_MAX = 10 << 20
const ANSWER_MS = 30_000
const LONG_POLLING = 'application/vnd.openpolicyagent.bundles'

/** Where a bundle service is, and how it is asked. */
export interface BundleService {
  readonly url: string
  readonly token: string | null
  /** How long a server may keep a request open; 0: it is not asked to. */
  readonly waitS: number
}

/** Asks for the bundle that is newer than the last one. */
export class BundleDownload {
  readonly #service: BundleService
  #etag: string | undefined
  #keepsOpen = false

  constructor(service: BundleService) {
    this.#service = service
  }

  /** Whether the server answers as soon as there is something new, so that nobody need wait between two requests. */
  get keepsOpen(): boolean {
    return this.#keepsOpen && this.#service.waitS > 0
  }

  /** The bundle, or null where it is the last one still. @throws Error with what went wrong, in words without secrets */
  async next(signal: AbortSignal): Promise<Buffer | null> {
    const { url, token } = this.#service
    const waitMs = this.keepsOpen ? this.#service.waitS * 1_000 : 0
    const late = AbortSignal.timeout(waitMs + ANSWER_MS)
    const { statusCode, headers, body } = await request(url, {
      method: 'GET',
      headers: {
        'user-agent': 'portcullis',
        prefer: `modes=snapshot${waitMs > 0 ? `;wait=${this.#service.waitS}` : ''}`,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(this.#etag === undefined ? {} : { 'if-none-match': this.#etag }),
      },
      headersTimeout: 0,
      bodyTimeout: 0,
      signal: AbortSignal.any([signal, late]),
    })
    if (statusCode !== 200 && statusCode !== 304) {
      await body.dump()
      throw new Error(`the bundle service answered ${statusCode}`)
    }
    const { etag, 'content-type': type } = headers
    this.#keepsOpen = type === LONG_POLLING
    if (statusCode === 304) {
      await body.dump()
      // Only a bundle that came is remembered by its tag: one that did not would never be sent.
      if (this.#etag === undefined) throw new Error('the bundle service answered 304 to no tag')
      return null
    }
    const bytes = await bounded(body)
    this.#etag = typeof etag === 'string' ? etag : undefined
    return bytes
  }

  /** Asks for the whole of it next time. */
  forget(): void {
    this.#etag = undefined
  }
}

async function bounded(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > BUNDLE_BYTES_MAX)
      throw new Error(`the bundle is larger than ${BUNDLE_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
