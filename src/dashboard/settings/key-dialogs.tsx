import { useSignal } from '@preact/signals'
import type { Calls } from '../../client/api.ts'
import { call, session } from '../data/api.ts'
import { Choice, Confirm, TextField } from '../parts/dialog.tsx'
import { HIDDEN, Said, When } from '../parts/text.tsx'
import type { Fresh } from './key-once.tsx'

export type Key = Calls['GET /api/v1/keys']['answer']['keys'][number]

export const ROLES = ['observer', 'approver', 'operator', 'admin', 'agent', 'pep'] as const
const MEANS: Readonly<Record<(typeof ROLES)[number], string>> = {
  observer: 'reads everything and changes nothing',
  approver: 'votes on what waits for a person',
  operator: 'stops, pauses, settles, checks policy',
  admin: 'everything, keys and agents too',
  agent: 'acts as one agent, which cannot sign in here',
  pep: 'asks for decisions for others, as an enforcement point',
}
const ROTATIONS = [
  ['0', 'at once'],
  ['3600', 'after an hour'],
  ['86400', 'after a day'],
  ['604800', 'after a week'],
] as const
const OVERLAP_S = '3600'

interface Props {
  readonly onClose: () => void
  readonly onFresh: (fresh: Fresh) => void
}

/** Asks whose key it is to be, and of which role. `agent`: whose it is already said. */
export function CreateKey({ agent: ofAgent, onClose, onFresh }: Props & { agent?: string }) {
  const name = useSignal('')
  const role = useSignal<(typeof ROLES)[number]>(ofAgent === undefined ? 'observer' : 'agent')
  const agent = useSignal(ofAgent ?? '')
  const create = async () => {
    const acting = role.value === 'agent' ? { agent: agent.value } : {}
    const body = { name: name.value, role: role.value, ...acting }
    onFresh(await call('POST /api/v1/keys', { body }))
  }
  return (
    <Confirm title="A new API key" confirm="Create it" onClose={onClose} onConfirm={create}>
      <TextField required label="Name, of whoever holds it" of={name} />
      <Choice
        label="Role"
        value={role.value}
        options={ROLES.map((one) => [one, one])}
        onChoose={(chosen) => {
          role.value = ROLES.find((one) => one === chosen) ?? 'observer'
        }}
      />
      <p class="muted">{MEANS[role.value]}</p>
      {role.value === 'agent' ? (
        <TextField required label="Agent, by name or id" of={agent} />
      ) : null}
    </Confirm>
  )
}

const isOwn = (one: Key): boolean => one.id === session.value?.key_id

/** Asks how long the old key goes on working. */
export function RotateKey({ of, onClose, onFresh }: Props & { of: Key }) {
  const overlap = useSignal<string>(OVERLAP_S)
  const rotate = async () => {
    const body = { overlap_s: Number(overlap.value) }
    onFresh(await call('POST /api/v1/keys/{id}/rotate', { path: { id: of.id }, body }))
  }
  return (
    <Confirm title="Replace this key?" confirm="Rotate it" onClose={onClose} onConfirm={rotate}>
      <Whose of={of} />
      <Choice
        label="The old key stops working"
        value={overlap.value}
        options={ROTATIONS}
        onChoose={(chosen) => {
          overlap.value = chosen
        }}
      />
      {isOwn(of) ? <p>You are signed in with it: then you are signed out.</p> : null}
    </Confirm>
  )
}

/** Asks for the name to be typed: whoever holds the key is refused within a second. */
export function RevokeKey({
  of,
  onClose,
  again,
}: {
  of: Key
  onClose: () => void
  again: () => Promise<void>
}) {
  const typed = useSignal('')
  // Nobody can type what is not seen.
  const wanted = HIDDEN.test(of.name) ? of.id : of.name
  const revoke = async () => {
    await call('DELETE /api/v1/keys/{id}', { path: { id: of.id } })
    if (isOwn(of)) session.value = null
    else await again()
  }
  return (
    <Confirm
      danger
      title="Revoke this key?"
      confirm="Revoke it"
      disabled={typed.value !== wanted}
      onClose={onClose}
      onConfirm={revoke}
    >
      <Whose of={of} />
      <p>
        It is refused everywhere within a second, and sessions that it began end. This cannot be
        undone.
      </p>
      {isOwn(of) ? <p>You are signed in with it, and are signed out.</p> : null}
      <TextField required label={`Type “${wanted}”`} of={typed} />
    </Confirm>
  )
}

const Whose = ({ of }: { of: Key }) => (
  <p>
    <Said inline text={of.name} />, {of.role}, used{' '}
    {of.last_used_at === null ? 'never' : <When at={of.last_used_at} />}
  </p>
)
