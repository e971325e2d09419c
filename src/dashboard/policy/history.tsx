import { useSignal } from '@preact/signals'
import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Older, useFilters } from '../parts/filters.tsx'
import { Empty, Loaded, Part } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { Difference } from './difference.tsx'
import { live } from './draft.ts'

const NO_FILTERS: [] = []

/** What became the policy; or, where the URL names a revision, what came after it. */
export function Past() {
  const [params] = useSearchParams()
  const from = params.get('from')
  return from === null ? <History /> : <Change from={from} to={params.get('to')} />
}

/** What became the policy, and the way back to it. */
function History() {
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
    const body = { revision, reason: reason.value }
    live.value = (await call('POST /policy/rollback', { body })).revision
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
function Change({ from, to }: { from: string; to: string | null }) {
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
      {(both) => <Difference of={both} />}
    </Part>
  )
}
