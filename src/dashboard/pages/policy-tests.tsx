import { useSignal } from '@preact/signals'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { Pill, Said } from '../parts/text.tsx'

/** Every test of the live policy, run when somebody asks. */
export function Tests() {
  const runs = useSignal(0)
  return (
    <section aria-label="Tests">
      <Asked label="Run all tests" again={runs} />
      {runs.value > 0 ? <Results key={runs.value} /> : null}
    </section>
  )
}

function Asked({ label, again }: { label: string; again: { value: number } }) {
  const may = hasRole('operator')
  return (
    <>
      <button
        type="button"
        class="main"
        disabled={!may}
        onClick={() => {
          again.value++
        }}
      >
        {label}
      </button>
      {may ? null : <p class="muted">This needs the role operator.</p>}
    </>
  )
}

function Results() {
  const tests = useResource('tests', () => call('POST /policy/test', { body: {} }))
  return (
    <Loaded of={tests}>
      {({ passed, failed, todo, results, coverage }) => (
        <div role="status">
          <p>
            <strong>{passed}</strong> passed, <strong>{failed}</strong> failed, {todo} to do
            {coverage === null ? null : `; tests reach ${coverage.percent} % of the lines of Rego`}
          </p>
          {results.length === 0 ? (
            <Empty>There are no tests: rules `test_…` in *_test.rego, and tests/*.yaml.</Empty>
          ) : null}
          <ul class="cards">
            {results
              .toSorted((a, b) => Number(a.outcome === 'passed') - Number(b.outcome === 'passed'))
              .map((one) => (
                <li key={`${one.file}:${one.line} ${one.name}`}>
                  <Pill of={one.outcome} /> <Said inline text={one.name} />{' '}
                  <code>
                    <Said inline text={`${one.file}:${one.line}`} />
                  </code>
                  {one.want === undefined ? null : (
                    <p>
                      wanted <Said inline text={one.want} />, got{' '}
                      <Said inline text={one.got ?? ''} />
                    </p>
                  )}
                  {one.stopped === undefined ? null : (
                    <p>
                      stopped at <Said text={one.stopped} />
                    </p>
                  )}
                </li>
              ))}
          </ul>
        </div>
      )}
    </Loaded>
  )
}

/** As many are in one table. */
const AGENTS_MAX = 200

/** What each agent may do with each tool, by the live policy. */
export function Matrix() {
  const asked = useSignal(0)
  return (
    <section aria-label="Who may what">
      <Asked label="Ask for every agent" again={asked} />
      {asked.value > 0 ? <Table key={asked.value} /> : null}
    </section>
  )
}

function Table() {
  const matrix = useResource('matrix', async () => {
    const { agents } = await call('GET /api/v1/agents', { query: { limit: AGENTS_MAX } })
    if (agents.length === 0) return null
    return call('POST /policy/matrix', { body: { agents: agents.map(({ name }) => name) } })
  })
  return (
    <Loaded of={matrix}>
      {(asked) =>
        asked === null ? (
          <Empty>There is no agent.</Empty>
        ) : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Agents and tools">
            <table>
              <caption>`depends`: on the args, on what was done before, or on a module</caption>
              <thead>
                <tr>
                  <th scope="col">agent</th>
                  {asked.tools.map((tool) => (
                    <th key={tool} scope="col">
                      <Said inline text={tool} />
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {asked.rows.map((row) => (
                  <tr key={row.agent}>
                    <th scope="row">
                      <Said inline text={row.agent} />
                    </th>
                    {row.may.map((one, at) => (
                      <td key={asked.tools[at]}>
                        <Pill of={one} />
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Loaded>
  )
}
