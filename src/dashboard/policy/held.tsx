import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole, session } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { Difference } from './difference.tsx'

// Publishes that wait for other people. Who may vote the gate says; the page only leaves out what it knows to be refused.

type One = Calls['GET /policy/publishes/{id}']['answer']
type Vote = 'approve' | 'deny' | 'cancel'

const SHOWN = 25
const VOTES: Readonly<Record<Vote, { readonly title: string; readonly confirm: string }>> = {
  approve: { title: 'Approve this policy?', confirm: 'Yes, approve' },
  deny: { title: 'Deny this policy?', confirm: 'Yes, deny' },
  cancel: { title: 'Withdraw this policy?', confirm: 'Yes, withdraw' },
}

export function HeldPublishes() {
  const list = useResource(
    'publishes',
    () => call('GET /policy/publishes', { query: { limit: SHOWN } }),
    ['policy'],
  )
  return (
    <Part label="Waiting for other people" of={list} before={<h2>Waiting for other people</h2>}>
      {({ publishes }) => (
        <>
          {publishes.length === 0 ? <Empty>Nothing waits, and nothing did.</Empty> : null}
          <ul class="cards">
            {publishes.map((one) => (
              <li key={one.id}>
                <Link data-row href={`/policies?view=publish&id=${one.id}`}>
                  <Pill of={one.status} /> <code>{one.revision.slice(0, 12)}</code> by{' '}
                  <Said inline text={one.author} />, <When at={one.created_at} />
                </Link>
                <Said text={one.note} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Part>
  )
}

export function HeldOne({ id }: { id: string }) {
  const one = useResource(
    `publish ${id}`,
    () => call('GET /policy/publishes/{id}', { path: { id } }),
    ['policy'],
  )
  const asked = useSignal<Vote | null>(null)
  return (
    <Part
      label="A publish"
      of={one}
      before={
        <p>
          <Link href="/policies?view=publish">All that wait</Link>
        </p>
      }
    >
      {(held) => (
        <>
          <Terms of={held} />
          <Voting
            of={held}
            onVote={(vote) => {
              asked.value = vote
            }}
          />
          {held.diff ? (
            <Difference of={held.diff} />
          ) : (
            <Empty>Its files are not kept any more.</Empty>
          )}
          {asked.value === null ? null : (
            <VoteDialog
              id={id}
              vote={asked.value}
              onClose={() => {
                asked.value = null
                void one.load()
              }}
            />
          )}
        </>
      )}
    </Part>
  )
}

const Terms = ({ of: held }: { of: One }) => (
  <>
    <p>
      <Pill of={held.status} /> <code title={held.revision}>{held.revision.slice(0, 12)}</code> in
      place of <code title={held.base}>{held.base.slice(0, 12)}</code>, by{' '}
      <Said inline text={held.author} />, <When at={held.created_at} />
    </p>
    {held.note === '' ? null : (
      <p>
        <Said text={held.note} />
      </p>
    )}
    <p>
      Needs {held.quorum} of {held.roles.join(', ')}, until <When at={held.expires_at} />
    </p>
    <ul class="cards" aria-label="Votes">
      {held.votes.map((one) => (
        <li key={`${one.approver} ${one.at}`}>
          <Pill of={one.vote} /> <Said inline text={one.approver} /> <When at={one.at} />
          {one.reason === null ? null : (
            <p>
              <Said text={one.reason} />
            </p>
          )}
        </li>
      ))}
    </ul>
  </>
)

function Voting({ of: held, onVote }: { of: One; onVote: (vote: Vote) => void }) {
  if (held.status !== 'pending') return null
  const isMine = session.value?.name === held.author
  const mayVote = !isMine && held.roles.includes(session.value?.role ?? '')
  const mayCancel = isMine || hasRole('admin')
  return (
    <div class="row votes">
      <button type="button" class="main" disabled={!mayVote} onClick={() => onVote('approve')}>
        Approve
      </button>
      <button type="button" class="bad" disabled={!mayVote} onClick={() => onVote('deny')}>
        Deny
      </button>
      <button type="button" disabled={!mayCancel} onClick={() => onVote('cancel')}>
        Withdraw
      </button>
      {mayVote ? null : (
        <span class="muted">
          {isMine
            ? 'Whoever publishes does not vote.'
            : `Voting needs one of the roles ${held.roles.join(', ')}.`}
        </span>
      )}
    </div>
  )
}

function VoteDialog({ id, vote, onClose }: { id: string; vote: Vote; onClose: () => void }) {
  const reason = useSignal('')
  const send = async () => {
    await call(`POST /policy/publishes/{id}/${vote}`, {
      path: { id },
      body: reason.value.trim() === '' ? {} : { reason: reason.value.trim() },
    })
  }
  return (
    <Confirm
      title={VOTES[vote].title}
      confirm={VOTES[vote].confirm}
      danger={vote !== 'approve'}
      disabled={vote === 'deny' && reason.value.trim() === ''}
      onClose={onClose}
      onConfirm={send}
    >
      <TextField required={vote === 'deny'} label="Reason" of={reason} />
    </Confirm>
  )
}
