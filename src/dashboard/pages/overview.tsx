import type { ComponentChildren } from 'preact'
import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { readiness } from '../data/readiness.ts'
import { useResource } from '../data/resource.ts'
import { Bars, labelsOf } from '../parts/chart.tsx'
import { Choice } from '../parts/dialog.tsx'
import { useKeys } from '../parts/keys.ts'
import { Part } from '../parts/states.tsx'
import { Pill, RowHead, Said, When, span } from '../parts/text.tsx'

const HOUR_MS = 3_600_000
const RANGES: Readonly<Record<string, number>> = {
  '1h': HOUR_MS,
  '24h': 24 * HOUR_MS,
  '7d': 168 * HOUR_MS,
}
const STEPS = 48
const SLOW_MS = 5_000
const SHOWN = 5

/** Whether it is well, and what somebody has to do now. */
export function Overview() {
  return (
    <>
      <Attention />
      <Decisions />
      <div class="pair">
        <Spenders />
        <Health />
      </div>
    </>
  )
}

const KINDS = ['approval', 'alert', 'agent', 'kill_switch', 'policy', 'decision', 'outcome']

function Attention() {
  const all = useResource(
    'attention',
    async () => {
      const [approvals, alerts, paused, unknown, kill, state] = await Promise.all([
        call('GET /approvals', { query: { status: 'pending', order: 'expiry', limit: SHOWN } }),
        call('GET /api/v1/alerts', { query: { state: 'open', limit: SHOWN } }),
        call('GET /api/v1/agents', { query: { status: 'paused', limit: SHOWN } }),
        call('GET /actions', { query: { status: 'indeterminate', limit: 1 } }),
        call('GET /kill-switch'),
        call('GET /state'),
      ])
      return { approvals, alerts, paused, unknown, kill, state }
    },
    KINDS,
  )
  return (
    <Part label="What needs somebody" of={all}>
      {(data) => <Needs {...data} />}
    </Part>
  )
}

type Answer<N extends keyof Calls> = Calls[N]['answer']

interface Needing {
  readonly approvals: Answer<'GET /approvals'>
  readonly alerts: Answer<'GET /api/v1/alerts'>
  readonly paused: Answer<'GET /api/v1/agents'>
  readonly unknown: Answer<'GET /actions'>
  readonly kill: Answer<'GET /kill-switch'>
  readonly state: Answer<'GET /state'>
}

function Needs({ approvals, alerts, paused, unknown, kill, state }: Needing) {
  const first = approvals.approvals[0]
  const more = paused.next_cursor === null ? '' : ' or more'
  const stopped = kill.known ? kill.switches.length : 1
  return (
    <ul class="tiles">
      <Tile n={1} to="/approvals" of={approvals.pending} what="wait for a person" tone="warn">
        {first ? (
          <>
            first over <When at={first.expires_at} />: <Said inline text={first.tool} />
          </>
        ) : (
          'nothing is held'
        )}
      </Tile>
      <Tile n={2} to="/alerts?state=open" of={alerts.open} what="alerts are open" tone="bad">
        {alerts.alerts[0] ? <Said inline text={alerts.alerts[0].message} /> : 'nobody has to look'}
      </Tile>
      <Tile
        n={3}
        to="/agents?status=paused"
        of={`${paused.agents.length}${more}`}
        what="agents are paused"
        tone="warn"
      >
        <Said inline text={paused.agents.map(({ name }) => name).join(', ') || 'all may act'} />
      </Tile>
      <Tile
        n={4}
        to="/actions?status=indeterminate"
        of={unknown.total}
        what="have an unknown outcome"
        tone="bad"
      >
        {unknown.total === 0 ? 'each effect is known' : 'somebody has to say what became of them'}
      </Tile>
      <Tile n={5} to="/kill" of={stopped} what="kill switches are engaged" tone="bad">
        <Said
          inline
          text={
            kill.known
              ? (kill.switches[0]?.reason ?? 'nothing is stopped')
              : 'not known: nothing passes'
          }
        />
      </Tile>
      <Tile
        n={6}
        to="/audit"
        of={state.audit.size}
        what="entries on record"
        tone={state.audit.degraded ? 'bad' : undefined}
      >
        {state.audit.degraded ? 'the record cannot be written' : 'the record is written'}
      </Tile>
    </ul>
  )
}

interface TileProps {
  readonly n: number
  readonly to: string
  readonly of: number | string
  readonly what: string
  readonly tone?: 'bad' | 'warn' | undefined
  readonly children: ComponentChildren
}

function Tile({ n, to, of, what, tone, children }: TileProps) {
  useKeys({ [n]: () => document.getElementById(`tile-${n}`)?.click() })
  const isCalm = of === 0 || of === '0'
  return (
    <li>
      <Link
        id={`tile-${n}`}
        href={to}
        class={isCalm ? 'tile' : `tile ${tone ?? ''}`}
        aria-keyshortcuts={String(n)}
        data-row
      >
        <strong>{of}</strong> {what}
        <span class="muted">{children}</span>
      </Link>
    </li>
  )
}

function Decisions() {
  const [params, setParams] = useSearchParams()
  const t = params.get('t') ?? '24h'
  const ms = RANGES[t] ?? 24 * HOUR_MS
  const series = useResource(
    t,
    async () => {
      const step = Math.round(ms / STEPS / 1000)
      const since = new Date(Date.now() - ms).toISOString()
      const query = { since, step_s: step }
      const [effects, tools] = await Promise.all([
        call('GET /stats/series', { query: { ...query, by: 'effect' } }),
        call('GET /stats/series', { query: { ...query, by: 'tool' } }),
      ])
      return { effects, tools }
    },
    ['decision'],
    SLOW_MS,
  )
  return (
    <Part
      label="Decisions"
      of={series}
      before={
        <>
          <h2>Decisions</h2>
          <div class="row filters">
            <Choice
              label="Time"
              value={t}
              options={Object.keys(RANGES).map((one) => [one, one])}
              onChoose={(chosen) => setParams({ t: chosen })}
            />
          </div>
        </>
      }
    >
      {({ effects, tools }) => (
        <>
          <Bars title="Decided" labels={labelsOf(effects)} lines={effectLines(effects)} />
          <Busiest of={tools} />
        </>
      )}
    </Part>
  )
}

type Series = Answer<'GET /stats/series'>
const TONES = { allow: 'ok', deny: 'bad', require_approval: 'warn' } as const
const EFFECTS = ['allow', 'require_approval', 'deny'] as const
const effectLines = ({ series }: Series) =>
  EFFECTS.map((effect) => ({
    name: effect.replaceAll('_', ' '),
    tone: TONES[effect],
    points: series.find(({ name }) => name === effect)?.points ?? [],
  }))

function Busiest({ of: { series } }: { of: Series }) {
  const counted = series
    .map(({ name, points }) => ({ name, n: points.reduce((all, one) => all + one, 0) }))
    .sort((a, b) => b.n - a.n)
    .slice(0, SHOWN)
  if (counted.length === 0) return null
  return (
    <table>
      <caption>Tools that were asked for most</caption>
      <tbody>
        {counted.map(({ name, n }) => (
          <tr key={name ?? ''}>
            <th scope="row">
              {name === null ? (
                'all others'
              ) : (
                <Link href={`/actions?tool=${encodeURIComponent(name)}`}>
                  <Said inline text={name} />
                </Link>
              )}
            </th>
            <td>{n}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Spenders() {
  const spend = useResource(
    'spend',
    async () => ({
      money: await call('GET /api/v1/spend'),
      agents: await call('GET /api/v1/agents/stats/summary'),
    }),
    ['outcome', 'agent'],
    SLOW_MS,
  )
  return (
    <Part
      label="Agents and their spend"
      of={spend}
      before={
        <>
          <h2>Agents</h2>
        </>
      }
    >
      {({ money, agents }) => (
        <>
          <p>
            <strong>{agents.total}</strong> agents,{' '}
            {Object.entries(agents.by_status)
              .map(([status, n]) => `${n} ${status}`)
              .join(', ') || 'none yet'}
            ; <strong>{money.spent}</strong> spent in {money.month}
          </p>
          {money.agents.length === 0 ? (
            <p class="muted">Nothing was spent this month.</p>
          ) : (
            <table>
              <caption>Who spent most</caption>
              <thead>
                <tr>
                  <th scope="col">agent</th>
                  <th scope="col">spent</th>
                  <th scope="col">reserved</th>
                </tr>
              </thead>
              <tbody>
                {money.agents.slice(0, SHOWN).map((one) => (
                  <tr key={one.agent}>
                    <RowHead text={one.name ?? one.agent} />
                    <td>{one.spent}</td>
                    <td>{one.reserved}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </>
      )}
    </Part>
  )
}

function Health() {
  const health = useResource(
    'health',
    async () => ({
      ready: await readiness(),
      state: await call('GET /state'),
      upstreams: hasRole('operator') ? (await call('GET /upstreams')).upstreams : null,
    }),
    ['outcome', 'policy'],
    SLOW_MS,
  )
  return (
    <Part
      label="Health"
      of={health}
      before={
        <>
          <h2>Health</h2>
        </>
      }
    >
      {({ ready, state, upstreams }) => (
        <>
          <p>
            <Pill of={ready.ready ? 'ready' : 'not ready'} /> policy{' '}
            <code>{state.policy.revision.slice(0, 8)}</code>{' '}
            {state.policy.stale ? <Pill of="stale" /> : null} · {state.replicas.length} replicas,{' '}
            {new Set(state.replicas.map(({ revision }) => revision)).size > 1
              ? 'of several revisions'
              : 'of one revision'}{' '}
            · up {span(state.uptime_s * 1000)}
          </p>
          <ul>
            {ready.checks
              .filter((one) => !one.ready)
              .map((one) => (
                <li key={one.name}>
                  {one.name} <Pill of="failing" /> <Said inline text={one.detail ?? ''} />
                </li>
              ))}
          </ul>
          {upstreams === null ? (
            <p class="muted">How upstreams do is shown to operators.</p>
          ) : (
            <Upstreams of={upstreams} />
          )}
        </>
      )}
    </Part>
  )
}

function Upstreams({ of }: { of: Answer<'GET /upstreams'>['upstreams'] }) {
  return (
    <table>
      <caption>Upstreams, since this replica started</caption>
      <thead>
        <tr>
          <th scope="col">upstream</th>
          <th scope="col">health</th>
          <th scope="col">calls</th>
          <th scope="col">ms, mean</th>
        </tr>
      </thead>
      <tbody>
        {of.map((one) => (
          <tr key={one.name}>
            <RowHead text={one.name} />
            <td>
              <Pill of={one.health} />
            </td>
            <td>{one.calls}</td>
            <td>{one.latency_ms ? Math.round(one.latency_ms.mean) : 'none yet'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
