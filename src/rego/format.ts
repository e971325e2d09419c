// The formatter works on tokens, not on the tree: it settles indentation, spaces and blank lines and leaves lines where
// their author broke them. White space that means something (`x [0]` is not `x[0]`) stays.
import type { Diagnostic } from './diagnostics.ts'
import { Lexer, type Token } from './parser/lexer.ts'
import { parseModule } from './parser/parse.ts'

const SPACED = new Set([':=', '=', '==', '!=', '<', '<=', '>', '>=', '|', '&'])
const OPENING = new Set(['{', '[', '('])
const CLOSING = new Set(['}', ']', ')'])
const BLANK_LINES_MAX = 1

export type Formatted =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** The one layout of a module's text; diagnostics when it does not parse. */
export function format(
  source: string,
  options: { readonly v0?: boolean; readonly file?: string } = {},
): Formatted {
  const { v0 = false, file = 'policy.rego' } = options
  const { module, diagnostics } = parseModule(file, source, { v0, experimental: true })
  if (!module) return { ok: false, diagnostics }
  const text = layOut(source)
  // Spaces can only be wrong by a mistake of ours; then the author's text is the better one.
  return {
    ok: true,
    text: parseModule(file, text, { v0, experimental: true }).module ? text : source,
  }
}

interface Line {
  readonly row: number
  readonly tokens: Token[]
  comment: string | undefined
}

function layOut(source: string): string {
  const lexer = new Lexer('', source.replace(/\r\n/g, '\n'))
  const lines = new Map<number, Line>()
  const lineAt = (row: number): Line => {
    const line = lines.get(row) ?? { row, tokens: [], comment: undefined }
    lines.set(row, line)
    return line
  }
  // The pieces of a template string stay together, so the whole string is one token here.
  let last = { row: 0, end: 0 }
  for (const token of joined(lexer.tokens, source.replace(/\r\n/g, '\n'))) {
    if (token.kind === 'eof') break
    // What follows a string of several lines stands on the line where the string began.
    const row = token.row === last.end ? last.row : token.row
    lineAt(row).tokens.push(token)
    last = { row, end: token.row + token.text.split('\n').length - 1 }
  }
  for (const { text, loc } of lexer.comments) {
    lineAt(loc.row).comment = `#${text.replace(/\s+$/, '')}`
  }
  let out = ''
  /** Brackets left open by earlier lines: those of one line are one step of indentation. */
  const open: number[] = []
  let expected = 1
  for (const line of [...lines.values()].sort((a, b) => a.row - b.row)) {
    if (out !== '') out += '\n'.repeat(Math.min(line.row - expected, BLANK_LINES_MAX) + 1)
    const leading = leadingClosers(line.tokens)
    settle(open, line.tokens.slice(0, leading))
    const indent = open.length
    const text = lineText(line.tokens)
    settle(open, line.tokens.slice(leading))
    const body = [text, line.comment].filter((part) => part !== undefined && part !== '').join(' ')
    out += '\t'.repeat(indent) + body
    expected = line.row + 1 + text.split('\n').length - 1
  }
  return `${out}\n`
}

function joined(tokens: readonly Token[], source: string): Token[] {
  const found: Token[] = []
  let open: Token | undefined
  let depth = 0
  for (const token of tokens) {
    const begins = token.kind === 'templatePart' || token.kind === 'rawTemplatePart'
    const ends = token.kind === 'templateEnd' || token.kind === 'rawTemplateEnd'
    if (!open && begins && source[token.start] === '$') {
      open = token
      depth = 1
    } else if (open) {
      if (begins && source[token.start] === '$') depth++
      if (ends && source[token.start] !== '$' && --depth === 0) {
        found.push({
          ...open,
          kind: 'string',
          text: source.slice(open.start, token.end),
          end: token.end,
        })
        open = undefined
      }
    } else found.push(token)
  }
  return found
}

function settle(open: number[], tokens: readonly Token[]): void {
  let opened = 0
  for (const { kind } of tokens) {
    if (OPENING.has(kind)) opened++
    else if (CLOSING.has(kind)) {
      if (opened > 0) opened--
      else {
        const left = (open.pop() ?? 1) - 1
        if (left > 0) open.push(left)
      }
    }
  }
  if (opened > 0) open.push(opened)
}

function leadingClosers(tokens: readonly Token[]): number {
  let closers = 0
  for (const { kind } of tokens) {
    if (!CLOSING.has(kind)) break
    closers++
  }
  return closers
}

function lineText(tokens: readonly Token[]): string {
  let text = ''
  for (const [i, token] of tokens.entries()) {
    const before = tokens[i - 1]
    if (before && spaceBetween(before, token)) text += ' '
    text += token.text
  }
  return text
}

function spaceBetween(before: Token, token: Token): boolean {
  if (token.kind === ',' || token.kind === ';') return false
  if (token.kind === ':') return false
  if (before.kind === ',' || before.kind === ';' || before.kind === ':') return true
  if (SPACED.has(token.kind) || SPACED.has(before.kind)) return true
  return token.space
}
