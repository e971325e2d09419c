import type { ComponentChildren } from 'preact'
import { Link } from 'wouter-preact'
import type { Agent } from '../../client/api.ts'
import { Pill, Said, When } from '../parts/text.tsx'

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

/** How an agent is called, and whether it may act. */
export const Named = ({ of: agent }: { of: Agent }) => (
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
  </>
)

/** Whose it is, by which limits it acts, and when it was seen; `children`: what else there is to say. */
export function Facts({ of: agent, children }: { of: Agent; children?: ComponentChildren }) {
  return (
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
      {children}
    </dl>
  )
}
