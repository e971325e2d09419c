import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { useSearchParams } from 'wouter-preact'
import type { Diagnostic } from '../../client/api.ts'
import { call, type Failure, hasRole } from '../data/api.ts'
import { Empty, Loaded, Problem } from '../parts/states.tsx'
import { baseRevision, changesOf, draftFiles, draftSent, type Kept, useBase } from './base.ts'
import { type Check, useCheck } from './check.ts'
import { change, type DraftFile } from './draft.ts'
import { type Editor, openEditor } from './editor.ts'
import { FileList } from './file-list.tsx'
import { Findings } from '../parts/findings.tsx'
import { DraftNotes } from './notes.tsx'
import { Results } from './tests.tsx'

// The files of a policy as somebody writes them. What is typed is a draft and changes nothing until it is published; the
// gate checks it whole, since what one file says may be wrong by another.

interface Place {
  readonly path: string
  readonly line: number
  readonly col: number
}

/** The editor, with what the gate says of what is written. */
export function Edit() {
  const base = useBase()
  return (
    <section aria-label="Edit">
      <DraftNotes />
      <Loaded of={base}>
        {(kept) =>
          // Not what was loaded before, while what the draft is of by now is on its way.
          kept.revision === baseRevision() ? <Writing key={kept.revision} kept={kept} /> : null
        }
      </Loaded>
    </section>
  )
}

function Writing({ kept }: { kept: Kept }) {
  const [params, setParams] = useSearchParams()
  const changes = changesOf(kept)
  const files = draftFiles(kept)
  const may = hasRole('operator') && kept.stand_in === undefined
  const check = useCheck(JSON.stringify([...changes]), may && changes.size > 0, () =>
    draftSent(kept),
  )
  const place = useSignal<Place | null>(placeIn(params))
  const tests = useSignal(0)
  const chosen = files.find(({ path }) => path === params.get('file')) ?? files[0]
  const choose = (path: string) =>
    setParams({ view: 'edit', file: path }, { replace: path === params.get('file') })
  const go = ({ file, line, col }: Pick<Diagnostic, 'file' | 'line' | 'col'>) => {
    if (!files.some(({ path }) => path === file)) return
    place.value = { path: file, line, col }
    choose(file)
  }
  const at = useRef({ findings: -1 })
  const step = (by: 1 | -1) => {
    const { findings } = check.of.value
    if (findings.length === 0) return
    const next = at.current.findings + (at.current.findings < 0 && by < 0 ? 0 : by)
    at.current.findings = (next + findings.length) % findings.length
    go(findings[at.current.findings] as Diagnostic)
  }
  const test = () => {
    if (may) tests.value++
  }
  const onKey = (event: KeyboardEvent) => {
    const run = may ? keyed(event, { check: check.run, test, step }) : undefined
    if (!run) return
    event.preventDefault()
    event.stopPropagation()
    void run()
  }
  return (
    <div class="writing" onKeyDownCapture={onKey}>
      <Stand kept={kept} />
      <FileList kept={kept} files={files} chosen={chosen} may={may} onChoose={choose} />
      <div class="text">
        <Tools kept={kept} chosen={chosen} may={may} check={check} onTest={test} />
        {chosen === undefined ? (
          <Empty>There is no file.</Empty>
        ) : (
          <Text kept={kept} file={chosen} may={may} check={check} place={place.value} />
        )}
        <Wrong check={check} onGo={go} />
        {tests.value === 0 ? null : (
          <section aria-label="Tests of the draft">
            <h2>Tests of the draft</h2>
            <Results key={tests.value} files={async () => draftSent(kept)} onGo={go} />
          </section>
        )}
      </div>
    </div>
  )
}

function placeIn(params: URLSearchParams): Place | null {
  const line = Number(params.get('line'))
  const path = params.get('file')
  return path !== null && line > 0 ? { path, line, col: 1 } : null
}

interface Keyed {
  readonly check: () => Promise<void>
  readonly test: () => void
  readonly step: (by: 1 | -1) => void
}

function keyed(
  { key, ctrlKey, metaKey, altKey }: KeyboardEvent,
  { check, test, step }: Keyed,
): (() => void | Promise<void>) | undefined {
  if ((ctrlKey || metaKey) && key.toLowerCase() === 's') return check
  if ((ctrlKey || metaKey) && key === 'Enter') return test
  if (altKey && key === 'ArrowDown') return () => step(1)
  if (altKey && key === 'ArrowUp') return () => step(-1)
  return undefined
}

function Stand({ kept }: { kept: Kept }) {
  if (!hasRole('operator')) return <p class="muted">Editing needs the role operator.</p>
  if (kept.stand_in === undefined) return null
  return (
    <p class="note">This policy was loaded by a path, for a trial, and cannot be edited here.</p>
  )
}

function Tools({
  kept,
  chosen,
  may,
  check,
  onTest,
}: {
  kept: Kept
  chosen: DraftFile | undefined
  may: boolean
  check: Check
  onTest: () => void
}) {
  const failure = useSignal<Failure | null>(null)
  const text = chosen?.change === 'removed' ? undefined : chosen?.text
  const format = async () => {
    if (chosen === undefined || text === undefined) return
    failure.value = null
    try {
      const { files } = await call('POST /policy/format', {
        body: { files: { [chosen.path]: text } },
      })
      change(kept.revision, kept.files, [[chosen.path, files[chosen.path] ?? text]])
    } catch (error) {
      failure.value = error as Failure
    }
  }
  return (
    <>
      <div class="row" role="toolbar" aria-label="The draft">
        <button
          type="button"
          disabled={!may}
          aria-keyshortcuts="Control+S Meta+S"
          onClick={() => void check.run()}
        >
          Check <kbd aria-hidden="true">Ctrl S</kbd>
        </button>
        <button
          type="button"
          disabled={!may}
          aria-keyshortcuts="Control+Enter Meta+Enter"
          onClick={onTest}
        >
          Run its tests <kbd aria-hidden="true">Ctrl ↵</kbd>
        </button>
        <button type="button" disabled={!may || text === undefined} onClick={() => void format()}>
          Format
        </button>
        <span role="status" class="muted">
          {check.of.value.said}
        </span>
      </div>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </>
  )
}

/** One file in the editor, which is another one for another file. */
function Text({
  kept,
  file,
  may,
  check,
  place,
}: {
  kept: Kept
  file: DraftFile
  may: boolean
  check: Check
  place: Place | null
}) {
  const at = useRef<HTMLDivElement>(null)
  const editor = useRef<Editor | null>(null)
  const { path, text } = file
  const isText = text !== undefined
  const isGone = file.change === 'removed'
  useEffect(() => {
    if (!at.current || text === undefined) return undefined
    const opened = openEditor({
      at: at.current,
      path,
      text,
      isReadOnly: !may || isGone,
      onChange: (next) => change(kept.revision, kept.files, [[path, next]]),
    })
    editor.current = opened
    return () => {
      editor.current = null
      opened.close()
    }
  }, [path, isText, isGone, may])
  useEffect(() => {
    if (text !== undefined) editor.current?.setText(text)
  }, [text])
  const { findings } = check.of.value
  useEffect(() => {
    editor.current?.setFindings(findings.filter((one) => one.file === path))
  }, [findings, path, isText, isGone, may])
  useEffect(() => {
    if (place?.path === path) editor.current?.goTo(place.line, place.col)
  }, [place, path])
  if (!isText) {
    return <Empty>This is no text, or too large for this page. It stays as it is.</Empty>
  }
  return (
    <>
      {isGone ? <p class="note">Removed in the draft.</p> : null}
      <div class="editor" ref={at} />
    </>
  )
}

function Wrong({ check: { of }, onGo }: { check: Check; onGo: (one: Diagnostic) => void }) {
  const { findings, failure } = of.value
  return (
    <section aria-label="Findings">
      {failure ? <Problem failure={failure} /> : null}
      {findings.length === 0 ? null : (
        <>
          <h2>
            {findings.length === 1 ? '1 finding' : `${findings.length} findings`}{' '}
            <span class="muted">
              next: <kbd>Alt ↓</kbd> before: <kbd>Alt ↑</kbd>
            </span>
          </h2>
          <Findings of={findings} onGo={onGo} />
        </>
      )}
    </section>
  )
}
