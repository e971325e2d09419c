import type { IncomingMessage } from 'node:http'
import type { ReadBody } from '../../bundle/body-args.ts'
import { MEDIA_TYPE } from '../../bundle/files.ts'
import { decodePairs } from '../../bundle/query.ts'
import { hasBody } from '../../bundle/target.ts'
import { GatewayError } from '../../errors.ts'
import { type SentFiles, type Spool, SpoolError } from '../../lib/spool.ts'
import type { BodyKind, Tool } from '../../model/tool.ts'
import { readMultipart } from '../../protocols/http/multipart.ts'
import { header } from '../edge/context.ts'
import { BODY_VALUES_MAX, decoded, parseJsonText, readBody } from '../edge/body.ts'

// One reader for each type of body, chosen by what the tool declares and never by what the client sends: a body of
// another type is refused by name, and none is passed on that was not read. Files go to the spool as they come in;
// all else is parsed in memory. Nothing reaches an upstream before all of it is here and was judged.

/** How long an upload may say nothing, and take in all. */
const IDLE_MS = 30_000
const UPLOAD_MS = 600_000
/** Each costs more than a value of JSON, whose type needs no looking up. */
const FIELDS_MAX = 5_000

export interface BodyParts {
  readonly spool: Spool
  readonly files: SentFiles
  /** The ceiling of all uploads. */
  readonly uploadBytesMax: number
}

/** Reads the body of a proxied request as its tool takes it. @throws GatewayError */
export async function readProxied(
  req: IncomingMessage,
  tool: Tool,
  parts: BodyParts,
): Promise<ReadBody> {
  if (!carriesBody(req)) return { kind: 'empty' }
  const encoding = header(req, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw new GatewayError('unsupported_media_type', 'compressed bodies are not accepted')
  }
  const { body: kind, bodyBytesMax } = tool.http
  if (kind === 'multipart' || kind === 'raw') {
    return readFiles(req, tool, parts, Math.min(bodyBytesMax, parts.uploadBytesMax))
  }
  const bytes = await readBody(req, bodyBytesMax, IDLE_MS)
  if (bytes.length === 0) return { kind: 'empty' }
  const type = mediaType(req)
  if (!type || !takes(tool, type)) throw notTaken(tool, type?.name)
  return parsed(kind, decoded(bytes))
}

function parsed(kind: BodyKind, text: string): ReadBody {
  if (kind === 'form') {
    return { kind: 'form', pairs: decodePairs(text, 'field', FIELDS_MAX) }
  }
  if (kind === 'text') return { kind: 'text', text }
  return { kind: 'json', value: parseJsonText(text, { valuesMax: BODY_VALUES_MAX }) }
}

async function readFiles(
  req: IncomingMessage,
  tool: Tool,
  { spool, files }: BodyParts,
  bytesMax: number,
): Promise<ReadBody> {
  const type = mediaType(req) ?? (tool.http.body === 'raw' ? OCTETS : undefined)
  if (!type || !takes(tool, type)) throw notTaken(tool, type?.name)
  const source = bounded(req, bytesMax)
  try {
    if (tool.http.body === 'multipart') {
      const boundary = type.parameters.get('boundary') ?? ''
      const keep = files.add.bind(files)
      const read = await readMultipart(source, { boundary, writer: () => spool.writer(), keep })
      return { kind: 'multipart', parts: read }
    }
    const writer = spool.writer()
    try {
      for await (const chunk of source) await writer.write(chunk)
    } catch (error) {
      writer.abort()
      throw error
    }
    const bytes = await writer.end()
    files.add(bytes)
    const { name: content_type } = type
    const file = { filename: null, content_type, bytes: bytes.bytes, sha256: bytes.sha256 }
    return { kind: 'raw', file }
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error
    throw new GatewayError('store_unavailable', 'the body cannot be kept at the moment', {
      cause: error,
      retryAfterS: 1,
    })
  }
}

/** The chunks of a body, until there is too much of it or nothing comes any more. */
async function* bounded(req: IncomingMessage, bytesMax: number): AsyncIterable<Buffer> {
  const tooLarge = () =>
    new GatewayError('payload_too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(req.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  const late = new GatewayError('invalid_request', 'the body did not arrive in time')
  const giveUp = () => req.destroy(late)
  const total = setTimeout(giveUp, UPLOAD_MS)
  let idle = setTimeout(giveUp, IDLE_MS)
  let bytes = 0
  try {
    for await (const chunk of req as AsyncIterable<Buffer>) {
      clearTimeout(idle)
      bytes += chunk.length
      if (bytes > bytesMax) throw tooLarge()
      yield chunk
      idle = setTimeout(giveUp, IDLE_MS)
    }
  } catch (error) {
    if (error instanceof GatewayError) throw error
    throw new GatewayError('invalid_request', 'the body ended early', { cause: error })
  } finally {
    clearTimeout(idle)
    clearTimeout(total)
  }
}

const carriesBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

interface MediaType {
  readonly name: string
  readonly parameters: ReadonlyMap<string, string>
}

const OCTETS: MediaType = { name: 'application/octet-stream', parameters: new Map() }
const PARAMETER = /^([A-Za-z0-9!#$&^_.+-]+)=(?:"([^"\\]*)"|([^\s";]+))$/

/** The type of a body; undefined without one. @throws GatewayError for what is no type */
function mediaType(req: IncomingMessage): MediaType | undefined {
  const given = header(req, 'content-type')
  if (given === undefined) return undefined
  const [name = '', ...rest] = given.split(';').map((part) => part.trim())
  const parameters = new Map<string, string>()
  for (const part of rest) {
    const [, key = '', quoted, plain = ''] = PARAMETER.exec(part) ?? []
    if (key === '' || parameters.has(key.toLowerCase())) {
      throw new GatewayError('invalid_request', 'Content-Type is not written plainly')
    }
    parameters.set(key.toLowerCase(), quoted ?? plain)
  }
  return { name: name.toLowerCase(), parameters }
}

const JSON_TYPE = /^application\/(?:[a-z0-9!#$&^_.+-]+\+)?json$/

function takes(tool: Tool, { name, parameters }: MediaType): boolean {
  const { body: kind, contentType } = tool.http
  if (!MEDIA_TYPE.test(name)) return false
  if (kind === 'raw') return contentType === null || name === contentType
  const charset = parameters.get('charset')
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) return false
  switch (kind) {
    case 'none':
      return false
    case 'plain':
    case 'json':
      return JSON_TYPE.test(name) || name === contentType
    case 'form':
      return name === 'application/x-www-form-urlencoded' || name === contentType
    case 'multipart':
      return name === 'multipart/form-data'
    case 'text':
      return contentType === null ? name.startsWith('text/') : name === contentType
  }
}

function notTaken(tool: Tool, name: string | undefined): GatewayError {
  const shown = name === undefined ? 'one without a type' : `\`${name.slice(0, 80)}\``
  const message = `this route takes ${taken(tool)}, not ${shown}`
  return new GatewayError('unsupported_media_type', message)
}

function taken({ method, http: { body: kind, contentType } }: Tool): string {
  switch (kind) {
    case 'none':
      return 'no body'
    case 'plain':
      return hasBody(method) ? 'application/json in UTF-8' : 'no body'
    case 'json':
      return `${contentType ?? 'application/json'} in UTF-8`
    case 'form':
      return `${contentType ?? 'application/x-www-form-urlencoded'} in UTF-8`
    case 'multipart':
      return 'multipart/form-data'
    case 'text':
      return `${contentType ?? 'text/*'} in UTF-8`
    case 'raw':
      return contentType ?? 'any type'
  }
}
