import { LanguageSupport, StreamLanguage, type StringStream } from '@codemirror/language'

// Enough of Rego to colour it, line by line. What is wrong with it the gate says, which has the compiler.

const KEYWORDS = new Set(
  'package import as default else not with some every in if contains'.split(' '),
)
const WORDS: Readonly<Record<string, string>> = {
  true: 'atom',
  false: 'atom',
  null: 'atom',
  input: 'variableName.special',
  data: 'variableName.special',
}
const TOKENS: readonly (readonly [RegExp, string])[] = [
  [/^#.*/, 'comment'],
  [/^"(?:\\.|[^"\\])*"?/, 'string'],
  [/^-?\d+(\.\d+)?([eE][+-]?\d+)?/, 'number'],
  [/^(:=|==|!=|<=|>=|[=<>+\-*/%&|;])/, 'operator'],
]

interface State {
  /** In a raw string, which goes over lines. */
  raw: boolean
}

function token(stream: StringStream, state: State): string | null {
  if (state.raw) return rawString(stream, state)
  if (stream.eatSpace()) return null
  for (const [pattern, style] of TOKENS) if (stream.match(pattern)) return style
  if (stream.eat('`')) return rawString(stream, state)
  if (!stream.match(/^[A-Za-z_]\w*/)) {
    stream.next()
    return 'punctuation'
  }
  const word = stream.current()
  if (KEYWORDS.has(word)) return 'keyword'
  const isCalled = stream.match(/^(\.\w+)*\s*\(/, false) !== null
  return Object.hasOwn(WORDS, word)
    ? (WORDS[word] ?? null)
    : isCalled
      ? 'variableName.function'
      : 'variableName'
}

function rawString(stream: StringStream, state: State): string {
  state.raw = true
  while (!stream.eol()) {
    if (stream.next() !== '`') continue
    state.raw = false
    break
  }
  return 'string'
}

const language = StreamLanguage.define<State>({
  name: 'rego',
  startState: () => ({ raw: false }),
  languageData: { commentTokens: { line: '#' } },
  token,
})

export const rego = (): LanguageSupport => new LanguageSupport(language)
