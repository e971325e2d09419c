import { useSignal } from '@preact/signals'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { Pill, Said } from '../parts/text.tsx'
import { draftNow } from './base.ts'
import type { SentFile } from './draft.ts'
import { Asked, sideOf, Under } from './under.tsx'

/** Every test of the live policy or of the draft, run when somebody asks. */
export function Tests() {
  const runs = useSignal(0)
  const side = sideOf()
  return (
    <section aria-label="Tests">
      <Under />
      <Asked label="Run all tests" again={runs} may={hasRole('operator')} />
      {runs.value > 0 ? (
        <Results
          key={`${side} ${runs.value}`}
          files={side === 'draft' ? draftNow : async () => undefined}
        />
      ) : null}
    </section>
  )
}

type Tested = Calls['POST /policy/test']['answer']
type Result = Tested['results'][number]

/** How the tests of these files end; of none, those of the live policy. */
export function Results({
  files,
  onGo,
}: {
  files: () => Promise<Readonly<Record<string, SentFile>> | undefined>
  onGo?: (place: { file: string; line: number; col: number }) => void
}) {
  const tests = useResource('tests', async () =>
    call('POST /policy/test', { body: { files: await files() } }),
  )
  return (
    <Loaded of={tests}>
      {({ passed, failed, todo, results, coverage }) => (
        <div>
          <p role="status">
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
                  <Outcome of={one} {...(onGo ? { onGo } : {})} />
                </li>
              ))}
          </ul>
          <Missed of={coverage?.missed ?? {}} />
        </div>
      )}
    </Loaded>
  )
}

function Outcome({
  of: one,
  onGo,
}: {
  of: Result
  onGo?: (place: { file: string; line: number; col: number }) => void
}) {
  const place = (
    <code>
      <Said inline text={`${one.file}:${one.line}`} />
    </code>
  )
  return (
    <>
      <Pill of={one.outcome} /> <Said inline text={one.name} />{' '}
      {onGo ? (
        <button type="button" class="link" onClick={() => onGo({ ...one, col: 1 })}>
          {place}
        </button>
      ) : (
        place
      )}
      {one.want === undefined ? null : (
        <p>
          wanted <Said inline text={one.want} />, got <Said inline text={one.got ?? ''} />
        </p>
      )}
      {one.stopped === undefined ? null : (
        <p>
          stopped at <Said text={one.stopped} />
        </p>
      )}
      {one.outcome === 'failed' && one.decided_by !== undefined ? (
        <p>
          decided by <Said inline text={one.decided_by.join(', ')} />
        </p>
      ) : null}
    </>
  )
}

function Missed({ of }: { of: Readonly<Record<string, readonly number[]>> }) {
  const files = Object.entries(of).filter(([, lines]) => lines.length > 0)
  if (files.length === 0) return null
  return (
    <details>
      <summary>Lines that no test reaches</summary>
      <ul>
        {files.map(([file, lines]) => (
          <li key={file}>
            <Said inline text={file} />: {lines.join(', ')}
          </li>
        ))}
      </ul>
    </details>
  )
}
