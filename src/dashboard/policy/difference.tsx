import type { Calls } from '../../client/api.ts'
import { Empty } from '../parts/states.tsx'
import { Pill, Said, Shown } from '../parts/text.tsx'

type Both = Pick<Calls['GET /policy/diff']['answer'], 'files' | 'meaning'>

/** What differs between two policies: what it means first, then the lines. */
export const Difference = ({ of: { files, meaning } }: { of: Both }) => (
  <>
    <h2>What it means</h2>
    {meaning.length === 0 ? <Empty>Nothing that decides differs.</Empty> : null}
    <ul class="cards">
      {meaning.map((one) => (
        <li key={`${one.kind} ${one.name}`}>
          <Pill of={one.change} /> {one.kind} <Said inline text={one.name} />
          <details>
            <summary>before and after</summary>
            <Shown label={`${one.name} before`} value={one.before} />
            <Shown label={`${one.name} after`} value={one.after} />
          </details>
        </li>
      ))}
    </ul>
    <h2>Files</h2>
    {files.map((one) => (
      <section key={one.path} aria-label={one.path}>
        <h3>
          <Said inline text={one.path} /> <Pill of={one.change} />
        </h3>
        {one.diff === null ? (
          <Empty>No text, or too much of it differs.</Empty>
        ) : (
          <Shown label={`difference of ${one.path}`} value={one.diff} />
        )}
      </section>
    ))}
  </>
)
