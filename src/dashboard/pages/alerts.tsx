import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { useDoing } from '../parts/doing.ts'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Loaded, Problem } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'

const FILTERS = [
  { name: 'state', label: 'State', options: ['open', 'acknowledged'] },
  { name: 'type', label: 'Type' },
  { name: 'agent', label: 'Agent' },
]

/** What the gate wants somebody to look at, and who did. */
export function Alerts() {
  const { query, key } = useFilters(FILTERS)
  const { failure, run } = useDoing()
  const list = useResource(
    key,
    () => call('GET /api/v1/alerts', { query: { limit: 50, ...query } }),
    ['alert'],
  )
  const acknowledge = (id: string) =>
    run(async () => {
      await call('POST /api/v1/alerts/{id}/acknowledge', { path: { id }, body: {} })
      await list.load()
    })
  return (
    <>
      <Filters of={FILTERS} />
      {failure.value ? <Problem failure={failure.value} /> : null}
      <Loaded of={list}>
        {({ alerts, open, next_cursor: cursor }) => (
          <>
            <p>{open} open</p>
            <Cards of={alerts} empty="No alert matches." cursor={cursor}>
              {(one) => (
                <>
                  <strong>{one.type}</strong> <Pill of={one.state} />{' '}
                  <span class="muted">
                    <When at={one.at} />
                  </span>
                  <p>
                    <Said text={one.message} />
                  </p>
                  {one.state === 'open' ? (
                    <button
                      type="button"
                      disabled={!hasRole('operator')}
                      onClick={() => void acknowledge(one.id)}
                    >
                      Acknowledge
                    </button>
                  ) : (
                    <span class="muted">
                      by <Said inline text={one.acknowledged_by ?? ''} />
                    </span>
                  )}
                </>
              )}
            </Cards>
          </>
        )}
      </Loaded>
    </>
  )
}
