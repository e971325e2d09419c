import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Node's parser reads over spaces that a request line has too many of, and over the name of another
 * protocol (`RTSP/1.0`), and says nothing of it. So what a connection brought last is kept for as long as
 * a head can be, and a request counts as plain only if its line stands there as it would be written. Both
 * happen while one chunk is parsed, so the bytes are those of the request. A chunk that begins with the
 * line, as nearly all do, costs one comparison and no copy.
 */

/** Node takes no longer head. */
const HEAD_BYTES_MAX = 16_384

/** The chunk that is being parsed, what came before it, and where in it the next request may begin. */
interface Recent {
  before: Buffer
  chunk: Buffer
  at: number
}

const NOTHING = Buffer.alloc(0)
const recent = new WeakMap<Socket, Recent>()

/** Keeps what comes on a connection; a listener of `connection`. */
export function keepRecent(socket: Socket): void {
  const state: Recent = { before: NOTHING, chunk: NOTHING, at: 0 }
  recent.set(socket, state)
  socket.prependListener('data', (chunk: Buffer) => {
    state.before = unread(state)
    state.chunk = chunk
    state.at = 0
  })
  // Node lets its parser read the socket directly until somebody listens in this way.
  socket.on('data', () => {})
}

/** The end of what no request was found in: a head may have begun there. */
function unread({ before, chunk, at }: Recent): Buffer {
  const rest = chunk.subarray(at)
  const both = at === 0 && before.length > 0 ? Buffer.concat([before, rest]) : rest
  return both.subarray(-HEAD_BYTES_MAX)
}

/**
 * Whether the request began with the one line that says what Node says of it. Asked once for each: what
 * was found is not there for the next request.
 */
export function tookPlainLine({ socket, method, url, httpVersion }: IncomingMessage): boolean {
  const state = recent.get(socket)
  if (!state) return true
  const line = `${method} ${url} HTTP/${httpVersion}\r\n`
  const start = state.chunk.toString('latin1', 0, line.length)
  if (state.at === 0 && start === line) {
    state.at = line.length
    return true
  }
  return foundLater(state, line)
}

/** The line of a request that is not the first of its chunk, or that came in pieces. */
function foundLater(state: Recent, line: string): boolean {
  const before = state.at === 0 ? state.before : NOTHING
  const bytes = Buffer.concat([before, state.chunk.subarray(state.at)])
  const found = bytes.indexOf(line, 0, 'latin1')
  if (found < 0) return false
  state.at = Math.max(0, state.at + found + line.length - before.length)
  if (state.at === 0) state.before = NOTHING
  return true
}
