import { unifiedMergeView } from '@codemirror/merge'
import { EditorState } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { textExtensions } from './editor.ts'
import { HIDDEN } from '../parts/text.tsx'

// What differs between two texts, to be read. Removed lines are drawn by the merge view, past the marks that the editor
// has for characters that are not seen: so those are spelt out in both texts before.

const CONTEXT_LINES = 3

interface Options {
  readonly at: HTMLElement
  readonly path: string
  readonly before: string
  readonly after: string
  /** Whether lines that are the same are left out. */
  readonly isShort: boolean
}

/** Shows it; answers how to end that. */
export function openComparison({ at, path, before, after, isShort }: Options): () => void {
  const [was, is] = sameEnds(before, after).map(spelt) as [string, string]
  const collapse = { margin: CONTEXT_LINES, minSize: 2 * CONTEXT_LINES }
  const view = new EditorView({
    parent: at,
    state: EditorState.create({
      doc: is,
      extensions: [
        textExtensions(path, is, `Difference of ${path}`),
        EditorState.readOnly.of(true),
        unifiedMergeView({
          original: was,
          mergeControls: false,
          syntaxHighlightDeletions: false,
          ...(isShort ? { collapseUnchanged: collapse } : {}),
        }),
      ],
    }),
  })
  return () => view.destroy()
}

/** Ends of lines are no difference where both texts have the same. */
const sameEnds = (before: string, after: string): [string, string] =>
  before.includes('\r\n') && after.includes('\r\n')
    ? [before.replaceAll('\r\n', '\n'), after.replaceAll('\r\n', '\n')]
    : [before, after]

const EACH_HIDDEN = new RegExp(HIDDEN.source, 'gu')

const spelt = (text: string): string =>
  text.replaceAll(
    EACH_HIDDEN,
    (char) => `⟦U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟧`,
  )
