import { Duplex } from 'node:stream'
import type { MessagePort } from 'node:worker_threads'

/** What `pg` takes for a socket: a byte stream to the embedded database over a MessagePort. */
export class PortStream extends Duplex {
  readonly #open: () => MessagePort
  #port: MessagePort | undefined

  constructor(open: () => MessagePort) {
    super()
    this.#open = open
  }

  connect(): this {
    const port = this.#open()
    this.#port = port
    port.on('message', (data: Uint8Array | null) => this.#receive(data))
    // A worker that was terminated says no farewell: whoever waits for an answer must hear of it.
    port.on('close', () => this.destroy(new Error('the embedded database went away')))
    process.nextTick(() => this.emit('connect'))
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  setTimeout(): this {
    return this
  }

  ref(): this {
    this.#port?.ref()
    return this
  }

  unref(): this {
    this.#port?.unref()
    return this
  }

  override _read(): void {
    // Bytes are pushed as they arrive: PGlite answers one statement at a time.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    try {
      this.#port?.postMessage(new Uint8Array(chunk))
      done()
    } catch (error) {
      done(error as Error)
    }
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: (error?: Error) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'buffer', done)
  }

  override _final(done: () => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#port?.postMessage(null)
    this.#port?.close()
    done(error)
  }

  #receive(data: Uint8Array | null): void {
    if (data === null) {
      this.push(null)
      this.destroy()
    } else {
      this.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
    }
  }
}
