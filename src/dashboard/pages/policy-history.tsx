import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Older, useFilters } from '../parts/filters.tsx'
import { Empty, Loaded, Part } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

const NO_FILTERS: [] = []

/** What became the policy, and the way back to it. */
export function History() {
  const { query, key } = useFilters(NO_FILTERS)
  const list = useResource(
    `history ${key}`,
    () => call('GET /policy/revisions', { query: { limit: 25, ...query } }),
    ['policy'],
  )
  const back = useSignal<string | null>(null)
  const may = hasRole('operator')
  return (
    <section aria-label="History">
      <Loaded of={list}>
        {({ publications, next_cursor: cursor }) => (
          <>
            {publications.length === 0 ? <Empty>Nothing was published yet.</Empty> : null}
            <ul class="cards">
              {publications.map((one) => (
                <li key={one.n}>
                  <Published
                    one={one}
                    onBack={() => {
                      back.value = one.revision
                    }}
                  />
                </li>
              ))}
            </ul>
            {cursor === null ? null : <Older cursor={cursor} />}
          </>
        )}
      </Loaded>
      {may ? null : <p class="muted">Rolling back needs the role operator.</p>}
      {back.value === null ? null : (
        <RollBack
          revision={back.value}
          onClose={() => {
            back.value = null
            void list.load()
          }}
        />
      )}
    </section>
  )
}

type Publication = Calls['GET /policy/revisions']['answer']['publications'][number]

function Published({ one, onBack }: { one: Publication; onBack: () => void }) {
  return (
    <>
      <strong>
        {one.n}. <code title={one.revision}>{one.revision.slice(0, 12)}</code>
      </strong>{' '}
      {one.retired_at === null ? <Pill of="current" /> : null} {one.source}{' '}
      <When at={one.published_at} /> by <Said inline text={one.author ?? 'nobody'} />
      {one.note === null ? null : (
        <p>
          <Said text={one.note} />
        </p>
      )}
      <p class="muted">
        <Said inline text={one.files_changed.join(', ') || 'no file changed'} />
      </p>
      <div class="row">
        {one.parent === null ? null : (
          <Link data-row href={`/policies?view=history&from=${one.parent}&to=${one.revision}`}>
            What it changed
          </Link>
        )}
        <Link href={`/policies?revision=${one.revision}`}>Its files</Link>
        {one.retired_at === null ? null : (
          <button type="button" disabled={!hasRole('operator')} onClick={onBack}>
            Roll back to {one.n}
          </button>
        )}
      </div>
    </>
  )
}

function RollBack({ revision, onClose }: { revision: string; onClose: () => void }) {
  const reason = useSignal('')
  const roll = async () => {
    await call('POST /policy/rollback', { body: { revision, reason: reason.value } })
  }
  return (
    <Confirm
      danger
      title="Roll back?"
      confirm="Roll back now"
      disabled={reason.value.trim() === ''}
      onClose={onClose}
      onConfirm={roll}
    >
      <p>
        <code>{revision.slice(0, 12)}</code> becomes the policy again, as what it was: a publication
        of its own.
      </p>
      <TextField required label="Reason" of={reason} />
    </Confirm>
  )
}

/** One revision against another: what it means first, then the lines. */
export function Change({ from, to }: { from: string; to: string | null }) {
  const diff = useResource(`${from} ${to}`, () =>
    call('GET /policy/diff', { query: { from, to: to ?? undefined } }),
  )
  return (
    <Part
      label="Change"
      of={diff}
      before={
        <>
          <p>
            <Link href="/policies?view=history">History</Link>
          </p>
        </>
      }
    >
      {({ files, meaning }) => (
        <>
          <h2>What it means</h2>
          {meaning.length === 0 ? <Empty>Nothing that decides differs.</Empty> : null}
          <ul class="cards">
            {meaning.map((one) => (
              <li key={`${one.kind} ${one.name}`}>
                <Pill of={one.change} /> {one.kind} <Said inline text={one.name} />
                <details>
                  <summary>before and after</summary>
                  <Shown label={`${one.name} before`} value={one.before} />
                  <Shown label={`${one.name} after`} value={one.after} />
                </details>
              </li>
            ))}
          </ul>
          <h2>Files</h2>
          {files.map((one) => (
            <section key={one.path} aria-label={one.path}>
              <h3>
                <Said inline text={one.path} /> <Pill of={one.change} />
              </h3>
              {one.diff === null ? (
                <Empty>No text, or too much of it differs.</Empty>
              ) : (
                <Shown label={`difference of ${one.path}`} value={one.diff} />
              )}
            </section>
          ))}
        </>
      )}
    </Part>
  )
}
