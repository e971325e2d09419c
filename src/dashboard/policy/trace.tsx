import type { JsonObject, Reason } from '../../client/api.ts'
import { Empty } from '../parts/states.tsx'
import { Pill, Said, Shown } from '../parts/text.tsx'

export const Reasons = ({ of }: { of: readonly Reason[] }) =>
  of.length === 0 ? (
    <Empty>No guard and no rule objects.</Empty>
  ) : (
    <ul>
      {of.map((one) => (
        <li key={`${one.source} ${one.code} ${one.message}`}>
          <strong>
            <Said inline text={one.code} />
          </strong>{' '}
          <Said text={one.message} />{' '}
          <span class="muted">
            of <Said inline text={one.source} />
          </span>
        </li>
      ))}
    </ul>
  )

/** Every guard and module that looked, in order: what it said, where it stands, and by what values. */
export const Trace = ({ of }: { of: readonly JsonObject[] }) => (
  <ul class="cards">
    {of.map((step, n) => (
      // The order is all that tells two steps of one source apart.
      <li key={n}>
        <Step of={step} />
      </li>
    ))}
  </ul>
)

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function Step({ of: step }: { of: JsonObject }) {
  const { source, kind, mode, outcome, location, ...more } = step
  const place = location as { file?: unknown; line?: unknown } | undefined
  return (
    <details>
      <summary>
        <Pill of={textOf(outcome)} /> <Said inline text={textOf(source)} />{' '}
        <span class="muted">
          <Said inline text={textOf(kind)} />
          {mode === 'enforce' ? null : (
            <>
              {' '}
              <Said inline text={textOf(mode)} />
            </>
          )}
          {place ? (
            <>
              {' '}
              <Said inline text={`${textOf(place.file)}:${Number(place.line)}`} />
            </>
          ) : null}
        </span>
      </summary>
      <Shown label={`What ${textOf(source)} looked at`} value={more} />
    </details>
  )
}
