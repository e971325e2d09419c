import { useSignal } from '@preact/signals'
import { useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { ask, call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { HIDDEN, Said, When } from '../parts/text.tsx'
import { setTo } from '../parts/doing.ts'

type Scope = Readonly<Partial<Record<'agent' | 'agent_id' | 'tool' | 'upstream', string | null>>>
const nameOf = (scope: Scope): string =>
  (['agent', 'tool', 'upstream'] as const)
    .flatMap((kind) => (scope[kind] ? `${kind} ${scope[kind]}` : []))
    .join(', ') || 'everything'

/** What the gate is told of a scope: only what is said of it. */
const toldOf = ({ agent, tool, upstream }: Scope) =>
  Object.fromEntries(Object.entries({ agent, tool, upstream }).filter(([, value]) => value))

/** Stops everything, or what a scope names, and says whether it is proven. */
export function StopDialog({ scope = {}, onClose }: { scope?: Scope; onClose: () => void }) {
  const reason = useSignal('stopped from the dashboard')
  const said = useSignal('')
  const isAll = nameOf(scope) === 'everything'
  const stop = async () => {
    const { status, body } = await ask('PUT /kill-switch', {
      body: { engaged: true, reason: reason.value, scope: toldOf(scope) },
    })
    if (status === 200) return
    const { unconfirmed = [] } = body as { unconfirmed?: string[] }
    said.value = `Not confirmed by ${unconfirmed.join(', ') || 'the record'}. Ask again.`
    throw new Error(said.value)
  }
  return (
    <Confirm
      danger
      evenOffline
      title={
        <>
          Stop <Said inline text={nameOf(scope)} />?
        </>
      }
      confirm={isAll ? 'Stop everything now' : 'Stop it now'}
      onClose={onClose}
      onConfirm={stop}
    >
      <p>
        {isAll ? 'No effect' : 'Nothing of it'} can start anywhere once the gate has confirmed.
        Until then this says “not confirmed”.
      </p>
      <TextField required label="Reason" of={reason} />
    </Confirm>
  )
}

export function Kill() {
  const state = useResource('kill', () => call('GET /kill-switch'), ['kill_switch'])
  const stopping = useSignal(false)
  const releasing = useSignal<Scope | null>(null)
  const may = hasRole('operator')
  return (
    <>
      <button type="button" class="bad big" disabled={!may} onClick={setTo(stopping, true)}>
        STOP EVERYTHING
      </button>
      {may ? null : <p class="muted">This needs the role operator.</p>}
      <Scoped onDone={state.load} />
      <Loaded of={state}>
        {({ switches, known }) => (
          <>
            {known ? null : (
              <p class="problem">
                This gate does not know the state of the switch, and lets nothing through.
              </p>
            )}
            {switches.length === 0 ? <Empty>No switch is engaged.</Empty> : null}
            <Engaged
              switches={switches}
              onRelease={(scope) => {
                releasing.value = scope
              }}
            />
          </>
        )}
      </Loaded>
      {stopping.value ? (
        <StopDialog
          onClose={() => {
            stopping.value = false
            void state.load()
          }}
        />
      ) : null}
      {releasing.value ? (
        <Release
          scope={releasing.value}
          onClose={() => {
            releasing.value = null
            void state.load()
          }}
        />
      ) : null}
    </>
  )
}

/** Stops an agent, a tool or an upstream, or what several of them are at once; a link may name them. */
function Scoped({ onDone }: { onDone: () => Promise<void> }) {
  const [params] = useSearchParams()
  const [agent, tool, upstream] = [
    useSignal(params.get('agent') ?? ''),
    useSignal(params.get('tool') ?? ''),
    useSignal(params.get('upstream') ?? ''),
  ]
  const stopping = useSignal(false)
  const scope = { agent: agent.value, tool: tool.value, upstream: upstream.value }
  return (
    <section aria-label="Stop a part">
      <h2>Or a part</h2>
      <div class="row filters">
        <TextField label="Agent" of={agent} />
        <TextField label="Tool" of={tool} />
        <TextField label="Upstream" of={upstream} />
        <button
          type="button"
          class="bad"
          disabled={!hasRole('operator') || nameOf(scope) === 'everything'}
          onClick={setTo(stopping, true)}
        >
          Stop it …
        </button>
      </div>
      {stopping.value ? (
        <StopDialog
          scope={scope}
          onClose={() => {
            stopping.value = false
            void onDone()
          }}
        />
      ) : null}
    </section>
  )
}

function Engaged({
  switches,
  onRelease,
}: {
  switches: Calls['GET /kill-switch']['answer']['switches']
  onRelease: (scope: Scope) => void
}) {
  return (
    <ul class="cards">
      {switches.map((one) => (
        <li key={nameOf(one.scope)}>
          <strong>
            <Said inline text={nameOf(one.scope)} />
          </strong>{' '}
          stopped <When at={one.engaged_at} /> by <Said inline text={one.actor} />:{' '}
          <Said inline text={one.reason} />{' '}
          <button
            type="button"
            disabled={!hasRole('operator')}
            onClick={() => onRelease(one.scope)}
          >
            Release
          </button>
        </li>
      ))}
    </ul>
  )
}

function Release({ scope, onClose }: { scope: Scope; onClose: () => void }) {
  const reason = useSignal('')
  const typed = useSignal('')
  const name = nameOf(scope)
  // Nobody can type what is not seen.
  const wanted = HIDDEN.test(name) ? (scope.agent_id ?? 'release') : name
  const release = async () => {
    const body = { engaged: false, reason: reason.value, scope: toldOf(scope) }
    await call('PUT /kill-switch', { body })
  }
  return (
    <Confirm
      danger
      title={
        <>
          Release <Said inline text={name} />?
        </>
      }
      confirm="Release"
      disabled={typed.value !== wanted}
      onClose={onClose}
      onConfirm={release}
    >
      <TextField required label="Reason" of={reason} />
      <TextField required label={`Type “${wanted}”`} of={typed} />
    </Confirm>
  )
}
