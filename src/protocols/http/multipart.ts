import { isFilename, MEDIA_TYPE } from '../../bundle/files.ts'
import type { ReadPart } from '../../bundle/body-args.ts'
import { GatewayError } from '../../errors.ts'
import type { Bytes, SpoolWriter } from '../../lib/spool.ts'

// multipart/form-data (RFC 7578), strictly: the parsers there are pass over what they do not understand, a part without
// a name, text before the first part or behind the last, headers they do not know, so that a client would be told that
// something went out which never did. Here all of that is refused. A file goes to the spool as it comes in; text of
// fields is held. What leaves the gate is written anew (`multipart-body.ts`), so no byte of a client's framing does.

const HEAD_BYTES_MAX = 8 * 1024
const PARTS_MAX = 1_000
/** Text of fields together. */
const TEXT_BYTES_MAX = 1 << 20
const BOUNDARY = /^[A-Za-z0-9'()+_,./:=?-]{1,70}$/
const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')

export interface MultipartParts {
  readonly boundary: string
  /** A place for the bytes of a file. */
  readonly writer: () => SpoolWriter
  /** Takes the bytes of a file that is whole. */
  readonly keep: (bytes: Bytes) => void
}

/** The parts of a body, in order. @throws GatewayError invalid_request, payload_too_large; SpoolError */
export async function readMultipart(
  source: AsyncIterable<Buffer>,
  parts: MultipartParts,
): Promise<readonly ReadPart[]> {
  if (!BOUNDARY.test(parts.boundary)) throw bad('the boundary is not one')
  const reader = new Reader(parts)
  try {
    for await (const chunk of source) await reader.take(chunk)
    return reader.end()
  } catch (error) {
    reader.abort()
    throw error
  }
}

interface Head {
  readonly name: string
  readonly filename: string | null
  readonly type: string | null
}

type State = 'start' | 'behind' | 'head' | 'body' | 'done'

class Reader {
  readonly #parts: MultipartParts
  readonly #delimiter: Buffer
  readonly #read: ReadPart[] = []
  #rest: Buffer = CRLF // so that the first boundary stands behind a line, like any other
  #state: State = 'start'
  #head: Head | undefined
  #text: Buffer[] = []
  #textBytes = 0
  #writer: SpoolWriter | undefined

  constructor(parts: MultipartParts) {
    this.#parts = parts
    this.#delimiter = Buffer.from(`\r\n--${parts.boundary}`)
  }

  async take(chunk: Buffer): Promise<void> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (await this.#step());
  }

  end(): readonly ReadPart[] {
    if (this.#state !== 'done') throw bad('ends before its last boundary')
    if (this.#rest.length > 0 && !this.#rest.equals(CRLF)) throw bad('goes on behind its end')
    return this.#read
  }

  abort(): void {
    this.#writer?.abort()
  }

  /** Whether there may be more to do with what came. */
  async #step(): Promise<boolean> {
    switch (this.#state) {
      case 'start':
        return this.#start()
      case 'behind':
        return this.#behind()
      case 'head':
        return this.#readHead()
      case 'body':
        return this.#body()
      case 'done':
        if (this.#rest.length > CRLF.length) throw bad('goes on behind its end')
        return false
    }
  }

  #start(): boolean {
    const { length } = this.#delimiter
    if (this.#rest.length < length) return false
    if (!this.#rest.subarray(0, length).equals(this.#delimiter)) {
      throw bad('does not begin with its boundary')
    }
    return this.#to('behind', length)
  }

  // Behind a boundary: a line end and a part, or `--` and nothing more.
  #behind(): boolean {
    if (this.#rest.length < 2) return false
    const two = this.#rest.toString('latin1', 0, 2)
    if (two === '\r\n') return this.#to('head', 2)
    if (two === '--') return this.#to('done', 2)
    throw bad('has a boundary that goes on')
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf(HEAD_END)
    if (end < 0 || end > HEAD_BYTES_MAX) {
      if (this.#rest.length > HEAD_BYTES_MAX) throw bad('has a part with too long a head')
      return false
    }
    const from = end + HEAD_END.length
    const lineless = this.#delimiter.subarray(CRLF.length)
    if (this.#rest.length < from + lineless.length) return false
    // Without a line end before it, it is a boundary to some and a text to others.
    if (this.#rest.subarray(from, from + lineless.length).equals(lineless)) {
      throw bad('has a boundary right behind the head of a part')
    }
    if (this.#read.length >= PARTS_MAX) throw bad(`has more than ${PARTS_MAX} parts`)
    this.#head = parseHead(this.#rest.subarray(0, end))
    if (this.#head.filename !== null) this.#writer = this.#parts.writer()
    return this.#to('body', from)
  }

  async #body(): Promise<boolean> {
    const at = this.#rest.indexOf(this.#delimiter)
    if (at >= 0) {
      await this.#data(this.#rest.subarray(0, at))
      await this.#endPart()
      return this.#to('behind', at + this.#delimiter.length)
    }
    const safe = this.#rest.length - (this.#delimiter.length - 1)
    if (safe > 0) {
      await this.#data(this.#rest.subarray(0, safe))
      this.#rest = this.#rest.subarray(safe)
    }
    return false
  }

  #to(state: State, taken: number): boolean {
    this.#rest = this.#rest.subarray(taken)
    this.#state = state
    return true
  }

  async #data(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return
    if (this.#writer) {
      await this.#writer.write(Buffer.from(bytes))
      return
    }
    this.#textBytes += bytes.length
    if (this.#textBytes > TEXT_BYTES_MAX) {
      const message = `text of fields is larger than ${TEXT_BYTES_MAX} bytes`
      throw new GatewayError('payload_too_large', message)
    }
    this.#text.push(Buffer.from(bytes))
  }

  async #endPart(): Promise<void> {
    const head = this.#head
    if (!head) throw new Error('a part has no head')
    if (this.#writer) {
      const bytes = await this.#writer.end()
      this.#writer = undefined
      this.#parts.keep(bytes)
      const { sha256 } = bytes
      const { filename, type } = head
      const file = { filename, content_type: type ?? OCTETS, bytes: bytes.bytes, sha256 }
      this.#read.push({ name: head.name, file })
      return
    }
    const text = decoded(Buffer.concat(this.#text), `field \`${head.name.slice(0, 80)}\``)
    this.#text = []
    this.#read.push({ name: head.name, text, contentType: fieldType(head) })
  }
}

const OCTETS = 'application/octet-stream'

function fieldType({ name, type }: Head): string | null {
  if (type === null || type === 'text/plain') return null
  if (type === 'application/json') return type
  throw bad(`has the field \`${name.slice(0, 80)}\` as \`${type}\` without a filename`)
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/

function parseHead(bytes: Buffer): Head {
  const headers = new Map<string, string>()
  for (const line of decoded(bytes, 'the head of a part').split('\r\n')) {
    const cut = line.indexOf(':')
    const name = line.slice(0, Math.max(cut, 0)).toLowerCase()
    if (!TOKEN.test(name) || /\p{Cc}/u.test(line)) throw bad('has a part with a head that is none')
    if (headers.has(name)) throw bad(`has a part with two of header \`${name}\``)
    headers.set(name, line.slice(cut + 1).trim())
  }
  const disposition = headers.get('content-disposition')
  const type = headers.get('content-type')
  const encoding = headers.get('content-transfer-encoding')?.toLowerCase()
  // A length says nothing that the boundary does not.
  for (const name of [
    'content-disposition',
    'content-type',
    'content-transfer-encoding',
    'content-length',
  ]) {
    headers.delete(name)
  }
  const [unknown] = headers.keys()
  if (unknown !== undefined) throw bad(`has a part with header \`${unknown}\`, which is not taken`)
  if (encoding !== undefined && !['binary', '7bit', '8bit'].includes(encoding)) {
    throw bad(`has a part in encoding \`${encoding.slice(0, 40)}\``)
  }
  const { name, filename } = parseDisposition(disposition)
  return { name, filename, type: type === undefined ? null : mediaTypeOf(type) }
}

function mediaTypeOf(text: string): string {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const areKnown = parameters.every((one) => /^charset="?utf-8"?$/.test(one))
  if (MEDIA_TYPE.test(type) && areKnown) return type
  throw bad(`has a part of type \`${text.slice(0, 80)}\``)
}

const PARAMETER = /^;\s*([A-Za-z0-9*_-]+)=(?:"([^"\\]*)"|([A-Za-z0-9!#$%&'*+.^_`|~-]+))\s*/

// A backslash is an escape to some and itself to others.
function parseDisposition(text = ''): { name: string; filename: string | null } {
  const [, rest] = /^form-data\s*(.*)$/i.exec(text) ?? []
  if (rest === undefined) throw bad('has a part that is no field of a form')
  const given = new Map<string, string>()
  for (let left = rest; left !== ''; ) {
    const match = PARAMETER.exec(left)
    if (!match) throw bad('has a part whose name is written in a way that servers read differently')
    const [whole, key = '', quoted, token = ''] = match
    if (given.has(key.toLowerCase())) throw bad(`has a part with two of \`${key}\``)
    given.set(key.toLowerCase(), quoted ?? token)
    left = left.slice(whole.length)
  }
  const name = given.get('name')
  const filename = extended(given.get('filename*')) ?? given.get('filename') ?? null
  const isTwice = given.has('filename*') && given.has('filename')
  given.delete('name')
  given.delete('filename')
  given.delete('filename*')
  const [unknown] = given.keys()
  if (unknown !== undefined || isTwice) throw bad(`has a part with \`${unknown ?? 'filename*'}\``)
  if (name === undefined || name === '') throw bad('has a part without a name')
  if (filename !== null && !isFilename(filename)) throw bad('has a filename that is not one')
  return { name, filename }
}

/** RFC 8187. */
function extended(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const [, encoded] = /^utf-8'[A-Za-z-]*'(.+)$/i.exec(text) ?? []
  try {
    if (encoded !== undefined) return decodeURIComponent(encoded)
  } catch {
    // Refused below.
  }
  throw bad('has a filename that is no UTF-8')
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decoded(bytes: Buffer, what: string): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw bad(`has ${what} that is no UTF-8`)
  }
}

const bad = (why: string): GatewayError =>
  new GatewayError('invalid_request', `the multipart body ${why}`)
