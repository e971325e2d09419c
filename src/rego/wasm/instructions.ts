import { Writer } from './writer.ts'

/** A label of structured control flow: the nesting depth at which its block was opened. */
export type Label = number

const I32 = 0x7f

/** Writes the body of one function whose parameters and locals are all i32. */
export class Code {
  readonly #out = new Writer(512)
  readonly #params: number
  #locals = 0
  #depth = 0

  constructor(params: number) {
    this.#params = params
  }

  get size(): number {
    return this.#out.length
  }

  newLocal(): number {
    return this.#params + this.#locals++
  }

  #indexed(opcode: number, index: number): this {
    this.#out.byte(opcode).u32(index)
    return this
  }

  /** `align` is the power of two that the address is a multiple of. */
  #memory(opcode: number, align: number, offset: number): this {
    this.#out.byte(opcode).byte(align).u32(offset)
    return this
  }

  /** A block without a value. */
  #open(opcode: number): Label {
    this.#out.byte(opcode).byte(0x40)
    return this.#depth++
  }

  get(local: number): this {
    return this.#indexed(0x20, local)
  }
  set(local: number): this {
    return this.#indexed(0x21, local)
  }
  tee(local: number): this {
    return this.#indexed(0x22, local)
  }
  globalGet(index: number): this {
    return this.#indexed(0x23, index)
  }
  globalSet(index: number): this {
    return this.#indexed(0x24, index)
  }
  call(index: number): this {
    return this.#indexed(0x10, index)
  }
  const(value: number): this {
    this.#out.byte(0x41).s32(value)
    return this
  }
  /** One of the instructions without immediates. */
  op(opcode: number): this {
    this.#out.byte(opcode)
    return this
  }

  load(offset: number): this {
    return this.#memory(0x28, 2, offset)
  }
  load8(offset: number): this {
    return this.#memory(0x2d, 0, offset)
  }
  store8(offset: number): this {
    return this.#memory(0x3a, 0, offset)
  }
  store(offset: number): this {
    return this.#memory(0x36, 2, offset)
  }

  block(): Label {
    return this.#open(0x02)
  }
  loop(): Label {
    return this.#open(0x03)
  }
  if(): Label {
    return this.#open(0x04)
  }
  else(): this {
    this.#out.byte(0x05)
    return this
  }
  end(): this {
    this.#depth--
    this.#out.byte(0x0b)
    return this
  }
  br(label: Label): this {
    this.#out.byte(0x0c).u32(this.#depth - label - 1)
    return this
  }
  brIf(label: Label): this {
    this.#out.byte(0x0d).u32(this.#depth - label - 1)
    return this
  }
  brTable(labels: readonly Label[], fallback: Label): this {
    this.#out.byte(0x0e).u32(labels.length)
    for (const label of labels) this.#out.u32(this.#depth - label - 1)
    this.#out.u32(this.#depth - fallback - 1)
    return this
  }
  return(): this {
    return this.op(0x0f)
  }

  finish(): Uint8Array {
    const body = new Writer(this.#out.length + 8)
    if (this.#locals === 0) body.byte(0)
    else body.byte(1).u32(this.#locals).byte(I32)
    body.bytes(this.#out.view()).byte(0x0b)
    return body.finish()
  }
}

export const OP = {
  unreachable: 0x00,
  drop: 0x1a,
  select: 0x1b,
  eqz: 0x45,
  eq: 0x46,
  ne: 0x47,
  ltS: 0x48,
  ltU: 0x49,
  gtS: 0x4a,
  geU: 0x4f,
  add: 0x6a,
  sub: 0x6b,
  mul: 0x6c,
  and: 0x71,
  or: 0x72,
} as const
