import { useSignal } from '@preact/signals'
import type { Agent } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { HIDDEN, Said } from '../parts/text.tsx'

interface Props {
  readonly of: Agent
  readonly onClose: () => void
}

const listed = (text: string): string[] =>
  text.split(',').flatMap((one) => (one.trim() === '' ? [] : [one.trim()]))

/** Money as it is typed; nothing: no bound. The gate says what is no amount. */
const bound = (text: string): string | null => (text.trim() === '' ? null : text.trim())

/** Asks whose it is to be, of which roles, and by which limits it acts. */
export function EditAgent({ of, onClose, again }: Props & { again: () => Promise<void> }) {
  const [owner, roles] = [useSignal(of.owner), useSignal(of.roles.join(', '))]
  const monthly = useSignal(String(of.monthly_budget ?? ''))
  const each = useSignal(String(of.per_action_limit ?? ''))
  const change = async () => {
    const body = {
      owner: owner.value.trim(),
      roles: listed(roles.value),
      monthly_budget: bound(monthly.value),
      per_action_limit: bound(each.value),
    }
    await call('PATCH /api/v1/agents/{id}', { path: { id: of.id }, body })
    await again()
  }
  return (
    <Confirm title="Change this agent" confirm="Change it" onClose={onClose} onConfirm={change}>
      <TextField required label="Owner" of={owner} />
      <TextField label="Roles, with commas" of={roles} />
      <TextField label="Monthly budget; nothing: no bound" of={monthly} />
      <TextField label="Limit of one action; nothing: no bound" of={each} />
    </Confirm>
  )
}

/** Asks for the name to be typed: its keys stop, and what waits for an approval is cancelled. */
export function DeleteAgent({ of, onClose, onDone }: Props & { onDone: () => void }) {
  const typed = useSignal('')
  // Nobody can type what is not seen.
  const wanted = HIDDEN.test(of.name) ? of.id : of.name
  const remove = async () => {
    await call('DELETE /api/v1/agents/{id}', { path: { id: of.id } })
    onDone()
  }
  return (
    <Confirm
      danger
      title="Delete this agent?"
      confirm="Delete it"
      disabled={typed.value !== wanted}
      onClose={onClose}
      onConfirm={remove}
    >
      <p>
        <Said inline text={of.name} />: its keys stop, and what waits for an approval is cancelled.
        What it did stays on record. This cannot be undone.
      </p>
      <TextField required label={`Type “${wanted}”`} of={typed} />
    </Confirm>
  )
}
