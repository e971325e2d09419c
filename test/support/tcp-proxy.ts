import net from 'node:net'

/**
 * A TCP proxy that can fall silent: connections stay open and nothing passes, as behind a broken network or a
 * frozen host. Nobody is told; only a deadline of one's own notices.
 */
export class TcpProxy {
  readonly #server: net.Server
  readonly #pairs = new Set<{ client: net.Socket; target: net.Socket; silent: boolean }>()
  readonly #abandoned = new Set<net.Socket>()
  #silent = false
  /** Falls silent, once, on the connection whose client sends this, right after it. */
  silenceAfter: string | null = null

  private constructor(server: net.Server) {
    this.#server = server
  }

  static start(targetPort: number): Promise<TcpProxy> {
    return new Promise((resolve) => {
      const server = net.createServer()
      const proxy = new TcpProxy(server)
      server.on('connection', (client) => proxy.#join(client, net.connect(targetPort, '127.0.0.1')))
      server.listen(0, '127.0.0.1', () => resolve(proxy))
    })
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Silent connections whose client waits no longer. */
  get givenUp(): number {
    return this.#abandoned.size
  }

  /** Nothing passes any more, on connections that are open and on new ones. */
  fallSilent(): void {
    this.#silent = true
    for (const pair of this.#pairs) pair.silent = true
  }

  /** New connections work; those that had fallen silent stay so, for whoever still waits on them. */
  heal(): void {
    this.#silent = false
    this.silenceAfter = null
    // A server notices in the end that nobody is there any more; its connections are not without number.
    for (const target of this.#abandoned) target.destroy()
    this.#abandoned.clear()
  }

  async stop(): Promise<void> {
    for (const { client, target } of this.#pairs) {
      client.destroy()
      target.destroy()
    }
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: net.Socket, target: net.Socket): void {
    // What comes in pieces goes on in pieces: holding a small one back until another is acknowledged is no network.
    for (const socket of [client, target]) socket.setNoDelay(true)
    const pair = { client, target, silent: this.#silent }
    this.#pairs.add(pair)
    client.on('data', (bytes: Buffer) => {
      if (pair.silent) return
      target.write(bytes)
      if (this.silenceAfter === null || !bytes.includes(this.silenceAfter)) return
      this.silenceAfter = null
      pair.silent = true
    })
    target.on('data', (bytes: Buffer) => pair.silent || client.write(bytes))
    const close = () => {
      this.#pairs.delete(pair)
      client.destroy()
      // What fell silent says no goodbye either.
      if (pair.silent) this.#abandoned.add(target)
      else target.destroy()
    }
    client.on('close', close).on('error', () => {})
    target.on('close', () => pair.silent || client.destroy()).on('error', () => {})
  }
}
