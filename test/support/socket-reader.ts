import { WebSocket } from 'ws'

export const ACTIVITY = '/api/v1/agents/activity/stream'

export interface SocketMessage {
  readonly id: string
  readonly type: string
  readonly data: { readonly seq: number; readonly agent_id: string }
}

/** A WebSocket reader of the record that keeps all it got. */
export class SocketReader {
  readonly messages: SocketMessage[] = []
  readonly socket: WebSocket
  closed = false

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => {
      this.messages.push(JSON.parse(data.toString('utf8')) as SocketMessage)
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async open(url: string, key: string, query = ''): Promise<SocketReader> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${ACTIVITY}${query}`, {
      headers: { 'x-api-key': key },
    })
    const reader = new SocketReader(socket)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return reader
  }

  get ids(): number[] {
    return this.messages.map(({ id }) => Number(id))
  }
}
