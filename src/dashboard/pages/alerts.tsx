import { useSignal } from '@preact/signals'
import { call, type Failure, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
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
  const failure = useSignal<Failure | undefined>(undefined)
  const list = useResource(
    key,
    () => call('GET /api/v1/alerts', { query: { limit: 50, ...query } }),
    ['alert'],
  )
  const acknowledge = async (id: string) => {
    try {
      await call('POST /api/v1/alerts/{id}/acknowledge', { path: { id }, body: {} })
      failure.value = undefined
      await list.load()
    } catch (error) {
      failure.value = error as Failure
    }
  }
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
