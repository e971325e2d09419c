import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, Failure, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Findings } from '../parts/findings.tsx'
import { Empty, Loaded, Problem } from '../parts/states.tsx'
import { Pill, Said } from '../parts/text.tsx'
import { draftNow } from './base.ts'
import { openComparison } from './compare.ts'
import { discard, draft, type KeptFile, live } from './draft.ts'
import { HeldOne, HeldPublishes } from './held.tsx'
import { DraftNotes } from './notes.tsx'
import { setTo } from '../parts/doing.ts'

/** What the draft would change of the live policy, the way to make it so, and what waits for other people. */
export function Publish() {
  const [params] = useSearchParams()
  const id = params.get('id')
  const answer = useSignal<Answer | null>(null)
  if (id !== null) return <HeldOne id={id} />
  return (
    <>
      <section aria-label="Publish">
        <DraftNotes />
        {answer.value ? <Outcome of={answer.value} /> : null}
        {draft.value ? (
          <Changes answer={answer} />
        ) : (
          <Empty>There is no draft: nothing differs from the live policy.</Empty>
        )}
      </section>
      <HeldPublishes />
    </>
  )
}

function Changes({ answer }: { answer: Signal<Answer | null> }) {
  const revision = live.value ?? ''
  const files = useResource(`live ${revision}`, () =>
    call('GET /policy/files', { query: { revision } }),
  )
  const isShort = useSignal(true)
  return (
    <>
      <Publishing answer={answer} />
      <h2>What it changes of the live policy</h2>
      <label>
        <input
          type="checkbox"
          checked={!isShort.value}
          onChange={(event) => {
            isShort.value = !event.currentTarget.checked
          }}
        />{' '}
        with all lines
      </label>
      <Loaded of={files}>
        {(kept) => <Compared files={kept.files} isShort={isShort.value} />}
      </Loaded>
    </>
  )
}

function Compared({ files, isShort }: { files: readonly KeptFile[]; isShort: boolean }) {
  const changes = [...(draft.value?.changes ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
  return (
    <>
      {changes.map(([path, to]) => {
        const was = files.find((one) => one.path === path)
        const what = to === null ? 'removed' : was ? 'changed' : 'added'
        return (
          <section key={path} aria-label={path}>
            <h3>
              <Link href={`/policies?view=edit&file=${encodeURIComponent(path)}`}>
                <Said inline text={path} />
              </Link>{' '}
              <Pill of={what} />
            </h3>
            {was && was.content === undefined ? (
              <Empty>This is no text, or too large for this page.</Empty>
            ) : (
              <Compare path={path} before={was?.content ?? ''} after={to ?? ''} isShort={isShort} />
            )}
          </section>
        )
      })}
    </>
  )
}

function Compare({
  path,
  before,
  after,
  isShort,
}: {
  path: string
  before: string
  after: string
  isShort: boolean
}) {
  const at = useRef<HTMLDivElement>(null)
  useEffect(
    () =>
      at.current ? openComparison({ at: at.current, path, before, after, isShort }) : undefined,
    [path, before, after, isShort],
  )
  return <div class="editor" ref={at} />
}

type Answer = Calls['PUT /policy/files']['answer']

async function put(base: string, note: string, isDry: boolean): Promise<Answer> {
  const files = await draftNow()
  return call('PUT /policy/files', {
    query: isDry ? { dry_run: true } : {},
    headers: { 'if-match': `"${base}"` },
    body: { files, ...(note.trim() === '' ? {} : { note: note.trim() }) },
  })
}

/** The way to publish: rehearsed as often as wanted, and done once. */
function Publishing({ answer }: { answer: Signal<Answer | null> }) {
  const now = draft.value
  const asked = useSignal(false)
  const failure = useSignal<Failure | null>(null)
  const isBehind = live.value !== null && now?.base !== live.value
  const may = hasRole('admin') && !isBehind && now?.conflicts.length === 0
  const rehearse = async () => {
    answer.value = failure.value = null
    try {
      answer.value = await put(now?.base ?? '', '', true)
    } catch (error) {
      failure.value = error as Failure
    }
  }
  return (
    <>
      <div class="row">
        <button type="button" disabled={!may} onClick={() => void rehearse()}>
          Rehearse
        </button>
        <button type="button" class="main" disabled={!may} onClick={setTo(asked, true)}>
          Publish …
        </button>
        {hasRole('admin') ? null : <span class="muted">Publishing needs the role admin.</span>}
        {isBehind ? <span>Carry the draft over first.</span> : null}
      </div>
      {failure.value ? <Problem failure={failure.value} /> : null}
      {asked.value ? (
        <Ask
          base={now?.base ?? ''}
          onClose={setTo(asked, false)}
          onDone={(done) => {
            answer.value = done
          }}
        />
      ) : null}
    </>
  )
}

function Ask({
  base,
  onClose,
  onDone,
}: {
  base: string
  onClose: () => void
  onDone: (answer: Answer) => void
}) {
  const note = useSignal('')
  const isStale = useSignal(false)
  const publish = async () => {
    try {
      const sent = draft.value
      const answer = await put(base, note.value, false)
      onDone(answer)
      if ('publish' in answer) return
      live.value = answer.revision // before the stream says so: what is typed next is of it
      if (draft.value === sent) discard()
    } catch (error) {
      isStale.value = error instanceof Failure && error.code === 'stale_revision'
      throw error
    }
  }
  return (
    <Confirm
      title="Publish the draft?"
      confirm="Publish it now"
      onClose={onClose}
      onConfirm={publish}
    >
      <p>
        The gate checks and tests it, and either all of it becomes the policy or nothing. Where
        other people have to agree, it waits for them.
      </p>
      <TextField label="Note: why" of={note} />
      {isStale.value ? (
        <p>
          Another policy became live since the draft was made. Nothing was published and the draft
          is kept: close this, look at what changed there, and carry the draft over.
        </p>
      ) : null}
    </Confirm>
  )
}

function Outcome({ of: answer }: { of: Answer }) {
  if ('publish' in answer) {
    return (
      <div class="note" role="status">
        <p>
          Held, until {answer.publish.quorum} other people agree:{' '}
          <Link href={`/policies?view=publish&id=${answer.publish.id}`}>what they see</Link>. The
          draft stays here until then.
        </p>
      </div>
    )
  }
  const { revision, changed, dry_run: isDry, warnings, unconfirmed } = answer
  const said = isDry
    ? 'It would be published as'
    : changed
      ? 'Published as'
      : 'It was live already:'
  return (
    <div class="note" role="status">
      <p>
        {said} <code title={revision}>{revision.slice(0, 12)}</code>
        {unconfirmed.length === 0 ? '' : `; not confirmed by ${unconfirmed.join(', ')} yet`}
      </p>
      {warnings.length === 0 ? null : <Findings of={warnings} />}
    </div>
  )
}
