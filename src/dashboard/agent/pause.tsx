import { useSignal } from '@preact/signals'
import type { Agent } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { setTo } from '../parts/doing.ts'

/** Makes an agent wait, or lets it act again, with a reason. Nothing where it does neither. */
export function Pause({ agent, again }: { agent: Agent; again: () => Promise<void> }) {
  const asking = useSignal(false)
  const reason = useSignal('')
  if (!['active', 'paused'].includes(agent.status)) return null
  const action = agent.status === 'paused' ? 'resume' : 'pause'
  const change = async () => {
    const body = { action, reason: reason.value }
    await call('POST /api/v1/agents/{id}/action', { path: { id: agent.id }, body })
    await again()
  }
  return (
    <>
      <button type="button" disabled={!hasRole('operator')} onClick={setTo(asking, true)}>
        {action === 'pause' ? 'Pause' : 'Resume'}
      </button>
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
