import { autocompletion, completeAnyWord, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { json } from '@codemirror/lang-json'
import { yaml } from '@codemirror/lang-yaml'
import {
  bracketMatching,
  foldGutter,
  HighlightStyle,
  type LanguageSupport,
  syntaxHighlighting,
} from '@codemirror/language'
import { type Diagnostic as Lint, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint'
import { search, searchKeymap } from '@codemirror/search'
import { Annotation, EditorState, type Extension } from '@codemirror/state'
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from '@codemirror/view'
import { tags } from '@lezer/highlight'
import type { Diagnostic } from '../../client/api.ts'
import { HIDDEN, saidElement } from '../parts/text.tsx'
import { rego } from './rego.ts'
import './editor.css'

// CodeMirror as the policy pages use it. Its own styles come in an element that carries the page's nonce, or the page's
// policy would drop them; colours are classes, in editor.css. Tab is not taken, so that it leaves the editor. Characters
// that are not seen are marked as everywhere else: policies are pasted from elsewhere too.

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, class: 'tok-keyword' },
  { tag: tags.string, class: 'tok-string' },
  { tag: [tags.number, tags.atom, tags.bool, tags.null], class: 'tok-number' },
  { tag: tags.comment, class: 'tok-comment' },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], class: 'tok-name' },
  { tag: tags.special(tags.variableName), class: 'tok-name' },
  { tag: tags.function(tags.variableName), class: 'tok-function' },
])

const nonce = (): string =>
  document.querySelector<HTMLMetaElement>('meta[name=csp-nonce]')?.content ?? ''

function languageOf(path: string): LanguageSupport | readonly [] {
  if (path.endsWith('.rego')) return rego()
  if (path.endsWith('.json')) return json()
  return /\.ya?ml$/.test(path) ? yaml() : []
}

/** What every view of a policy's text has. */
export const textExtensions = (path: string, text: string, label: string): Extension => [
  EditorView.cspNonce.of(nonce()),
  EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
  // As it was written: a text with CRLF stays one.
  /\r\n/.test(text) && !/[^\r]\n/.test(text) ? EditorState.lineSeparator.of('\r\n') : [],
  highlightSpecialChars({
    specialChars: new RegExp(HIDDEN.source, 'gu'),
    render: (code) => hiddenChar(code),
  }),
  lineNumbers(),
  EditorView.lineWrapping,
  syntaxHighlighting(COLOURS),
  languageOf(path),
]

const hiddenChar = (code: number): HTMLElement => saidElement(String.fromCodePoint(code), true)

/** Of a change that the page made, which it need not be told. */
const told = Annotation.define<boolean>()

export interface Editor {
  /** What another part of the page made of the text; what the editor says itself changes nothing. */
  readonly setText: (text: string) => void
  readonly setFindings: (findings: readonly Diagnostic[]) => void
  readonly goTo: (line: number, col: number) => void
  readonly close: () => void
}

interface Options {
  readonly at: HTMLElement
  readonly path: string
  readonly text: string
  readonly isReadOnly: boolean
  readonly onChange: (text: string) => void
}

export function openEditor({ at, path, text, isReadOnly, onChange }: Options): Editor {
  const view = new EditorView({
    parent: at,
    state: EditorState.create({
      doc: text,
      extensions: [
        textExtensions(path, text, `Text of ${path}`),
        EditorState.readOnly.of(isReadOnly),
        ...[foldGutter(), lintGutter(), history(), drawSelection(), highlightActiveLine()],
        ...[bracketMatching(), search({ top: true })],
        autocompletion({ override: [completeAnyWord] }),
        keymap.of([
          ...[...completionKeymap, ...searchKeymap, ...historyKeymap, ...lintKeymap],
          ...defaultKeymap,
        ]),
        EditorView.updateListener.of(({ docChanged, state, transactions }) => {
          const isTold = transactions.some((one) => one.annotation(told) === true)
          if (docChanged && !isTold) onChange(state.sliceDoc())
        }),
      ],
    }),
  })
  return {
    setText: (next) => replaceText(view, next),
    setFindings: (findings) =>
      view.dispatch(
        setDiagnostics(
          view.state,
          findings.map((one) => lintOf(view.state, one)),
        ),
      ),
    goTo: (line, col) => goTo(view, line, col),
    close: () => view.destroy(),
  }
}

/** Only what differs, so that cursor and history keep their meaning. */
function replaceText(view: EditorView, next: string): void {
  const before = view.state.sliceDoc()
  if (before === next) return
  const separator = view.state.lineBreak
  const [was, is] = [before, next].map((text) => text.replaceAll(separator, '\n')) as [
    string,
    string,
  ]
  let from = 0
  while (from < was.length && from < is.length && was[from] === is[from]) from++
  let [to, end] = [was.length, is.length]
  while (to > from && end > from && was[to - 1] === is[end - 1]) {
    to--
    end--
  }
  view.dispatch({
    changes: { from, to, insert: is.slice(from, end) },
    annotations: told.of(true),
  })
}

function positionOf(state: EditorState, line: number, col: number): number {
  const at = state.doc.line(Math.min(Math.max(line, 1), state.doc.lines))
  return Math.min(at.from + Math.max(col - 1, 0), at.to)
}

function lintOf(state: EditorState, one: Diagnostic): Lint {
  const from = positionOf(state, one.line, one.col)
  const end = positionOf(state, one.end.line, one.end.col)
  const to = end > from ? end : (state.wordAt(from)?.to ?? state.doc.lineAt(from).to)
  const hint = one.hint === undefined ? '' : ` (${one.hint})`
  return {
    from,
    to,
    severity: one.severity,
    message: one.message,
    source: one.code,
    renderMessage: () => saidElement(`${one.message}${hint}`),
  }
}

function goTo(view: EditorView, line: number, col: number): void {
  const anchor = positionOf(view.state, line, col)
  view.dispatch({
    selection: { anchor },
    effects: EditorView.scrollIntoView(anchor, { y: 'center' }),
  })
  view.focus()
}
