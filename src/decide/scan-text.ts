import type { Json, JsonObject } from '../model/json.ts'

/** Strings to look at, until there is more of them than anyone should look at. */
export class ScanText {
  readonly strings: string[] = []
  /** Keys of objects; apart, because they are nearly always the same few. */
  readonly keys: string[] = []
  readonly #max: number
  #length = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Whether there was more text than the bound. */
  get overflowed(): boolean {
    return this.#length > this.#max
  }

  get length(): number {
    return this.#length
  }

  /** Adds every string and key of a value, but not what stands at one of the `skip` pointers. */
  add(value: Json, skip: readonly (readonly string[])[] = []): void {
    if (typeof value === 'string') this.#push(value, this.strings)
    else if (typeof value !== 'object' || value === null) return
    else if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) this.#member(String(index), item as Json, skip)
    } else {
      const object = value as JsonObject
      for (const key of Object.keys(object)) {
        this.#push(key, this.keys)
        this.#member(key, object[key] as Json, skip)
      }
    }
  }

  #member(key: string, value: Json, skip: readonly (readonly string[])[]): void {
    if (this.overflowed) return
    if (skip.length === 0) return this.add(value)
    const deeper = skip.filter((steps) => steps[0] === key).map((steps) => steps.slice(1))
    if (!deeper.some((steps) => steps.length === 0)) this.add(value, deeper)
  }

  #push(text: string, to: string[]): void {
    this.#length += text.length
    if (!this.overflowed && text !== '') to.push(text)
  }
}

// oxlint-disable-next-line no-control-regex -- ASCII is a range of code points, controls included
const ASCII = /^[\u0000-\u007f]*$/
const HIDDEN = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu

/** The text as a reader would take it: compatibility forms folded, invisible characters dropped. */
export function visible(text: string): string {
  return ASCII.test(text) ? text : text.replace(HIDDEN, '').normalize('NFKC')
}
