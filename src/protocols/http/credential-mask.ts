/**
 * Takes the gate's credentials out of what upstreams answer. A server that shows the request it got, in
 * a debug page or an error, would hand the agent what the gate keeps from it; so each credential is
 * looked for as it is, as JSON and URLs spell it, and in base64 at each of the three places where it can
 * begin within a group, as `Basic` shows it. It runs over a whole answer, so borders of chunks are none.
 */

/** A shorter one is found in too much that has nothing to do with it. */
const CREDENTIAL_CHARS_MIN = 8
/** A line of one of several lines, such as a PEM key, that says something of it by itself. */
const LINE_CHARS_MIN = 16
/** What an answer that was cut off may end with of a credential. */
const CUT_BYTES_MIN = 4
const MASK = Buffer.from('[masked]')

export class CredentialMask {
  readonly #needles: readonly Buffer[]

  constructor(credentials: Iterable<string>) {
    const all = new Set([...credentials].flatMap(withLines).filter(isLong).flatMap(spellings))
    // Longer ones first, or what is part of another would leave the rest of it.
    this.#needles = [...all].map((one) => Buffer.from(one)).sort((a, b) => b.length - a.length)
  }

  /** The bytes without credentials: the very same when there are none. */
  bytes(bytes: Buffer, wasCut: boolean): Buffer {
    let masked = bytes
    for (const needle of this.#needles) masked = without(needle, masked)
    return wasCut ? this.#withoutCut(masked) : masked
  }

  text(text: string): string {
    const bytes = Buffer.from(text, 'latin1')
    const masked = this.bytes(bytes, false)
    return masked === bytes ? text : masked.toString('latin1')
  }

  /** The bytes of a whole answer, or of what was read of it, without credentials. */
  body(bytes: Buffer, wasCut: boolean, onEcho: () => void): Buffer {
    const masked = this.bytes(bytes, wasCut)
    if (masked !== bytes) onEcho()
    return masked
  }

  headers<H extends Readonly<Record<string, string | readonly string[]>>>(
    headers: H,
    onEcho: () => void,
  ): Readonly<Record<string, string | readonly string[]>> {
    if (this.#needles.length === 0) return headers
    const text = (value: string): string => {
      const masked = this.text(value)
      if (masked !== value) onEcho()
      return masked
    }
    const entries = Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? text(value) : value.map(text),
    ])
    return Object.fromEntries(entries) as Readonly<Record<string, string | readonly string[]>>
  }

  /** For an answer that is handed on as it comes. */
  stream(keepsLength: boolean, onEcho: () => void): StreamMask {
    return new StreamMask(this.#needles, keepsLength, onEcho)
  }

  /** An agent that can choose where an answer is cut could have a credential but for its last character. */
  #withoutCut(bytes: Buffer): Buffer {
    for (const needle of this.#needles) {
      for (let length = needle.length - 1; length >= CUT_BYTES_MIN; length--) {
        const tail = bytes.subarray(Math.max(0, bytes.length - length))
        if (!tail.equals(needle.subarray(0, length))) continue
        return Buffer.concat([bytes.subarray(0, bytes.length - length), MASK])
      }
    }
    return bytes
  }
}

const STAR = '*'.charCodeAt(0)

/**
 * Takes credentials out of an answer in pieces. Where a length was announced that has to stay true, each is replaced by as
 * many stars as it has bytes; what may be the beginning of one is kept back until the next piece says.
 */
export class StreamMask {
  readonly #needles: readonly Buffer[]
  readonly #keepsLength: boolean
  readonly #onEcho: () => void
  #rest: Buffer = Buffer.alloc(0)

  constructor(needles: readonly Buffer[], keepsLength: boolean, onEcho: () => void) {
    this.#needles = needles
    this.#keepsLength = keepsLength
    this.#onEcho = onEcho
  }

  take(chunk: Buffer): Buffer {
    if (this.#needles.length === 0) return chunk
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const masked = this.#masked(bytes)
    const kept = this.#doubtful(masked)
    this.#rest = Buffer.from(masked.subarray(masked.length - kept))
    return masked.subarray(0, masked.length - kept)
  }

  /** What was kept back of an answer that is whole. */
  end(): Buffer {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return rest
  }

  #masked(bytes: Buffer): Buffer {
    let masked = bytes
    for (const needle of this.#needles) {
      masked = this.#keepsLength ? starred(needle, masked) : without(needle, masked)
    }
    if (masked !== bytes) this.#onEcho()
    return masked
  }

  /** How many of the last bytes a credential could begin with. */
  #doubtful(bytes: Buffer): number {
    let most = 0
    for (const needle of this.#needles) {
      for (let length = Math.min(needle.length - 1, bytes.length); length > most; length--) {
        if (bytes.subarray(bytes.length - length).equals(needle.subarray(0, length))) most = length
      }
    }
    return most
  }
}

// A log shows it line by line, and what is cut off has whole lines of it.
function withLines(credential: string): string[] {
  const lines = credential.split(/[\r\n]+/).map((line) => line.trim())
  if (lines.length === 1) return [credential]
  const telling = lines.filter((one) => one.length >= LINE_CHARS_MIN && !one.startsWith('-----'))
  return [credential, ...telling]
}

function isLong(credential: string): boolean {
  return credential.length >= CREDENTIAL_CHARS_MIN
}

function starred(needle: Buffer, bytes: Buffer): Buffer {
  let masked = bytes
  for (let at = masked.indexOf(needle); at >= 0; at = masked.indexOf(needle, at + 1)) {
    if (masked === bytes) masked = Buffer.from(bytes)
    masked.fill(STAR, at, at + needle.length)
  }
  return masked
}

function without(needle: Buffer, bytes: Buffer): Buffer {
  let at = bytes.indexOf(needle)
  if (at < 0) return bytes
  const parts: Buffer[] = []
  let from = 0
  for (; at >= 0; at = bytes.indexOf(needle, from)) {
    parts.push(bytes.subarray(from, at), MASK)
    from = at + needle.length
  }
  return Buffer.concat([...parts, bytes.subarray(from)])
}

function spellings(credential: string): string[] {
  const json = JSON.stringify(credential).slice(1, -1)
  const escaped = encodeURIComponent(credential)
  const lower = escaped.replaceAll(/%[0-9A-F]{2}/g, (one) => one.toLowerCase())
  const plain = [credential, json, json.replaceAll('/', '\\/'), escaped, lower]
  const base64 = [0, 1, 2].map((before) => inBase64(credential, before))
  return [...plain, ...base64, ...base64.map(urlSafe)]
}

/** The characters of base64 that the credential alone decides, behind that many bytes of a group. */
function inBase64(credential: string, before: number): string {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(credential)])
  const first = Math.ceil((before * 8) / 6)
  const end = Math.floor((bytes.length * 8) / 6)
  return bytes.toString('base64').slice(first, end)
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_')
}
