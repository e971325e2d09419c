// The old dialect to the new one. As the formatter it works on tokens, so that comments and line breaks stay; what kind of
// rule it is in front of, which tokens do not say, it takes from the tree: `p[x] { ... }` is `p contains x if { ... }`.
import type { Rule } from './ast/ast.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { Formatted } from './format.ts'
import { Lexer, type Token } from './parser/lexer.ts'
import { parseModule } from './parser/parse.ts'

/** A module's text in the new dialect; one that is in it stays as it is. Diagnostics say what is to be done by hand. */
export function migrate(source: string, options: { readonly file?: string } = {}): Formatted {
  const { file = 'policy.rego' } = options
  if (parseModule(file, source).module) return { ok: true, text: source }
  const { module, diagnostics } = parseModule(file, source, { v0: true })
  if (!module) return { ok: false, diagnostics }
  const writer = new Writer(source)
  for (const { path, loc } of module.imports) {
    const [root] = path.terms
    if (root.kind === 'var' && NEEDLESS.has(root.name)) writer.dropLine(loc.row)
  }
  for (const rule of module.rules) if (!rule.isDefault && !rule.chained) writer.rule(rule)
  return checked(file, writer.text())
}

/** What the new dialect has without being asked: `import future.keywords`, `import rego.v1`. */
const NEEDLESS: ReadonlySet<string> = new Set(['future', 'rego'])

function checked(file: string, text: string): Formatted {
  const { module, diagnostics } = parseModule(file, text)
  return module ? { ok: true, text } : { ok: false, diagnostics: diagnostics.map(byHand) }
}

const byHand = (one: Diagnostic): Diagnostic => ({
  ...one,
  message: `${one.message} (after the rewriting; rename or rewrite it by hand)`,
})

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

const CLOSING: ReadonlySet<string> = new Set(['}', ']', ')'])
const OPENING: ReadonlySet<string> = new Set(['{', '[', '('])
const INFIX: ReadonlySet<string> = new Set([
  '+',
  '-',
  '*',
  '/',
  '%',
  '&',
  '|',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
])

class Writer {
  readonly #source: string
  readonly #tokens: readonly Token[]
  readonly #at = new Map<string, number>()
  readonly #edits: Edit[] = []

  constructor(source: string) {
    this.#source = source
    this.#tokens = new Lexer('', source).tokens
    for (const [index, { row, col }] of this.#tokens.entries()) this.#at.set(`${row}:${col}`, index)
  }

  text(): string {
    let [out, at] = ['', 0]
    for (const { start, end, text } of [...this.#edits].sort((a, b) => a.start - b.start)) {
      out += this.#source.slice(at, start) + text
      at = end
    }
    return out + this.#source.slice(at)
  }

  /** Takes an import away with its line, or leaves the comment behind it. */
  dropLine(row: number): void {
    const some = this.#tokens.filter((token) => token.row === row)
    const [first, last] = [some[0], some.at(-1)]
    if (!first || !last) return
    const rest = /^[ \t]*(?:\r?\n)?/.exec(this.#source.slice(last.end))?.[0].length ?? 0
    this.#edits.push({ start: first.start, end: last.end + rest, text: '' })
  }

  rule(rule: Rule): void {
    const first = this.#at.get(`${rule.loc.row}:${rule.loc.col}`)
    if (first === undefined) return
    let at = this.#head(first, rule)
    const head = this.#headText(first, at, rule)
    at = this.#body(at)
    for (;;) {
      const next = this.#tokens[at]
      if (next?.kind === 'word' && next.text === 'else') at = this.#body(this.#value(at + 1))
      else if (next?.kind === '{') {
        // `p { a } { b }`: two rules with one head.
        this.#insert(next.start, `\n\n${head} if `)
        at = this.#group(at)
      } else return
    }
  }

  /** Behind a head and its value; its key is written anew where it makes a set. */
  #head(first: number, rule: Rule): number {
    let at = first + 1
    let bracket: readonly [number, number] | undefined
    for (;;) {
      const token = this.#tokens[at]
      if (token?.kind === '.') at += 2
      else if (token?.kind === '[' || token?.kind === '(') {
        const end = this.#group(at)
        if (token.kind === '[') bracket = [at, end - 1]
        at = end
      } else break
    }
    if (bracket && makesSet(rule)) {
      const [open, close] = bracket.map((index) => this.#tokens[index]) as [Token, Token]
      this.#edits.push({ start: open.start, end: open.end, text: ' contains ' })
      this.#edits.push({ start: close.start, end: close.end, text: '' })
    }
    if (this.#isWord(at, 'contains')) at = this.#term(at + 1)
    return this.#value(at)
  }

  #headText(first: number, end: number, rule: Rule): string {
    const [from, to] = [this.#tokens[first], this.#tokens[end - 1]]
    const text = this.#source.slice(from?.start, to?.end)
    return makesSet(rule) ? text.replace(/\s*\[(.*)\]$/s, ' contains $1') : text
  }

  #value(at: number): number {
    const kind = this.#tokens[at]?.kind
    return kind === '=' || kind === ':=' ? this.#term(at + 1) : at
  }

  /** Behind a body, which gets its `if` unless it has it. */
  #body(at: number): number {
    if (this.#isWord(at, 'if')) return this.#tokens[at + 1]?.kind === '{' ? this.#group(at + 1) : at
    const open = this.#tokens[at]
    if (open?.kind !== '{') return at
    this.#insert(open.start, open.space ? 'if ' : ' if ')
    return this.#group(at)
  }

  /** Behind a term with its operators: what follows may be a body. */
  #term(start: number): number {
    let at = this.#tokens[start]?.kind === '-' ? start + 1 : start
    at = OPENING.has(this.#tokens[at]?.kind ?? '') ? this.#group(at) : at + 1
    for (;;) {
      const token = this.#tokens[at]
      if (token?.kind === '.') at += 2
      else if (!token?.space && (token?.kind === '[' || token?.kind === '(')) at = this.#group(at)
      else break
    }
    const next = this.#tokens[at]
    return INFIX.has(next?.kind ?? '') || this.#isWord(at, 'in') ? this.#term(at + 1) : at
  }

  #group(start: number): number {
    let depth = 0
    for (let at = start; at < this.#tokens.length; at++) {
      const { kind } = this.#tokens[at] as Token
      if (OPENING.has(kind)) depth++
      if (CLOSING.has(kind) && --depth === 0) return at + 1
    }
    return this.#tokens.length
  }

  #isWord(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'word' && token.text === text
  }

  #insert(at: number, text: string): void {
    this.#edits.push({ start: at, end: at, text })
  }
}

const makesSet = ({ head }: Rule): boolean =>
  head.key !== undefined && head.value === undefined && !head.hasContains
