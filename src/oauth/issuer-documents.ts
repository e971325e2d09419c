import type { JSONWebKeySet } from 'jose'
import { request } from 'undici'
import { isSecret } from '../lib/addresses.ts'

// What an authorization server says of itself: where its keys are (RFC 8414, or OpenID Connect Discovery, in the order that the
// specification of MCP gives), and the keys. Only addresses below a configured issuer are asked, and the one that its own metadata names
// for its keys. Nothing that a token says is ever an address.

/** Of metadata, and of a set of keys. */
const DOCUMENT_BYTES_MAX = 256 << 10
const KEYS_MAX = 100
/** For all that is asked in a row. */
const ANSWER_MS = 10_000

/** Where an issuer's keys are to be had. */
export interface KeySource {
  readonly issuer: string
  /** Null: where the issuer's metadata says. */
  readonly jwksUrl: string | null
}

/** Asks for the keys of an issuer. @throws Error with what went wrong, in words for the log */
export async function keysOf({ issuer, jwksUrl }: KeySource): Promise<JSONWebKeySet> {
  const late = AbortSignal.timeout(ANSWER_MS)
  const url = jwksUrl ?? (await jwksUriOf(issuer, late))
  const { keys } = await document(url, late)
  const isList = Array.isArray(keys) && keys.every((key) => typeof key === 'object' && key !== null)
  if (!isList || keys.length > KEYS_MAX) {
    throw new Error(`${url} is no set of at most ${KEYS_MAX} keys`)
  }
  return { keys: keys as JSONWebKeySet['keys'] }
}

/** Where metadata of an issuer may be, in the order in which it is looked for. */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/+$/, '')
  const inserted = (name: string) => `${origin}/.well-known/${name}${path}`
  const all = [
    inserted('oauth-authorization-server'),
    inserted('openid-configuration'),
    `${origin}${path}/.well-known/openid-configuration`,
  ]
  return [...new Set(all)]
}

async function jwksUriOf(issuer: string, late: AbortSignal): Promise<string> {
  let failure: unknown
  for (const url of metadataUrls(issuer)) {
    const metadata = await document(url, late).catch((error: unknown) => {
      failure = error
    })
    if (metadata) return jwksUriIn(metadata, issuer, url)
  }
  throw failure
}

// RFC 8414, section 3.3: metadata of another issuer is not used, whoever sent it.
function jwksUriIn(metadata: Readonly<Record<string, unknown>>, issuer: string, from: string) {
  const { issuer: said, jwks_uri: uri } = metadata
  if (said !== issuer) throw new Error(`${from} is of another issuer`)
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error(`${from} has no jwks_uri`)
  const { protocol, username, password } = new URL(uri)
  // A server elsewhere has no keys on this machine.
  const isWayOut = protocol === 'https:' || new URL(issuer).protocol === 'http:'
  if (!isWayOut || !isSecret(new URL(uri)) || username + password !== '') {
    throw new Error(`${from} has a jwks_uri that is not https, or has credentials`)
  }
  return uri
}

async function document(
  url: string,
  late: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const { statusCode, body } = await request(url, {
    method: 'GET',
    headers: { accept: 'application/json', 'user-agent': 'portcullis' },
    signal: late,
  })
  // A redirect leads where nobody configured.
  if (statusCode !== 200) {
    await body.dump()
    throw new Error(`${url} answered ${statusCode}`)
  }
  const said: unknown = JSON.parse(await bounded(body, url))
  if (typeof said === 'object' && said !== null && !Array.isArray(said)) {
    return said as Readonly<Record<string, unknown>>
  }
  throw new Error(`${url} is no JSON object`)
}

async function bounded(body: AsyncIterable<Buffer>, url: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > DOCUMENT_BYTES_MAX) {
      throw new Error(`${url} is larger than ${DOCUMENT_BYTES_MAX} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
