import type { Diagnostic } from '../../client/api.ts'
import { Pill, Said } from './text.tsx'

const keyOf = ({ file, line, col, code, message }: Diagnostic): string =>
  `${file}:${line}:${col} ${code} ${message}`

/** What is wrong with a policy, each with its place; `onGo` leads there. */
export const Findings = ({
  of,
  onGo,
}: {
  of: readonly Diagnostic[]
  onGo?: (one: Diagnostic) => void
}) => (
  <ul class="findings">
    {of.map((one) => (
      <li key={keyOf(one)}>
        {onGo ? (
          <button type="button" class="link" onClick={() => onGo(one)}>
            <Place of={one} />
          </button>
        ) : (
          <Place of={one} />
        )}{' '}
        <Pill of={one.severity} /> {one.code}: <Said inline text={one.message} />
        {one.hint === undefined ? null : (
          <>
            {' '}
            (<Said inline text={one.hint} />)
          </>
        )}
      </li>
    ))}
  </ul>
)

const Place = ({ of: { file, line, col } }: { of: Diagnostic }) => (
  <code>
    <Said inline text={`${file}:${line}:${col}`} />
  </code>
)
