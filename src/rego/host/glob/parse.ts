// Globs as the library of OPA's reads them, which is not quite what they say: a `{` that nothing closes is closed by the end.
import { fail } from '../builtins/kind.ts'
import { bytesOf } from './bytes.ts'

export interface Node {
  readonly kind:
    | 'pattern'
    | 'anyOf'
    | 'any'
    | 'super'
    | 'single'
    | 'nothing'
    | 'list'
    | 'range'
    | 'text'
  readonly children: Node[]
  /** A text, the runes of a list, or both ends of a range. */
  readonly text?: string
  readonly to?: string
  readonly not?: boolean
}

export function node(kind: Node['kind'], children: Node[] = []): Node {
  return { kind, children }
}

export function sameNode(a: Node, b: Node): boolean {
  return (
    a.kind === b.kind &&
    a.text === b.text &&
    a.to === b.to &&
    a.not === b.not &&
    a.children.length === b.children.length &&
    a.children.every((child, i) => sameNode(child, b.children[i] as Node))
  )
}

export function parseGlob(source: string): Node {
  return new Parser(source).parse()
}

/** Where nothing is left to read; a NUL in a glob ends it too. */
const END = ''

class Parser {
  readonly #runes: readonly string[]
  #at = 0
  /** The patterns that are open, the innermost last, with the alternatives they belong to. */
  readonly #open: { pattern: Node; anyOf: Node | undefined }[] = []

  constructor(source: string) {
    this.#runes = Array.from(source)
  }

  parse(): Node {
    const root = node('pattern')
    this.#open.push({ pattern: root, anyOf: undefined })
    while (this.#item());
    return root
  }

  #peek(): string {
    const rune = this.#runes[this.#at] ?? END
    if (rune === '\ufffd') return fail('could not read rune')
    return rune === '\0' ? END : rune
  }
  #read(): string {
    const rune = this.#peek()
    if (rune !== END) this.#at++
    return rune
  }

  #insert(child: Node): void {
    this.#open.at(-1)?.pattern.children.push(child)
  }

  #item(): boolean {
    const inTerms = this.#open.length > 1
    const rune = this.#read()
    if (rune === END) return false
    if (rune === '{') {
      const anyOf = node('anyOf')
      this.#insert(anyOf)
      this.#alternative(anyOf)
    } else if (rune === ',' && inTerms) {
      const { anyOf } = this.#open.pop() ?? {}
      this.#alternative(anyOf as Node)
    } else if (rune === '}' && inTerms) this.#open.pop()
    else if (rune === '[') this.#range()
    else if (rune === '?') this.#insert(node('single'))
    else if (rune === '*') {
      if (this.#peek() === '*') {
        this.#at++
        this.#insert(node('super'))
      } else this.#insert(node('any'))
    } else {
      this.#at--
      const text = this.#text(inTerms ? '?*[{},' : '?*[{')
      if (text !== '') this.#insert({ ...node('text'), text: bytesOf(text) })
    }
    return true
  }

  #alternative(anyOf: Node): void {
    const pattern = node('pattern')
    anyOf.children.push(pattern)
    this.#open.push({ pattern, anyOf })
  }

  #text(breakers: string): string {
    let text = ''
    let isEscaped = false
    for (let rune = this.#peek(); rune !== END; rune = this.#peek()) {
      if (!isEscaped && rune !== '\\' && breakers.includes(rune)) break
      this.#at++
      if (!isEscaped && rune === '\\') {
        isEscaped = true
        continue
      }
      isEscaped = false
      text += rune
    }
    return text
  }

  #range(): void {
    let rune = this.#required()
    const not = rune === '!'
    if (not) rune = this.#required()
    if (this.#peek() === '-') {
      this.#at++
      const to = this.#required()
      this.#close()
      if ((to.codePointAt(0) ?? 0) < (rune.codePointAt(0) ?? 0))
        return fail(`hi character '${to}' should be greater than lo '${rune}'`)
      this.#insert({ ...node('range'), text: bytesOf(rune), to: bytesOf(to), not })
      return
    }
    this.#at--
    const chars = this.#text(']')
    this.#close()
    if (chars === '') return fail('could not parse range')
    this.#insert({ ...node('list'), text: bytesOf(chars), not })
  }

  #required(): string {
    const rune = this.#read()
    return rune === END ? fail('unexpected end of input') : rune
  }
  #close(): void {
    if (this.#required() !== ']') fail('expected close range character')
  }
}
