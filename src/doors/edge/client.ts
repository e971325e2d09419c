import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isListed, plainAddress } from '../../lib/addresses.ts'

/** Where a request comes from, as far as can be believed. */
export interface Client {
  readonly address: string
  readonly scheme: 'http' | 'https'
}

/**
 * Whoever is at the other end of the connection, unless that is a proxy that is trusted: then whom it
 * names, and so on from right to left, for each hop appends whom it heard from. What a client wrote
 * there itself is left of the first address that is not trusted, and is never read.
 */
export function clientOf(req: IncomingMessage, trusted: BlockList): Client {
  const { remoteAddress = '', encrypted } = req.socket as TLSSocket
  const hops = listOf(req, 'x-forwarded-for')
  let address = plainAddress(remoteAddress) ?? remoteAddress
  let hopsRead = 0
  while (isListed(trusted, address)) {
    const before = plainAddress(hops[hops.length - 1 - hopsRead] ?? '')
    if (before === undefined) break
    address = before
    hopsRead++
  }
  const isProxied = isListed(trusted, plainAddress(remoteAddress) ?? '')
  const schemes = isProxied ? listOf(req, 'x-forwarded-proto') : []
  const scheme = schemes[Math.max(0, schemes.length - Math.max(1, hopsRead))]
  return { address, scheme: encrypted || scheme?.toLowerCase() === 'https' ? 'https' : 'http' }
}

function listOf(req: IncomingMessage, name: string): string[] {
  const value = req.headers[name]
  return value === undefined
    ? []
    : String(value)
        .split(',')
        .map((one) => one.trim())
}
