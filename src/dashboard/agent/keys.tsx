import { useSignal } from '@preact/signals'
import type { Agent } from '../../client/api.ts'
import { call, hasRole, needs } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { setTo } from '../parts/doing.ts'
import { Cards } from '../parts/filters.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { CreateKey } from '../settings/key-dialogs.tsx'
import { type Fresh, KeyOnce } from '../settings/key-once.tsx'
import { KeyCard } from '../settings/keys.tsx'

/** The keys by which it calls. */
export function AgentKeys({ of: agent }: { of: Agent }) {
  const creating = useSignal(false)
  const fresh = useSignal<Fresh | null>(null)
  const onFresh = (made: Fresh) => {
    fresh.value = made
  }
  if (!hasRole('admin')) return <Empty>Who holds a key is shown to admins.</Empty>
  return (
    <>
      <div class="row">
        <button type="button" class="main" onClick={setTo(creating, true)}>
          New key
        </button>
        <span class="muted">{needs('admin')}</span>
      </div>
      <List of={agent} onFresh={onFresh} />
      {creating.value ? (
        <CreateKey agent={agent.name} onClose={setTo(creating, false)} onFresh={onFresh} />
      ) : null}
      {fresh.value ? <KeyOnce of={fresh.value} onClose={setTo(fresh, null)} /> : null}
    </>
  )
}

function List({ of: { id }, onFresh }: { of: Agent; onFresh: (fresh: Fresh) => void }) {
  const list = useResource(id, () => call('GET /api/v1/keys', { query: { agent: id } }), ['key'])
  return (
    <Part label="Its keys" of={list}>
      {({ keys }) => (
        <Cards of={keys} empty="It has no key, and cannot call." cursor={null}>
          {(one) => <KeyCard of={one} again={list.load} onFresh={onFresh} />}
        </Cards>
      )}
    </Part>
  )
}
