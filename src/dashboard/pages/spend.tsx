import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Choice } from '../parts/dialog.tsx'
import { useSay } from '../parts/filters.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, RowHead, Said } from '../parts/text.tsx'

const SLOW_MS = 2_000
const MONTHS = 13
const AGENTS_MAX = 200
const KINDS = ['outcome', 'agent', 'approval', 'action']

/** Who spends, of which budget, and how far it reaches. Amounts are the gate's own text and never added up here. */
export function Spend() {
  const [params] = useSearchParams()
  const agent = params.get('agent')
  const month = params.get('month') ?? undefined
  return (
    <>
      <Month />
      {agent === null ? (
        <>
          <All month={month} />
          {month === undefined ? <Guards /> : null}
        </>
      ) : (
        <>
          <p>
            <Link href={month === undefined ? '/spend' : `/spend?month=${month}`}>All agents</Link>
          </p>
          <MonthOfAgent id={agent} month={month} />
        </>
      )}
    </>
  )
}

/** The months that there may be something of, newest first: `YYYY-MM`, UTC. */
function monthsBack(now: Date): string[] {
  return Array.from({ length: MONTHS }, (_, n) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - n, 1)).toISOString().slice(0, 7),
  )
}

function Month() {
  const [params] = useSearchParams()
  const say = useSay()
  return (
    <div class="row filters">
      <Choice
        label="Month (UTC)"
        value={params.get('month') ?? ''}
        options={[['', 'this month'], ...monthsBack(new Date()).map((one) => [one, one] as const)]}
        onChoose={say('month')}
      />
    </div>
  )
}

type Spent = Calls['GET /api/v1/spend']['answer']

function All({ month }: { month: string | undefined }) {
  const spend = useResource(
    month ?? '',
    async () => {
      const [money, { agents }] = await Promise.all([
        call('GET /api/v1/spend', { query: { month } }),
        call('GET /api/v1/agents', { query: { limit: AGENTS_MAX } }),
      ])
      return { money, limits: new Map(agents.map((one) => [one.id, one.monthly_budget])) }
    },
    KINDS,
    SLOW_MS,
  )
  return (
    <Part label="Agents" of={spend}>
      {({ money, limits }) => (
        <>
          <p>
            <strong>{money.spent}</strong> spent in {money.month}
          </p>
          {money.agents.length === 0 ? (
            <Empty>
              Nothing was spent. What has a cost is charged: an action that declares one, or a
              report.
            </Empty>
          ) : (
            <Agents of={money.agents} limits={limits} month={money.month} />
          )}
          <Types of={money.by_type} />
        </>
      )}
    </Part>
  )
}

function Agents({
  of,
  limits,
  month,
}: {
  of: Spent['agents']
  limits: ReadonlyMap<string, string | number | null>
  month: string
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Spend by agent">
      <table>
        <caption>By agent, those who spent most first</caption>
        <thead>
          <tr>
            <th scope="col">agent</th>
            <th scope="col">spent</th>
            <th scope="col">reserved</th>
            <th scope="col">limit now</th>
            <th scope="col">used</th>
          </tr>
        </thead>
        <tbody>
          {of.map((one) => (
            <tr key={one.agent}>
              <th scope="row">
                <Link data-row href={`/spend?agent=${one.agent}&month=${month}`}>
                  <Said inline text={one.name ?? one.agent} />
                </Link>
              </th>
              <td>{one.spent}</td>
              <td>{one.reserved}</td>
              <td>{limits.get(one.agent) ?? 'none'}</td>
              <td>
                <Used percent={percentOf(one, limits.get(one.agent) ?? null)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const MICROS = 1_000_000n

/** Micro-units of an amount as the gate writes it. */
function micros(amount: string | number): bigint {
  const [whole = '0', part = ''] = String(amount).split('.')
  return BigInt(whole) * MICROS + BigInt(part.padEnd(6, '0').slice(0, 6))
}

function percentOf(
  { spent, reserved }: { readonly spent: string; readonly reserved: string },
  limit: string | number | null,
): number | null {
  if (limit === null) return null
  const most = micros(limit)
  return most === 0n ? null : Number(((micros(spent) + micros(reserved)) * 100n) / most)
}

const FULL = 100
const NEAR = 80

/** How much of a budget is used, in a number, a shape and, where it is near its end, a word. */
function Used({ percent }: { percent: number | null }) {
  if (percent === null) return <span class="muted">no bound</span>
  return (
    <>
      {percent} %{' '}
      <meter aria-label={`${percent} percent used`} min={0} max={FULL} value={percent} />{' '}
      {percent >= FULL ? (
        <Pill of="used up" />
      ) : percent >= NEAR ? (
        <Pill of="near its end" />
      ) : null}
    </>
  )
}

function Types({ of }: { of: Spent['by_type'] }) {
  if (of.length === 0) return null
  return (
    <table>
      <caption>Reported, by type of action</caption>
      <thead>
        <tr>
          <th scope="col">type</th>
          <th scope="col">actions</th>
          <th scope="col">failed</th>
          <th scope="col">spent</th>
        </tr>
      </thead>
      <tbody>
        {of.map((one) => (
          <tr key={one.type}>
            <RowHead text={one.type} />
            <td>{one.actions}</td>
            <td>{one.failures}</td>
            <td>{one.spent}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Guards() {
  const budgets = useResource('budgets', () => call('GET /budgets'), KINDS, SLOW_MS)
  return (
    <Part
      label="Budgets of the policy"
      of={budgets}
      before={
        <>
          <h2>Budgets of the policy, as they stand now</h2>
        </>
      }
    >
      {({ budgets: all }) =>
        all.length === 0 ? (
          <Empty>No budget of the policy was taken from in its period.</Empty>
        ) : (
          <ul class="cards">
            {all.map((one) => (
              <li key={`${one.guard} ${one.period} ${one.scope} ${one.of}`}>
                <strong>
                  <Said inline text={one.guard} />
                </strong>{' '}
                {one.scope}
                {one.scope === 'global' ? null : (
                  <>
                    {' '}
                    <Said inline text={one.name ?? one.of} />
                  </>
                )}
                , each {one.period}: {one.spent} spent, {one.reserved} reserved, {one.remaining}{' '}
                left of {one.limit} <Used percent={one.percent} />
              </li>
            ))}
          </ul>
        )
      }
    </Part>
  )
}

/** What one agent spent in a month, of its own budget. */
export function MonthOfAgent({ id, month }: { id: string; month: string | undefined }) {
  const one = useResource(
    `${id} ${month}`,
    () => call('GET /api/v1/agents/{id}/spend', { path: { id }, query: { month } }),
    KINDS,
    SLOW_MS,
  )
  return (
    <Part label="One agent" of={one}>
      {(spend) => (
        <>
          <h2>
            <Said inline text={spend.name} />
          </h2>
          <dl>
            <dt>month</dt>
            <dd>{spend.month}</dd>
            <dt>spent</dt>
            <dd>{spend.spent}</dd>
            <dt>reserved</dt>
            <dd>{spend.reserved}</dd>
            <dt>limit</dt>
            <dd>{spend.limit ?? 'none'}</dd>
            <dt>left</dt>
            <dd>{spend.remaining ?? 'no bound'}</dd>
            <dt>used</dt>
            <dd>
              <Used percent={spend.percent} />
            </dd>
          </dl>
          <Types of={spend.by_type} />
          <p>
            <Link href={`/actions?agent=${spend.agent}`}>Its actions</Link>
          </p>
        </>
      )}
    </Part>
  )
}
