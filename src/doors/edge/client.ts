import type { IncomingMessage } from 'node:http'
import type { BlockList, Socket } from 'node:net'
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
  const { encrypted } = req.socket as TLSSocket
  const { peer, isTrusted } = peerOf(req.socket, trusted)
  if (!isTrusted) return { address: peer, scheme: encrypted ? 'https' : 'http' }
  const hops = listOf(req, 'x-forwarded-for')
  let address = peer
  let hopsRead = 0
  while (isListed(trusted, address)) {
    const before = plainAddress(hops[hops.length - 1 - hopsRead] ?? '')
    if (before === undefined) break
    address = before
    hopsRead++
  }
  const schemes = listOf(req, 'x-forwarded-proto')
  const scheme = schemes[Math.max(0, schemes.length - Math.max(1, hopsRead))]
  return { address, scheme: encrypted || scheme?.toLowerCase() === 'https' ? 'https' : 'http' }
}

interface Peer {
  readonly peer: string
  readonly isTrusted: boolean
}

const peers = new WeakMap<Socket, Peer>()

/** Who is at the other end, which stays the same for as long as the connection does. */
function peerOf(socket: Socket, trusted: BlockList): Peer {
  const known = peers.get(socket)
  if (known !== undefined) return known
  const { remoteAddress = '' } = socket
  const peer = plainAddress(remoteAddress) ?? remoteAddress
  const found = { peer, isTrusted: isListed(trusted, peer) }
  peers.set(socket, found)
  return found
}

function listOf(req: IncomingMessage, name: string): string[] {
  const value = req.headers[name]
  return value === undefined
    ? []
    : String(value)
        .split(',')
        .map((one) => one.trim())
}
