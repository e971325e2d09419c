import { Link } from 'wouter-preact'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Loaded } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'

const STATUS = [
  ...['held', 'executing', 'succeeded', 'failed'],
  ...['indeterminate', 'denied', 'expired', 'cancelled'],
]
const FILTERS = [
  { name: 'status', label: 'Status', options: STATUS },
  { name: 'effect', label: 'Decided', options: ['allow', 'deny', 'require_approval'] },
  { name: 'agent', label: 'Agent' },
  { name: 'tool', label: 'Tool' },
]
const KINDS = ['decision', 'outcome', 'approval', 'action']

/** What agents asked for, newest first; each leads to its story. */
export function Actions() {
  const { query, key } = useFilters(FILTERS)
  const list = useResource(
    key,
    () => call('GET /actions', { query: { limit: 50, ...query } }),
    KINDS,
  )
  return (
    <>
      <Filters of={FILTERS} />
      <Loaded of={list}>
        {({ actions, total, next_cursor: cursor }) => (
          <>
            <p>{total >= 1_000 ? '1000 or more' : total} match</p>
            <Cards of={actions} empty="No action matches." cursor={cursor}>
              {(one) => (
                <>
                  <Link href={`/actions/${one.id}`}>
                    <strong>{one.request.action.name}</strong>{' '}
                    <Said inline text={one.agent_name ?? one.agent} />
                  </Link>
                  <Pill of={one.status} /> <Pill of={one.effect} />{' '}
                  {one.error ? <span class="muted">{one.error.code} </span> : null}
                  <span class="muted">
                    <When at={one.created_at} />
                  </span>
                </>
              )}
            </Cards>
          </>
        )}
      </Loaded>
    </>
  )
}
