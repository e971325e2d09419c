import type { Operand } from '../ir/ir.ts'

/** Variables that have a value, and constant references already read; blocks forget what they bound. */
export class Bindings {
  readonly #map = new Map<string, Operand>()
  readonly #log: (readonly [string, Operand | undefined])[] = []

  get(name: string): Operand | undefined {
    return this.#map.get(name)
  }
  has(name: string): boolean {
    return this.#map.has(name)
  }
  set(name: string, value: Operand | undefined): void {
    this.#log.push([name, this.#map.get(name)])
    this.#put(name, value)
  }
  #put(name: string, value: Operand | undefined): void {
    if (value) this.#map.set(name, value)
    else this.#map.delete(name)
  }
  mark(): number {
    return this.#log.length
  }
  reset(mark: number): void {
    while (this.#log.length > mark) {
      const [name, value] = this.#log.pop() ?? ['', undefined]
      this.#put(name, value)
    }
  }
  /** What is remembered of references, which a `with` may change. */
  caches(): (readonly [string, Operand])[] {
    return [...this.#map].filter(([key]) => key.includes('\u0000'))
  }
  dropCaches(): void {
    for (const [key] of this.caches()) this.set(key, undefined)
  }
}
