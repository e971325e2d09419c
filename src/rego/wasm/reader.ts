/** A cursor over a WebAssembly binary. */
export class Reader {
  readonly bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  byte(): number {
    const value = this.bytes[this.at++]
    if (value === undefined) throw new RangeError('unexpected end of module')
    return value
  }

  u32(): number {
    let value = 0
    let shift = 0
    for (;;) {
      const b = this.byte()
      value |= (b & 127) << shift
      if (b < 128) return value >>> 0
      shift += 7
    }
  }

  s32(): number {
    let value = 0
    let shift = 0
    for (;;) {
      const b = this.byte()
      value |= (b & 127) << shift
      shift += 7
      if (b < 128) return shift < 32 && (b & 64) !== 0 ? value | (-1 << shift) : value
    }
  }

  take(n: number): Uint8Array {
    const from = this.at
    this.at += n
    return this.bytes.subarray(from, this.at)
  }

  name(): string {
    return decoder.decode(this.take(this.u32()))
  }
}

const decoder = new TextDecoder()
