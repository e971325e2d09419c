import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Agent } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Loaded } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { setTo } from '../parts/doing.ts'

const FILTERS = [
  {
    name: 'status',
    label: 'Status',
    options: ['initializing', 'active', 'paused', 'stopped', 'retired'],
  },
  { name: 'role', label: 'Role' },
  { name: 'owner', label: 'Owner' },
  { name: 'q', label: 'Name has' },
]

const SLOW_MS = 2_000

/** Who may act, for whom, by which limits, and how to make one wait. */
export function Agents() {
  const { query, key } = useFilters(FILTERS)
  const list = useResource(
    key,
    () => call('GET /api/v1/agents', { query: { limit: 50, activity: true, ...query } }),
    ['agent', 'decision'],
    SLOW_MS,
  )
  return (
    <>
      <Filters of={FILTERS} />
      <Loaded of={list}>
        {({ agents, next_cursor: cursor }) => (
          <Cards of={agents} empty="No agent matches." cursor={cursor}>
            {(one) => <One agent={one} again={list.load} />}
          </Cards>
        )}
      </Loaded>
    </>
  )
}

function One({ agent, again }: { agent: Agent; again: () => Promise<void> }) {
  const asking = useSignal(false)
  const reason = useSignal('')
  const action = agent.status === 'paused' ? 'resume' : 'pause'
  const change = async () => {
    const body = { action, reason: reason.value }
    await call('POST /api/v1/agents/{id}/action', { path: { id: agent.id }, body })
    await again()
  }
  return (
    <>
      <Facts of={agent} />
      <div class="row">
        <Link href={`/actions?agent=${agent.id}`}>Its actions</Link>
        <Link href={`/kill?agent=${encodeURIComponent(agent.name)}`}>Stop it …</Link>
        {['active', 'paused'].includes(agent.status) ? (
          <button type="button" disabled={!hasRole('operator')} onClick={setTo(asking, true)}>
            {action === 'pause' ? 'Pause' : 'Resume'}
          </button>
        ) : null}
      </div>
      {asking.value ? (
        <Confirm
          title={action === 'pause' ? 'Pause this agent?' : 'Let this agent act again?'}
          confirm={action === 'pause' ? 'Pause it' : 'Resume it'}
          danger={action === 'pause'}
          onConfirm={change}
          onClose={setTo(asking, false)}
        >
          <TextField label="Reason" of={reason} />
        </Confirm>
      ) : null}
    </>
  )
}

const EFFECTS = [
  ['allow', 'allowed'],
  ['require_approval', 'held'],
  ['deny', 'denied'],
] as const

/** When it was seen last, and what was decided for it today, each figure with the entries that it counts. */
function Active({ of, id }: { of: NonNullable<Agent['activity']>; id: string }) {
  const day = `${new Date().toISOString().slice(0, 10)}T00:00:00Z`
  const entries = `/audit?kind=decision&agent=${id}&since=${encodeURIComponent(day)}&decision=`
  return (
    <>
      <dt>last seen</dt>
      <dd>{of.last_seen_at === null ? 'never' : <When at={of.last_seen_at} />}</dd>
      <dt>today (UTC)</dt>
      <dd class="row">
        {EFFECTS.map(([effect, word]) => (
          <Link key={effect} href={`${entries}${effect}`}>
            {of.today[effect]} {word}
          </Link>
        ))}
      </dd>
    </>
  )
}

function Facts({ of: agent }: { of: Agent }) {
  return (
    <>
      <strong>
        <Said inline text={agent.name} />
      </strong>{' '}
      <Pill of={agent.status} />{' '}
      {agent.status_reason ? (
        <span class="muted">
          <Said inline text={agent.status_reason} />
        </span>
      ) : null}
      <dl>
        <dt>owner</dt>
        <dd>
          <Said inline text={agent.owner} />
        </dd>
        <dt>roles</dt>
        <dd>
          <Said inline text={agent.roles.join(', ')} />
        </dd>
        <dt>monthly budget</dt>
        <dd>{agent.monthly_budget ?? 'no bound'}</dd>
        {agent.activity ? <Active of={agent.activity} id={agent.id} /> : null}
      </dl>
    </>
  )
}
