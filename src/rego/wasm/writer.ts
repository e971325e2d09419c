/** A growing byte buffer with the encodings of the WebAssembly binary format. */
export class Writer {
  #bytes: Uint8Array
  #length = 0

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  #need(n: number): void {
    if (this.#length + n <= this.#bytes.length) return
    const wider = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + n))
    wider.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = wider
  }

  byte(value: number): this {
    this.#need(1)
    this.#bytes[this.#length++] = value
    return this
  }

  bytes(values: Uint8Array | readonly number[]): this {
    this.#need(values.length)
    this.#bytes.set(values, this.#length)
    this.#length += values.length
    return this
  }

  /** Unsigned LEB128 of a 32-bit number. */
  u32(value: number): this {
    this.#need(5)
    let rest = value >>> 0
    while (rest > 127) {
      this.#bytes[this.#length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
    return this
  }

  /** Signed LEB128 of a 32-bit number. */
  s32(value: number): this {
    this.#need(5)
    let rest = value | 0
    for (;;) {
      const low = rest & 127
      rest >>= 7
      if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) {
        this.#bytes[this.#length++] = low
        return this
      }
      this.#bytes[this.#length++] = low | 128
    }
  }

  name(text: string): this {
    const utf8 = encoder.encode(text)
    return this.u32(utf8.length).bytes(utf8)
  }

  /** Another writer's bytes behind their length. */
  sized(inner: Uint8Array): this {
    return this.u32(inner.length).bytes(inner)
  }

  section(id: number, body: Writer): this {
    return this.byte(id).sized(body.view())
  }

  /** The bytes so far; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }
}

const encoder = new TextEncoder()
