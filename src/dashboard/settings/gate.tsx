import type { Calls } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { readiness, type Readiness } from '../data/readiness.ts'
import { useResource } from '../data/resource.ts'
import { Part } from '../parts/states.tsx'
import { Pill, Said, span, When } from '../parts/text.tsx'

const SLOW_MS = 5_000

/** What this gate is, what it depends on, and who serves beside it. */
export function GateFacts() {
  const all = useResource(
    'gate',
    async () => {
      const [meta, state, ready] = await Promise.all([
        call('GET /meta'),
        call('GET /state'),
        readiness(),
      ])
      return { meta, state, ready }
    },
    ['policy', 'kill_switch', 'audit', 'decision'],
    SLOW_MS,
  )
  return (
    <Part label="This gate" of={all}>
      {({ meta, state, ready }) => (
        <>
          <Facts meta={meta} state={state} />
          <Ready of={ready} />
          <Replicas of={state} />
        </>
      )}
    </Part>
  )
}

type State = Calls['GET /state']['answer']

function Facts({ meta, state }: { meta: Calls['GET /meta']['answer']; state: State }) {
  return (
    <dl>
      <dt>version</dt>
      <dd>{meta.version}</dd>
      <dt>Node</dt>
      <dd>{meta.node}</dd>
      <dt>environment</dt>
      <dd>
        <Said inline text={meta.environment} />
      </dd>
      <dt>database</dt>
      <dd>{meta.database}</dd>
      <dt>replica</dt>
      <dd>
        <code>{meta.replica}</code>
      </dd>
      <dt>up</dt>
      <dd>{span(state.uptime_s * 1000)}</dd>
      <dt>policy</dt>
      <dd>
        <code>{state.policy.revision}</code> {state.policy.stale ? <Pill of="stale" /> : null}
      </dd>
      <dt>kill switches</dt>
      <dd>{state.kill_switch.known ? `${state.kill_switch.engaged} engaged` : 'not known'}</dd>
      <dt>record</dt>
      <dd>
        {state.audit.size} entries {state.audit.degraded ? <Pill of="failing" /> : null}
      </dd>
      <dt>actions under way</dt>
      <dd>
        {Object.entries(state.actions)
          .map(([status, n]) => `${n} ${status}`)
          .join(', ') || 'none'}
      </dd>
    </dl>
  )
}

/** What to do about a check that fails, where the gate does not say it itself. */
const FIXES: Readonly<Record<string, string>> = {
  database: 'See that PostgreSQL runs and that DATABASE_URL leads to it.',
  ledger: 'See that the database takes writes: its disk, its locks, its primary.',
  kill_switch: 'Nothing passes until the state can be read from the database.',
  audit: 'Compare with what is kept elsewhere: portcullis audit verify.',
  outcomes: 'Outcomes wait to be written: see that the database takes writes.',
  clock: 'Set the clock of this machine by NTP.',
  serving: 'This replica is stopping: ask another one.',
}

const Ready = ({ of }: { of: Readiness }) => (
  <section aria-label="Readiness">
    <h2>
      Readiness <Pill of={of.ready ? 'ready' : 'not ready'} />
    </h2>
    <ul>
      {of.checks.map((one) => (
        <li key={one.name}>
          {one.name.replaceAll('_', ' ')} <Pill of={one.ready ? 'ok' : 'failing'} />{' '}
          <Said inline text={one.detail ?? ''} /> {one.ready ? '' : (FIXES[one.name] ?? '')}
        </li>
      ))}
    </ul>
  </section>
)

const Replicas = ({ of: { replica, replicas } }: { of: State }) => (
  <section aria-label="Replicas">
    <h2>Replicas</h2>
    <ul class="cards">
      {replicas.map((one) => (
        <li key={one.id}>
          <code>{one.id}</code> {one.id === replica ? '(this one)' : ''} on{' '}
          <Said inline text={one.host} />, version {one.version}, policy{' '}
          <code>{one.revision.slice(0, 12)}</code>, since <When at={one.started_at} />
        </li>
      ))}
    </ul>
  </section>
)
