// Bars over time, as shapes whose numbers stand below in a table: a picture alone says nothing to whoever does not see
// it, and not how many to anybody.

export interface Line {
  readonly name: string
  readonly points: readonly number[]
  /** What it is drawn in: the word of a state; without one, a shade of its own among four. */
  readonly tone?: 'ok' | 'bad' | 'warn'
}

const WIDTH = 600
const HEIGHT = 90
const SHADES = 4

/** `labels`: what each step is called. */
export function Bars({
  lines,
  labels,
  title,
}: {
  lines: readonly Line[]
  labels: readonly string[]
  title: string
}) {
  const total = (at: number) => lines.reduce((all, { points }) => all + (points[at] ?? 0), 0)
  const most = Math.max(...labels.map((_, at) => total(at)), 0)
  const sums = lines.map(({ name, points }) => `${name} ${sum(points)}`)
  return (
    <figure>
      <figcaption>
        {title}: <strong>{sums.join(', ') || 'none'}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: ${sums.join(', ')}; at most ${most} in a step`}
      >
        {labels.map((label, at) => (
          <Stack key={label} lines={lines} at={at} of={labels.length} most={most} />
        ))}
      </svg>
      <details>
        <summary>Numbers</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title}, numbers`}>
          <Numbers lines={lines} labels={labels} />
        </div>
      </details>
    </figure>
  )
}

const STEP_TIME = new Intl.DateTimeFormat(undefined, {
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  hour12: false,
})

/** What the steps of a series are called: when they begin. */
export function labelsOf({
  since,
  until,
  step_s: step,
}: {
  since: string
  until: string
  step_s: number
}): string[] {
  const [from, to] = [Date.parse(since), Date.parse(until)]
  const count = Math.ceil((to - from) / (step * 1000))
  return Array.from({ length: count }, (_, n) => STEP_TIME.format(new Date(from + n * step * 1000)))
}

const sum = (points: readonly number[]): number => points.reduce((all, one) => all + one, 0)

interface StackProps {
  readonly lines: readonly Line[]
  readonly at: number
  readonly of: number
  readonly most: number
}

function Stack({ lines, at, of, most }: StackProps) {
  let below = 0
  return (
    <>
      {lines.map(({ name, points, tone }, n) => {
        const height = most === 0 ? 0 : ((points[at] ?? 0) / most) * HEIGHT
        below += height
        return height === 0 ? null : (
          <rect
            key={name}
            class={tone ?? `shade-${n % SHADES}`}
            x={(at * WIDTH) / of}
            y={HEIGHT - below}
            width={Math.max(WIDTH / of - 1, 0.5)}
            height={height}
          />
        )
      })}
    </>
  )
}

function Numbers({ lines, labels }: { lines: readonly Line[]; labels: readonly string[] }) {
  const shown = labels.map((label, at) => ({ label, at })).filter(({ at }) => someAt(lines, at))
  if (shown.length === 0) return <p class="muted">Nothing in this time.</p>
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">from</th>
          {lines.map(({ name }) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {shown.map(({ label, at }) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            {lines.map(({ name, points }) => (
              <td key={name}>{points[at] ?? 0}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const someAt = (lines: readonly Line[], at: number): boolean =>
  lines.some(({ points }) => (points[at] ?? 0) > 0)
