import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import { changed, countsNow, isPastKnown, KEPT, keptRows, type Row } from '../data/live.ts'
import { Filters, useFilters } from '../parts/filters.tsx'
import { useKeys } from '../parts/keys.ts'
import { Empty } from '../parts/states.tsx'
import { Pill, Said } from '../parts/text.tsx'
import { Windowed } from '../parts/window.tsx'

const KINDS = [
  ...['decision', 'outcome', 'approval', 'alert', 'agent', 'key', 'policy', 'kill_switch'],
  ...['session', 'audit', 'plan', 'turn'],
]
const FILTERS = [
  { name: 'types', label: 'Kind', options: KINDS },
  { name: 'effect', label: 'Decided', options: ['allow', 'deny', 'require_approval'] },
  { name: 'agent', label: 'Agent' },
  { name: 'tool', label: 'Tool' },
  { name: 'q', label: 'Text has' },
]
const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hour12: false,
})

/** What happens now, newest first: as the gate puts it on record, and no later than a look away. */
export function Live() {
  const { query } = useFilters(FILTERS)
  const paused = useSignal<readonly Row[] | null>(null)
  const read = useSignal<readonly Row[] | null>(null) // while somebody is not at the top, nothing moves
  const toggle = () => {
    paused.value = paused.value ? null : [...keptRows()]
  }
  useKeys({ p: toggle })
  void changed.value // looks again, at most a few times a second
  const counts = countsNow()
  const held = paused.value ?? read.value
  const kept = held ?? keptRows()
  const rows = kept.filter((row) => isWanted(row, query)).reverse()
  const newest = kept.at(-1)?.seq ?? 0
  const back = held ? keptRows().filter(({ seq }) => seq > newest).length : 0
  return (
    <>
      <Filters of={FILTERS} />
      <div class="row">
        <button type="button" aria-pressed={paused.value !== null} onClick={toggle}>
          {paused.value ? 'Go on' : 'Pause'} <kbd aria-hidden="true">p</kbd>
        </button>
        <span role="status">
          {back > 0 ? `${back >= KEPT ? `${KEPT} or more` : back} held back` : ''}
        </span>
      </div>
      <p class="counts">
        <Count label="entries" of={counts.entries} /> <Count label="allow" of={counts.allow} />{' '}
        <Count label="deny" of={counts.deny} /> <Count label="held" of={counts.require_approval} />{' '}
        <span class="muted">
          since this page was opened; the newest {KEPT} are kept, {rows.length} match
        </span>
      </p>
      {rows.length === 0 ? (
        <Nothing />
      ) : (
        <Windowed
          of={rows}
          keyOf={({ seq }) => seq}
          label="Entries"
          onTop={(above) => {
            read.value = above > 0 ? (read.value ?? [...keptRows()]) : null
          }}
        >
          {(row) => <Line row={row} />}
        </Windowed>
      )}
    </>
  )
}

const Count = ({ label, of }: { label: string; of: number }) => (
  <span>
    {label} <strong data-count={label}>{of}</strong>
  </span>
)

function Nothing() {
  if (!isPastKnown.value) return <div class="skeleton" role="status" aria-label="loading" />
  return (
    <Empty>
      No entry matches. An agent's call makes some:
      <pre>
        curl -H "X-API-Key: $AGENT_KEY" -H 'Content-Type: application/json' {location.origin}/act -d
        '{'{"tool": "…", "args": {}}'}'
      </pre>
    </Empty>
  )
}

function Line({ row }: { row: Row }) {
  const href = row.actionId === '' ? `/audit?seq=${row.seq}` : `/actions/${row.actionId}`
  return (
    <Link href={href} data-row class="line">
      <time dateTime={row.at} title={row.at}>
        {row.at === '' ? '' : CLOCK.format(new Date(row.at))}
      </time>
      <span class="kind">{row.kind}</span>
      <span>{row.kind === 'decision' && row.effect !== '' ? <Pill of={row.effect} /> : null}</span>
      <span class="cut">
        <Said inline text={row.tool} />
      </span>
      <span class="cut">
        <Said inline text={row.agent} />
      </span>
      <span class="cut muted">
        <Said inline text={row.why} />
      </span>
    </Link>
  )
}

function isWanted(row: Row, query: Readonly<Record<string, string>>): boolean {
  const { types = '', effect = '', agent = '', tool = '', q = '' } = query
  if (types !== '' && row.kind !== types && !row.kind.startsWith(`${types}.`)) return false
  if (effect !== '' && row.effect !== effect) return false
  if (agent !== '' && row.agent !== agent && row.agentId !== agent) return false
  if (tool !== '' && row.tool !== tool) return false
  const text = q.toLowerCase()
  return (
    text === '' ||
    [row.kind, row.tool, row.agent, row.why, row.actionId].some((one) =>
      one.toLowerCase().includes(text),
    )
  )
}
