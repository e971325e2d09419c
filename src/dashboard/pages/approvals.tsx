import { useSignal } from '@preact/signals'
import { Link, useSearchParams } from 'wouter-preact'
import type { Approval } from '../../client/api.ts'
import { call, newKey } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Loaded, Part } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

const KINDS = ['approval', 'decision', 'outcome']

/** What waits for a person, what is over first on top; one of them with all it takes to judge it. */
export function Approvals() {
  const [params] = useSearchParams()
  const id = params.get('id')
  const query = { status: 'pending', order: 'expiry', limit: 200 }
  const list = useResource('pending', () => call('GET /approvals', { query }), KINDS)
  return (
    <div class={id ? 'split chosen' : 'split'}>
      <Part label="Waiting" of={list}>
        {({ approvals, pending }) => (
          <>
            <p>{pending} waiting</p>
            {approvals.length === 0 ? <Empty>Nothing waits for a person.</Empty> : null}
            <ul class="cards">
              {approvals.map((one) => (
                <li key={one.id}>
                  <Link
                    href={`/approvals?id=${one.id}`}
                    aria-current={one.id === id ? 'true' : undefined}
                  >
                    <strong>{one.tool}</strong> <Said inline text={one.agent_name ?? one.agent} />
                    <span class="muted">
                      {' '}
                      over <When at={one.expires_at} />
                    </span>
                  </Link>
                </li>
              ))}
            </ul>
          </>
        )}
      </Part>
      {id ? <One key={id} id={id} /> : null}
    </div>
  )
}

function One({ id }: { id: string }) {
  const one = useResource(id, () => call('GET /approvals/{id}', { path: { id } }), KINDS)
  return (
    <section aria-label="The chosen request">
      <p>
        <Link href="/approvals">All that wait</Link>
      </p>
      <Loaded of={one}>{(approval) => <Detail approval={approval} again={one.load} />}</Loaded>
    </section>
  )
}

function Detail({ approval: a, again }: { approval: Approval; again: () => Promise<void> }) {
  const choice = useSignal<'approve' | 'deny' | null>(null)
  const comment = useSignal('')
  const key = useSignal(newKey())
  const isOpen = a.status === 'pending'
  const vote = async () => {
    const given = { path: { id: a.id }, body: { reason: comment.value }, idempotencyKey: key.value }
    if (choice.value === 'approve') await call('POST /approvals/{id}/approve', given)
    else await call('POST /approvals/{id}/deny', given)
    await again()
  }
  const ask = (what: 'approve' | 'deny') => {
    key.value = newKey()
    choice.value = what
  }
  return (
    <>
      <Asked approval={a} />
      <Sent target={a.target} />
      <Shown label="Args" value={a.args ?? {}} />
      <Access approval={a} />
      {a.votes.map((one) => (
        <p key={one.approver}>
          <Said inline text={one.approver} />: {one.vote} <Said inline text={one.reason} />
        </p>
      ))}
      {isOpen ? (
        <Voting may={a.may_vote} ask={ask} />
      ) : (
        <p role="status">This is {a.status} already; nothing is left to decide.</p>
      )}
      {a.action_id === '' ? null : (
        <p>
          <Link href={`/actions/${a.action_id}`}>The action's story</Link>
        </p>
      )}
      {choice.value ? (
        <Confirm
          title={`${choice.value === 'approve' ? 'Approve' : 'Deny'} ${a.tool}?`}
          confirm={choice.value === 'approve' ? 'Yes, approve' : 'Yes, deny'}
          danger={choice.value === 'deny'}
          onClose={() => {
            choice.value = null
          }}
          onConfirm={vote}
        >
          <TextField
            required={choice.value === 'deny'}
            label={choice.value === 'deny' ? 'Why' : 'Comment (optional)'}
            of={comment}
          />
        </Confirm>
      ) : null}
    </>
  )
}

/** What an enforcement point asks for, which carries it out itself. */
function Access({ approval: a }: { approval: Approval }) {
  if (!a.access_request) return null
  return (
    <>
      <p>Whoever asks carries it out; nothing happens here when it is approved.</p>
      <Shown label="Asked for" value={a.access_request} />
      <Shown label="Context" value={a.context ?? {}} />
    </>
  )
}

/** Who asks for what, and why it waits. */
function Asked({ approval: a }: { approval: Approval }) {
  const isOpen = a.status === 'pending'
  return (
    <>
      <h2>
        {a.tool} <Pill of={a.status} /> {a.effect ? <Pill of={a.effect} /> : null}
      </h2>
      <dl>
        <dt>who asks</dt>
        <dd>
          <Said inline text={a.agent_name ?? a.agent} /> (
          <Said inline text={a.owner ?? 'no owner'} />)
        </dd>
        <dt>why</dt>
        <dd>
          <Said text={a.agent_reason ?? 'no reason given'} />
        </dd>
        <dt>held because</dt>
        <dd>
          <Said text={a.reason} />
        </dd>
        <dt>cost</dt>
        <dd>{a.cost ?? 'none'}</dd>
        <dt>{isOpen ? 'over' : 'ended'}</dt>
        <dd>
          <When at={isOpen ? a.expires_at : (a.decided_at ?? a.expires_at)} />
        </dd>
        <dt>votes</dt>
        <dd>
          {a.votes.length} given, {a.quorum} needed
        </dd>
      </dl>
    </>
  )
}

/** The call as it would be made. */
function Sent({ target }: { target: Approval['target'] | undefined }) {
  if (!target) return null
  return (
    <>
      <p>
        <strong>{target.method}</strong> {target.upstream}{' '}
        <Said inline text={target.path + target.query} />
      </p>
      {target.unchanged ? null : (
        <p class="problem">
          The policy would send something else now; nothing else than what was asked is ever sent.
        </p>
      )}
      {target.body === null ? null : <Shown label="What is sent" value={target.body} />}
    </>
  )
}

function Voting({
  may,
  ask,
}: {
  may: Approval['may_vote']
  ask: (what: 'approve' | 'deny') => void
}) {
  return (
    <div class="row votes">
      <button type="button" class="main" disabled={!may?.approve} onClick={() => ask('approve')}>
        Approve
      </button>
      <button type="button" class="bad" disabled={!may?.deny} onClick={() => ask('deny')}>
        Deny
      </button>
      {may?.why ? (
        <span class="muted">
          <Said inline text={may.why} />
        </span>
      ) : null}
    </div>
  )
}
