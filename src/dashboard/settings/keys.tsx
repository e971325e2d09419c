import { useSignal } from '@preact/signals'
import { call, hasRole, needs, session } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { CreateKey, type Key, RevokeKey, ROLES, RotateKey } from './key-dialogs.tsx'
import { type Fresh, KeyOnce } from './key-once.tsx'
import { setTo } from '../parts/doing.ts'

const SHOWN_MAX = 200
const FILTERS = [
  { name: 'q', label: 'Name has' },
  { name: 'role', label: 'Role', options: ROLES },
  { name: 'state', label: 'State', options: ['revoked', 'all'], none: 'working' },
]

/** Who holds a key, of which role, and when it was used last. */
export function Keys() {
  const creating = useSignal(false)
  const fresh = useSignal<Fresh | null>(null)
  return (
    <>
      <div class="row">
        <button
          type="button"
          class="main"
          disabled={!hasRole('admin')}
          onClick={setTo(creating, true)}
        >
          New key
        </button>
        <span class="muted">{needs('admin')}</span>
      </div>
      {hasRole('admin') ? (
        <List
          onFresh={(made) => {
            fresh.value = made
          }}
        />
      ) : (
        <Empty>Who holds a key is shown to admins. Your own is under “Me”.</Empty>
      )}
      {creating.value ? (
        <CreateKey
          onClose={setTo(creating, false)}
          onFresh={(made) => {
            fresh.value = made
          }}
        />
      ) : null}
      {fresh.value ? <KeyOnce of={fresh.value} onClose={setTo(fresh, null)} /> : null}
    </>
  )
}

const isOver = ({ revoked_at: revoked, expires_at: expires }: Key): boolean =>
  revoked !== null || (expires !== null && Date.parse(expires) <= Date.now())

function matching(keys: readonly Key[], query: Readonly<Record<string, string>>): Key[] {
  const { q = '', role, state } = query
  return keys
    .filter((one) => one.name.toLowerCase().includes(q.toLowerCase()))
    .filter((one) => role === undefined || one.role === role)
    .filter((one) => state === 'all' || isOver(one) === (state === 'revoked'))
}

function List({ onFresh }: { onFresh: (fresh: Fresh) => void }) {
  const { query } = useFilters(FILTERS)
  const list = useResource('keys', () => call('GET /api/v1/keys'), ['key', 'agent'])
  return (
    <>
      <Filters of={FILTERS} />
      <Part label="API keys" of={list}>
        {({ keys }) => {
          const all = matching(keys, query)
          return (
            <>
              <p>
                {all.length} match
                {all.length > SHOWN_MAX ? `, the first ${SHOWN_MAX} are shown` : ''}
              </p>
              <Cards of={all.slice(0, SHOWN_MAX)} empty="No key matches." cursor={null}>
                {(one) => <KeyCard of={one} again={list.load} onFresh={onFresh} />}
              </Cards>
            </>
          )
        }}
      </Part>
    </>
  )
}

interface OneProps {
  readonly of: Key
  readonly again: () => Promise<void>
  readonly onFresh: (fresh: Fresh) => void
}

/** A key, and what can be done with it. */
export function KeyCard({ of, again, onFresh }: OneProps) {
  const asking = useSignal<'rotate' | 'revoke' | null>(null)
  const close = () => {
    asking.value = null
  }
  return (
    <>
      <Facts of={of} />
      {isOver(of) ? null : (
        <div class="row">
          <button type="button" onClick={setTo(asking, 'rotate')}>
            Rotate
          </button>
          <button type="button" class="bad" onClick={setTo(asking, 'revoke')}>
            Revoke
          </button>
        </div>
      )}
      {asking.value === 'rotate' ? <RotateKey of={of} onClose={close} onFresh={onFresh} /> : null}
      {asking.value === 'revoke' ? <RevokeKey of={of} onClose={close} again={again} /> : null}
    </>
  )
}

const Facts = ({ of }: { of: Key }) => (
  <>
    <strong>
      <Said inline text={of.name} />
    </strong>{' '}
    <Pill of={of.role} />{' '}
    {of.id === session.value?.key_id ? <Pill of="you are signed in with it" /> : null}{' '}
    {of.revoked_at === null ? null : (
      <>
        <Pill of="revoked" /> <When at={of.revoked_at} />
      </>
    )}
    <dl>
      <dt>used</dt>
      <dd>{of.last_used_at === null ? 'never' : <When at={of.last_used_at} />}</dd>
      <dt>made</dt>
      <dd>
        <When at={of.created_at} />
        {of.issued_by === null ? null : (
          <>
            {' '}
            by <Said inline text={of.issued_by} />
          </>
        )}
      </dd>
      {of.agent === null ? null : (
        <>
          <dt>agent</dt>
          <dd>
            <code>{of.agent}</code>
          </dd>
        </>
      )}
      {of.expires_at === null ? null : (
        <>
          <dt>stops working</dt>
          <dd>
            <When at={of.expires_at} />
          </dd>
        </>
      )}
    </dl>
  </>
)
