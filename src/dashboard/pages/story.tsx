import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Loaded } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

/** One action: what was asked, what was decided and why, and what became of it. */
export function Story({ id }: { id: string }) {
  const path = { id }
  const both = useResource(
    id,
    async () => ({
      action: await call('GET /actions/{id}', { path }),
      why: await call('GET /actions/{id}/explain', { path }),
    }),
    ['decision', 'outcome', 'approval', 'action'],
  )
  return (
    <Loaded of={both}>
      {({ action, why }) => (
        <>
          <h2>
            {action.request.action.name} <Pill of={action.status} /> decided{' '}
            <Pill of={action.effect} />
          </h2>
          <p>
            <code>{action.id}</code> by <Said inline text={action.agent_name ?? action.agent} />,
            policy <code>{action.revision.slice(0, 12)}</code>
          </p>
          {action.error ? (
            <p class="problem">
              <strong>{action.error.code}</strong> <Said text={action.error.message} />
            </p>
          ) : null}
          <ol class="story">
            {(why.audit ?? []).map((entry) => (
              <li key={entry.seq as number}>
                <When exact at={entry.at as string} /> <strong>{entry.kind as string}</strong>{' '}
                <span class="muted">entry {entry.seq as number}</span>
              </li>
            ))}
          </ol>
          <h3>Why</h3>
          <Shown label="Reasons" value={why.reasons ?? []} />
          <h3>Guards that looked</h3>
          <Shown label="Trace" value={why.trace ?? []} />
          <h3>What was asked</h3>
          <Shown label="Request" value={action.request} />
          {action.result ? <Shown label="Result" value={action.result} /> : null}
        </>
      )}
    </Loaded>
  )
}
