import http from 'node:http'

const ASKED = Symbol('asked to upgrade')

/**
 * A request of which only a WebSocket counts as an upgrade. Node hands every `Upgrade` to the one
 * listener there is, and clients that offer `h2c` with an ordinary request would get no answer to it.
 * Read after the headers are in, as Node does before it decides. CONNECT is its own affair: nobody
 * listens for it, so Node closes the connection.
 */
export class GateRequest extends http.IncomingMessage {
  declare [ASKED]: boolean

  get upgrade(): boolean {
    if (this.method === 'CONNECT') return this[ASKED]
    return this[ASKED] && this.headers.upgrade?.toLowerCase() === 'websocket'
  }

  set upgrade(asked: boolean) {
    this[ASKED] = asked
  }
}
