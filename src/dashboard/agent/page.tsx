import { useSignal } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { Link, useLocation, useRoute, useSearchParams } from 'wouter-preact'
import type { Agent } from '../../client/api.ts'
import { call, hasRole, needs } from '../data/api.ts'
import { type Resource, useResource } from '../data/resource.ts'
import { MonthOfAgent } from '../pages/spend.tsx'
import { setTo } from '../parts/doing.ts'
import { Loaded } from '../parts/states.tsx'
import { When } from '../parts/text.tsx'
import { DeleteAgent, EditAgent } from './edit.tsx'
import { Facts, Named } from './facts.tsx'
import { AgentKeys } from './keys.tsx'
import { AgentMay } from './may.tsx'
import { Pause } from './pause.tsx'
import { AgentRuns } from './runs.tsx'

type Read = { readonly agent: Agent }

const TABS: readonly {
  readonly name: string
  readonly label: string
  readonly Shown: FunctionComponent<{ of: Agent }>
}[] = [
  { name: '', label: 'Overview', Shown: Overview },
  {
    name: 'spend',
    label: 'Spend',
    Shown: ({ of }) => <MonthOfAgent id={of.id} month={undefined} />,
  },
  { name: 'may', label: 'What it may', Shown: AgentMay },
  { name: 'keys', label: 'Keys', Shown: AgentKeys },
  { name: 'sandbox', label: 'Sandbox', Shown: AgentRuns },
]

/** One agent: whose it is, what it may do, costs and did, and how to make it wait. */
export function OneAgent() {
  const [, params] = useRoute('/agents/:id')
  const id = params?.id ?? ''
  const one: Resource<Read> = useResource(
    id,
    () => call('GET /api/v1/agents/{id}', { path: { id }, query: { activity: true } }),
    ['agent', 'decision'],
  )
  const tab = useSearchParams()[0].get('tab') ?? ''
  const chosen = TABS.find(({ name }) => name === tab) ?? TABS[0]
  return (
    <Loaded of={one}>
      {({ agent }) => (
        <>
          <p>
            <Named of={agent} />
          </p>
          <Doing of={agent} again={one.load} />
          <div role="navigation" aria-label="Of the agent" class="row tabs">
            {TABS.map(({ name, label }) => (
              <Link
                key={name}
                href={name === '' ? `/agents/${id}` : `/agents/${id}?tab=${name}`}
                aria-current={chosen?.name === name ? 'page' : undefined}
              >
                {label}
              </Link>
            ))}
          </div>
          {chosen ? <chosen.Shown key={chosen.name} of={agent} /> : null}
        </>
      )}
    </Loaded>
  )
}

function Doing({ of: agent, again }: { of: Agent; again: () => Promise<void> }) {
  const asking = useSignal<'edit' | 'delete' | null>(null)
  const [, go] = useLocation()
  const close = setTo(asking, null)
  return (
    <>
      <div class="row">
        <Link href={`/actions?agent=${agent.id}`}>Its actions</Link>
        <Link href={`/kill?agent=${encodeURIComponent(agent.name)}`}>Stop it …</Link>
        <Pause agent={agent} again={again} />
        <button type="button" disabled={!hasRole('operator')} onClick={setTo(asking, 'edit')}>
          Change …
        </button>
        <button
          type="button"
          class="bad"
          disabled={!hasRole('admin')}
          onClick={setTo(asking, 'delete')}
        >
          Delete …
        </button>
        <span class="muted">{needs('operator')}</span>
      </div>
      {asking.value === 'edit' ? <EditAgent of={agent} onClose={close} again={again} /> : null}
      {asking.value === 'delete' ? (
        <DeleteAgent of={agent} onClose={close} onDone={() => go('/agents', { replace: true })} />
      ) : null}
    </>
  )
}

function Overview({ of: agent }: { of: Agent }) {
  return (
    <Facts of={agent}>
      <dt>limit of one action</dt>
      <dd>{agent.per_action_limit ?? 'no bound'}</dd>
      <dt>at once</dt>
      <dd>{agent.instances ?? 'no bound'}</dd>
      <dt>registered</dt>
      <dd>
        <When at={agent.created_at} />
        {agent.template === null ? '' : `, from template ${agent.template}`}
      </dd>
      {agent.manifest_hash === null ? null : (
        <>
          <dt>signed manifest</dt>
          <dd>
            <code>{agent.manifest_hash}</code>
          </dd>
        </>
      )}
      <dt>id</dt>
      <dd>
        <code>{agent.id}</code>
      </dd>
    </Facts>
  )
}
