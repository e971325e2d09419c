import { Link } from 'wouter-preact'
import type { Calls, JsonObject, Reason } from '../../client/api.ts'
import { Empty } from '../parts/states.tsx'
import { Pill, RowHead, Said, When } from '../parts/text.tsx'
import { Reasons, Trace } from './trace.tsx'

type Whole = NonNullable<Calls['GET /policy/replays/{id}']['answer']['report']>
type Rule = Whole['rules'][number]
type Example = Rule['examples'][number]

const COUNTS = [
  ['new_allow', 'now allowed', 'warn'],
  ['new_deny', 'now denied', 'bad'],
  ['new_hold', 'now held', 'warn'],
  ['errors', 'failed to decide', 'bad'],
] as const

/** How it came out: the counts, then what made the difference, by rule. */
export const Report = ({ of }: { of: Whole }) => (
  <>
    <ul class="tiles" aria-label="Counts">
      <li class="tile">
        <strong>{of.same}</strong>
        <span class="muted">the same, of {of.decisions}</span>
      </li>
      {COUNTS.map(([name, label, tone]) => (
        <li key={name} class={`tile ${of[name] > 0 ? tone : ''}`}>
          <strong>{of[name]}</strong>
          <span class="muted">{label}</span>
        </li>
      ))}
    </ul>
    <p class="muted">
      {of.by_policy} because the policy says something else, {of.by_counter} because a counter
      stands elsewhere.
      {of.sampled ? ' Some were taken, evenly, and not all.' : ''}
      {of.truncated ? ' More was asked for than one replay decides again.' : ''}
    </p>
    <Unplayable of={of} />
    <h2>What made the difference</h2>
    {of.rules.length === 0 ? <Empty>Nothing came out otherwise.</Empty> : null}
    <ul class="cards">
      {of.rules.map((rule) => (
        <li key={`${rule.from} ${rule.to} ${rule.source} ${rule.code} ${rule.file} ${rule.line}`}>
          <OneRule of={rule} />
        </li>
      ))}
    </ul>
    {of.rules_omitted === 0 ? null : <p class="muted">{of.rules_omitted} more rules</p>}
    <div class="pair">
      <Named label="agent" of={of.agents} />
      <Named label="tool" of={of.tools} />
    </div>
  </>
)

function Unplayable({ of }: { of: Whole }) {
  const all = Object.entries(of.unplayable).filter(([, n]) => n > 0)
  return (
    <>
      {all.length === 0 ? null : (
        <p>
          Cannot be decided again:{' '}
          {all.map(([why, n]) => `${n} ${why.replaceAll('_', ' ')}`).join(', ')}
        </p>
      )}
      {of.begun_at_zero.length === 0 ? null : (
        <p>
          Begun at zero, since the record does not know their counters:{' '}
          <Said inline text={of.begun_at_zero.join(', ')} />
        </p>
      )}
    </>
  )
}

const OneRule = ({ of: rule }: { of: Rule }) => (
  <>
    <p>
      <strong>{rule.count}</strong> <Pill of={rule.from} /> → <Pill of={rule.to} />{' '}
      <Said inline text={rule.code} />{' '}
      <span class="muted">
        of <Said inline text={rule.source} />
        {rule.file === null ? null : (
          <>
            {' '}
            <Said inline text={`${rule.file}:${rule.line ?? 1}`} />
          </>
        )}
        {rule.policy === 'recorded' ? ', by the policy of then' : ''}
        {rule.made_by === 'counter' ? ', by a counter' : ''}
      </span>
    </p>
    <p>
      <Said text={rule.message} />
    </p>
    {rule.examples.map((one) => (
      <details key={one.action_id}>
        <summary>
          <Said inline text={one.tool} /> by <Said inline text={one.agent} />, <When at={one.at} />
        </summary>
        <p>
          <Link href={`/actions/${one.action_id}`}>The action's story</Link>
        </p>
        <div class="pair">
          <SideOf label="Then" of={one.recorded} />
          <SideOf label="By this policy" of={one.candidate} />
        </div>
      </details>
    ))}
  </>
)

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const reasonOf = ({ code, message, source }: JsonObject): Reason => ({
  code: textOf(code),
  message: textOf(message),
  source: textOf(source),
})

const SideOf = ({ label, of }: { label: string; of: Example['recorded'] }) => (
  <div>
    <h3>{label}</h3>
    <Reasons of={of.reasons.map(reasonOf)} />
    <Trace of={of.trace} />
  </div>
)

const Named = ({ label, of }: { label: string; of: Whole['agents'] }) =>
  of.length === 0 ? null : (
    <table>
      <caption>Came out otherwise, by {label}</caption>
      <thead>
        <tr>
          <th scope="col">{label}</th>
          <th scope="col">changed</th>
        </tr>
      </thead>
      <tbody>
        {of.map(({ name, changed }) => (
          <tr key={name}>
            <RowHead text={name} />
            <td>{changed}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
