import { useSignal } from '@preact/signals'
import { Link, useSearchParams } from 'wouter-preact'
import type { AuditEntry } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Filters, Older, useFilters } from '../parts/filters.tsx'
import { Lazy } from '../parts/lazy.tsx'
import { Empty, Loaded, Part } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

const FILTERS = [
  { name: 'kind', label: 'Kind' },
  { name: 'decision', label: 'Decided', options: ['allow', 'deny', 'require_approval'] },
  { name: 'agent', label: 'Agent' },
  { name: 'tool', label: 'Tool' },
  { name: 'action', label: 'Action' },
  { name: 'since', label: 'From (UTC)' },
  { name: 'until', label: 'Until (UTC)' },
]

/** Who did what, and whether that can be proved. */
export function Audit() {
  const [params] = useSearchParams()
  const seq = params.get('seq')
  return (
    <>
      {seq === null ? <Verdicts /> : null}
      {seq === null ? <Record /> : <One seq={seq} />}
    </>
  )
}

function Verdicts() {
  const asked = useSignal<'gate' | 'browser' | null>(null)
  const again = useSignal(0)
  const ask = (whom: 'gate' | 'browser') => {
    again.value++
    asked.value = whom
  }
  return (
    <section aria-label="Verification">
      <div class="row">
        <button type="button" onClick={() => ask('gate')}>
          Verify now
        </button>
        <button type="button" class="main" onClick={() => ask('browser')}>
          Verify in my browser
        </button>
        <a href="/audit/export" download="record.ndjson">
          Export
        </a>
      </div>
      {asked.value === 'gate' ? <ByGate key={again.value} /> : null}
      {asked.value === 'browser' ? (
        <Lazy key={again.value} load={async () => (await import('./audit-proof.tsx')).Proof} />
      ) : null}
      <Checkpoints />
    </section>
  )
}

function ByGate() {
  const verdict = useResource('verify', () => call('GET /audit/verify'))
  return (
    <Loaded of={verdict}>
      {(one) => (
        <div class="note" role="status">
          <p>
            The gate says: integrity <Pill of={one.integrity} /> completeness{' '}
            <Pill of={one.completeness} />, {one.entries} entries, signed up to {one.signed_size}
          </p>
          <Findings of={one.findings} />
          {one.losses.map((loss) => (
            <p key={loss.signature}>
              {loss.lost_size} to {loss.size} were lost and accepted{' '}
              <When exact at={loss.accepted_at} />: <Said inline text={loss.reason} />
            </p>
          ))}
        </div>
      )}
    </Loaded>
  )
}

const Findings = ({
  of,
}: {
  of: readonly { readonly seq: string; readonly message: string }[]
}) => (
  <ul>
    {of.map(({ seq, message }) => (
      <li key={`${seq} ${message}`}>
        <Link href={`/audit?seq=${seq}`}>entry {seq}</Link> <Said inline text={message} />
      </li>
    ))}
  </ul>
)

function Checkpoints() {
  const list = useResource(
    'checkpoints',
    () => call('GET /audit/checkpoints', { query: { limit: 10 } }),
    ['audit'],
  )
  return (
    <details>
      <summary>Signed checkpoints</summary>
      <Loaded of={list}>
        {({ checkpoints }) =>
          checkpoints.length === 0 ? (
            <Empty>Nothing is signed yet.</Empty>
          ) : (
            <ul class="cards">
              {checkpoints.map((one) => (
                <li key={one.size}>
                  <strong>{one.size}</strong> entries, <When at={one.at} />, by key{' '}
                  <code>{one.key_id}</code>: <code>{one.head}</code>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </details>
  )
}

function Record() {
  const { query, key } = useFilters(FILTERS)
  const list = useResource(key, () =>
    call('GET /audit/timeline', { query: { limit: 50, ...query } }),
  )
  return (
    <Part
      label="Entries"
      of={list}
      before={
        <>
          <Filters of={FILTERS} />
        </>
      }
    >
      {({ entries, next_cursor: cursor }) => (
        <>
          {entries.length === 0 ? <Empty>No entry matches.</Empty> : null}
          <ul class="cards">
            {entries.map((one) => (
              <li key={one.seq}>
                <Brief entry={one} />
              </li>
            ))}
          </ul>
          {cursor === null ? null : <Older cursor={cursor} />}
        </>
      )}
    </Part>
  )
}

const textOf = (entry: AuditEntry, name: string): string => {
  const value = entry[name]
  return typeof value === 'string' ? value : ''
}

function Brief({ entry }: { entry: AuditEntry }) {
  const effect = textOf(entry, 'effect')
  return (
    <>
      <Link href={`/audit?seq=${entry.seq}`}>
        <strong>{entry.kind}</strong> {entry.seq}
      </Link>
      {effect === '' ? null : <Pill of={effect} />} <Said inline text={textOf(entry, 'tool')} />{' '}
      <Said inline text={textOf(entry, 'agent_name') || textOf(entry, 'agent_id')} />{' '}
      <Said inline text={textOf(entry, 'actor')} />{' '}
      <span class="muted">
        <When at={entry.at} /> · <code>{entry.hash.slice(0, 12)}</code>
      </span>
    </>
  )
}

function One({ seq }: { seq: string }) {
  const one = useResource(seq, () => call('GET /audit/entries/{seq}', { path: { seq } }))
  return (
    <Part
      label="One entry"
      of={one}
      before={
        <>
          <p class="row">
            <Link href="/audit">All entries</Link>
            <Link href={`/audit?seq=${Number(seq) - 1}`}>The one before</Link>
            <Link href={`/audit?seq=${Number(seq) + 1}`}>The next one</Link>
          </p>
        </>
      }
    >
      {(entry) => (
        <>
          <h2>
            Entry {entry.seq}: {entry.kind}
          </h2>
          <dl>
            <dt>when</dt>
            <dd>
              <When exact at={entry.at} />
            </dd>
            <dt>hash</dt>
            <dd>
              <code>{entry.hash}</code>
            </dd>
            <dt>continues</dt>
            <dd>
              <code>{entry.prev_hash}</code>
            </dd>
          </dl>
          {textOf(entry, 'action_id') === '' ? null : (
            <p>
              <Link href={`/actions/${textOf(entry, 'action_id')}`}>The action's story</Link>
            </p>
          )}
          <Shown label="What is on record" value={entry} />
        </>
      )}
    </Part>
  )
}
