import { useSignal } from '@preact/signals'
import type { Calls } from '../../client/api.ts'
import { ask, call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Said, When } from '../parts/text.tsx'
import { setTo } from '../parts/doing.ts'

type Scope = Readonly<Partial<Record<'agent' | 'agent_id' | 'tool' | 'upstream', string | null>>>
const nameOf = (scope: Scope): string =>
  (['agent', 'tool', 'upstream'] as const)
    .flatMap((kind) => (scope[kind] ? `${kind} ${scope[kind]}` : []))
    .join(', ') || 'everything'

/** Stops everything, and says whether it is proven. */
export function StopDialog({ onClose }: { onClose: () => void }) {
  const reason = useSignal('stopped from the dashboard')
  const said = useSignal('')
  const stop = async () => {
    const { status, body } = await ask('PUT /kill-switch', {
      body: { engaged: true, reason: reason.value },
    })
    if (status === 200) return
    const { unconfirmed = [] } = body as { unconfirmed?: string[] }
    said.value = `Not confirmed by ${unconfirmed.join(', ') || 'the record'}. Ask again.`
    throw new Error(said.value)
  }
  return (
    <Confirm
      danger
      title="Stop everything?"
      confirm="Stop everything now"
      onClose={onClose}
      onConfirm={stop}
    >
      <p>
        No effect can start anywhere once the gate has confirmed. Until then this says “not
        confirmed”.
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
          <strong>{nameOf(one.scope)}</strong> stopped <When at={one.engaged_at} /> by{' '}
          <Said inline text={one.actor} />: <Said inline text={one.reason} />{' '}
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
  const { agent, tool, upstream } = scope
  const release = async () => {
    const named = Object.fromEntries(
      Object.entries({ agent, tool, upstream }).filter(([, value]) => value),
    )
    await call('PUT /kill-switch', { body: { engaged: false, reason: reason.value, scope: named } })
  }
  return (
    <Confirm
      danger
      title={`Release ${name}?`}
      confirm="Release"
      disabled={typed.value !== name}
      onClose={onClose}
      onConfirm={release}
    >
      <TextField required label="Reason" of={reason} />
      <TextField required label={`Type “${name}”`} of={typed} />
    </Confirm>
  )
}
