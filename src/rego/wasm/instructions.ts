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

  get(local: number): this {
    this.#out.byte(0x20).u32(local)
    return this
  }
  set(local: number): this {
    this.#out.byte(0x21).u32(local)
    return this
  }
  tee(local: number): this {
    this.#out.byte(0x22).u32(local)
    return this
  }
  globalGet(index: number): this {
    this.#out.byte(0x23).u32(index)
    return this
  }
  globalSet(index: number): this {
    this.#out.byte(0x24).u32(index)
    return this
  }
  const(value: number): this {
    this.#out.byte(0x41).s32(value)
    return this
  }
  call(index: number): this {
    this.#out.byte(0x10).u32(index)
    return this
  }
  /** One of the instructions without immediates. */
  op(opcode: number): this {
    this.#out.byte(opcode)
    return this
  }
  load(offset: number): this {
    this.#out.byte(0x28).byte(2).u32(offset)
    return this
  }
  load8(offset: number): this {
    this.#out.byte(0x2d).byte(0).u32(offset)
    return this
  }
  store8(offset: number): this {
    this.#out.byte(0x3a).byte(0).u32(offset)
    return this
  }
  store(offset: number): this {
    this.#out.byte(0x36).byte(2).u32(offset)
    return this
  }

  block(): Label {
    this.#out.byte(0x02).byte(0x40)
    return this.#depth++
  }
  loop(): Label {
    this.#out.byte(0x03).byte(0x40)
    return this.#depth++
  }
  if(): Label {
    this.#out.byte(0x04).byte(0x40)
    return this.#depth++
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
