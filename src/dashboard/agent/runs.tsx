import { useSearchParams } from 'wouter-preact'
import type { Agent } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Cards } from '../parts/filters.tsx'
import { Part } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

/** What it played in the sandbox, under the policy of then. */
export function AgentRuns({ of: { id } }: { of: Agent }) {
  const cursor = useSearchParams()[0].get('cursor') ?? undefined
  const list = useResource(
    `${id} ${cursor}`,
    () =>
      call('GET /api/v1/agents/{id}/sandbox/runs', { path: { id }, query: { limit: 20, cursor } }),
    ['sandbox'],
  )
  return (
    <Part label="Its sandbox runs" of={list}>
      {({ runs, next_cursor: next }) => (
        <Cards of={runs.map((one) => ({ ...one, id: one.run_id }))} empty={NONE} cursor={next}>
          {(one) => (
            <>
              <strong>
                <Said inline text={one.name === '' ? one.run_id : one.name} />
              </strong>{' '}
              <Pill of={one.status} />{' '}
              <span class="muted">
                asked by <Said inline text={one.requested_by} />, <When at={one.created_at} />
              </span>
              {one.error === undefined ? null : <Said text={one.error} />}
              {one.steps.length === 0 ? null : (
                <Shown label={`${one.steps.length} steps`} value={one.steps} />
              )}
            </>
          )}
        </Cards>
      )}
    </Part>
  )
}

const NONE = 'It played nothing: `POST /api/v1/agents/{id}/sandbox/run` does, without any effect.'
