import type { Upstream } from '../../model/tool.ts'

/** Hop-by-hop headers of RFC 9110 section 7.6.1, and those the gate writes itself. */
const DROPPED_HEADERS = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  // What is handed on is not packed.
  'content-encoding',
  'x-request-id',
  'date',
  'server',
])

/** The headers of an answer that are handed on. A `Location` among them leads through the gate. */
export function localHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  upstream: Upstream,
  path: string,
): Readonly<Record<string, string | readonly string[]>> {
  const named = new Set(
    String(headers['connection'] ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  )
  const kept: Record<string, string | readonly string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || DROPPED_HEADERS.has(name) || named.has(name)) continue
    const local = name === 'location' ? localLocation(String(value), upstream, path) : value
    if (local !== undefined) kept[name] = local
  }
  return kept
}

/** The same place by way of the gate; undefined where it is none of this upstream, or could be another. */
export function localLocation(
  location: string,
  { name, baseUrl }: Upstream,
  path: string,
): string | undefined {
  if (!/^[!-~]+$/.test(location) || location.includes('\\') || baseUrl === '') return undefined
  const base = new URL(baseUrl)
  const prefix = base.pathname.replace(/\/+$/, '')
  const from = `${base.origin}${prefix}${path}`
  if (!URL.canParse(location, from)) return undefined
  const to = new URL(location, from)
  const isOwn = to.origin === base.origin && to.username === '' && to.password === ''
  if (!isOwn || !to.pathname.startsWith(`${prefix}/`)) return undefined
  return `/proxy/${name}${to.pathname.slice(prefix.length)}${to.search}`
}
