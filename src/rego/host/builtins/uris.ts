import { RegoObject } from '../value.ts'
import { type Family, fail, text } from './kind.ts'

function parseUri(source: string): { [part: string]: string } | undefined {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f]/.test(source)) return undefined
  const match =
    /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(
      source,
    )
  if (!match) return undefined
  const [, scheme = '', authority, rawPath = '', query = '', fragment = ''] = match
  if (scheme === '' && /^[^/]*:/.test(rawPath)) return undefined
  const decode = (s: string) =>
    /%(?![0-9a-fA-F]{2})/.test(s)
      ? undefined
      : decodeURIComponent(s.replace(/%(?![0-9a-fA-F]{2})/g, '%25'))
  const path = decode(rawPath)
  if (path === undefined || decode(fragment) === undefined) return undefined
  const host = (authority ?? '').replace(/^[^@]*@/, '')
  const place = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(host)
  if (!place) return undefined
  const parts: Record<string, string> = {
    scheme: scheme.toLowerCase(),
    hostname: (place[1] ?? '').replace(/^\[|\]$/g, ''),
    port: place[2] ?? '',
    path,
    raw_path: rawPath,
    raw_query: query,
    fragment: decode(fragment) ?? '',
  }
  return Object.fromEntries(Object.entries(parts).filter(([, v]) => v !== ''))
}

export const uris: Family = {
  'uri.parse': (s) => {
    const parts = parseUri(text(s, 1))
    return parts ? new RegoObject(Object.entries(parts)) : fail('invalid URI')
  },
  'uri.is_valid': (s) => typeof s === 'string' && parseUri(s) !== undefined,
}
