import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Node's parser reads over spaces that a request line has too many of, and over the name of another
 * protocol (`RTSP/1.0`), and says nothing of it. So the last bytes of each connection are kept for as
 * long as a head can be, and a request counts as plain only if its line stands there as it would be
 * written. Both happen while one chunk is parsed, so the bytes are those of the request.
 */

/** Node takes no longer head. */
const HEAD_BYTES_MAX = 16_384
const recent = new WeakMap<Socket, Buffer>()

/** Keeps what comes on a connection; a listener of `connection`. */
export function keepRecent(socket: Socket): void {
  recent.set(socket, Buffer.alloc(0))
  socket.prependListener('data', (chunk: Buffer) => {
    const before = recent.get(socket)?.subarray(-HEAD_BYTES_MAX) ?? Buffer.alloc(0)
    recent.set(socket, Buffer.concat([before, chunk]))
  })
  // Node lets its parser read the socket directly until somebody listens in this way.
  socket.on('data', () => {})
}

/**
 * Whether the request began with the one line that says what Node says of it. Asked once for each: what
 * was found is not there for the next request.
 */
export function tookPlainLine({ socket, method, url, httpVersion }: IncomingMessage): boolean {
  const bytes = recent.get(socket)
  if (!bytes) return true
  const line = `${method} ${url} HTTP/${httpVersion}\r\n`
  const at = bytes.indexOf(line, 0, 'latin1')
  if (at < 0) return false
  recent.set(socket, bytes.subarray(at + line.length))
  return true
}
