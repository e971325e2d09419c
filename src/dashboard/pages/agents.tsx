import { Link } from 'wouter-preact'
import { Facts, Named } from '../agent/facts.tsx'
import { Pause } from '../agent/pause.tsx'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Loaded } from '../parts/states.tsx'

const FILTERS = [
  {
    name: 'status',
    label: 'Status',
    options: ['initializing', 'active', 'paused', 'stopped', 'retired'],
  },
  { name: 'role', label: 'Role' },
  { name: 'owner', label: 'Owner' },
  { name: 'q', label: 'Name has' },
]

const SLOW_MS = 2_000

/** Who may act, for whom, by which limits, and how to make one wait. */
export function Agents() {
  const { query, key } = useFilters(FILTERS)
  const list = useResource(
    key,
    () => call('GET /api/v1/agents', { query: { limit: 50, activity: true, ...query } }),
    ['agent', 'decision'],
    SLOW_MS,
  )
  return (
    <>
      <Filters of={FILTERS} />
      <Loaded of={list}>
        {({ agents, next_cursor: cursor }) => (
          <Cards of={agents} empty="No agent matches." cursor={cursor}>
            {(one) => (
              <>
                <Link data-row href={`/agents/${one.id}`}>
                  <Named of={one} />
                </Link>
                <Facts of={one} />
                <div class="row">
                  <Link href={`/actions?agent=${one.id}`}>Its actions</Link>
                  <Link href={`/kill?agent=${encodeURIComponent(one.name)}`}>Stop it …</Link>
                  <Pause agent={one} again={list.load} />
                </div>
              </>
            )}
          </Cards>
        )}
      </Loaded>
    </>
  )
}
