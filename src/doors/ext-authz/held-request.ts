import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { GatewayError } from '../../errors.ts'
import { hasBody } from '../../bundle/target.ts'
import { cutShort, PREFIX } from './verdict.ts'

// A request that Envoy holds and describes, made into one as Node reads it off a connection, so that whatever looks at
// requests looks at this one, too: the key, duplicates, the route, the body. Nothing here is repaired. Without a connection
// there is nothing that could be read in two ways but the values themselves, which are checked.

/** `CheckRequest` as the wire has it, with what was left out. */
export interface CheckRequest {
  readonly attributes?: {
    readonly request?: { readonly http?: HeldHttp | null } | null
    readonly context_extensions?: Readonly<Record<string, string>>
    readonly source?: { readonly principal: string } | null
  } | null
}

interface HeldHttp {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** In bytes; below 0: unknown. */
  readonly size: number
  readonly body: string
  readonly raw_body: Uint8Array
  readonly header_map?: {
    readonly headers: readonly { key: string; value: string; raw_value: Uint8Array }[]
  } | null
}

const METHOD = /^[A-Z]{1,32}$/
const PATH = /^\/[\x21\x22\x24-\x7e]*$/
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
// oxlint-disable-next-line no-control-regex -- a tab is the one that headers may have
const VALUE = /^[^\x00-\x08\x0a-\x1f\x7f]*$/

/** @throws GatewayError `invalid_request` for what is no request, `policy_denied` for a body that is not all there */
export function heldRequest({ attributes }: CheckRequest): IncomingMessage {
  const http = attributes?.request?.http
  const upstream = attributes?.context_extensions?.['upstream'] ?? ''
  if (!http) throw new GatewayError('invalid_request', 'only HTTP requests are judged')
  if (!METHOD.test(http.method) || !PATH.test(http.path) || upstream.includes('/')) {
    throw new GatewayError('invalid_request', 'method, path or upstream are not written plainly')
  }
  const req = new IncomingMessage(new Socket())
  req.httpVersion = '1.1'
  req.method = http.method
  req.url = `${PREFIX}${upstream}${http.path}`
  const body = bodyOf(http)
  setHeaders(req, sentHeaders(http))
  assertWhole(req, http, body)
  req.headers['content-length'] = String(body.length)
  req.complete = true
  if (body.length > 0) req.push(body)
  req.push(null)
  return req
}

/** Whom Envoy knows the sender as, by its certificate; '' where it does not. */
export const principalOf = ({ attributes }: CheckRequest): string =>
  attributes?.source?.principal ?? ''

// As text, Envoy writes `!` for each byte that is no UTF-8, so that another body would be judged than is passed on.
function bodyOf({ body, raw_body: raw }: HeldHttp): Buffer {
  if (body === '') return Buffer.from(raw)
  throw new GatewayError('invalid_request', 'the body came as text: set `pack_as_bytes: true`')
}

function sentHeaders({ headers, header_map: map }: HeldHttp): (readonly [string, string])[] {
  const listed = (map?.headers ?? []).map(({ key, value, raw_value: raw }) => {
    return [key, raw.length > 0 ? Buffer.from(raw).toString('latin1') : value] as const
  })
  const all = [...Object.entries(headers), ...listed].map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  )
  // What HTTP/2 says of method and path comes in fields of its own.
  return all.filter(([name]) => !name.startsWith(':'))
}

function setHeaders(req: IncomingMessage, sent: readonly (readonly [string, string])[]): void {
  for (const [name, value] of sent) {
    if (!NAME.test(name) || !VALUE.test(value)) {
      throw new GatewayError('invalid_request', 'a header is not written plainly')
    }
    req.rawHeaders.push(name, value)
    // Joined, as Node does; those that must stand alone are looked at later.
    const before = Object.hasOwn(req.headers, name) ? `${String(req.headers[name])}, ` : ''
    req.headers[name] = `${before}${value}`
  }
}

// A gate that judged the half of a body would let the other half through.
function assertWhole(req: IncomingMessage, { size, method }: HeldHttp, body: Buffer): void {
  const declared = req.headers['content-length']
  if (size > body.length || (declared && declared !== String(body.length))) throw cutShort()
  if (body.length > 0) return
  const hasType = hasBody(method) && req.headers['content-type'] !== undefined
  const isUnseen = req.headers['transfer-encoding'] !== undefined || (hasType && declared !== '0')
  if (isUnseen) throw cutShort()
}
