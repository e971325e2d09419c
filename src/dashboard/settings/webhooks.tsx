import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole, needs } from '../data/api.ts'
import { useEvery } from '../data/every.ts'
import { useResource } from '../data/resource.ts'
import { useDoing } from '../parts/doing.ts'
import { Cards, Filters, useFilters } from '../parts/filters.tsx'
import { Empty, Part, Problem } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'

const LOOK_MS = 2_000
const FILTERS = [
  {
    name: 'state',
    label: 'State',
    options: ['waiting', 'sending', 'retrying', 'delivered', 'failed'],
  },
]
const VARIABLES = { approvals: 'APPROVAL_WEBHOOK_URL', alerts: 'ALERT_WEBHOOK_URL' } as const
const UNDER_WAY: ReadonlySet<string> = new Set(['waiting', 'sending', 'retrying'])

/** Where notices go, what became of them, and one to try the way with. */
export function Webhooks() {
  if (!hasRole('operator')) {
    return <Empty>What became of notices {needs('operator')}.</Empty>
  }
  return <Deliveries />
}

function Deliveries() {
  const { query, key } = useFilters(FILTERS)
  const list = useResource(key, () => call('GET /webhooks/deliveries', { query }), [
    'webhook',
    'approval',
    'alert',
    'decision',
  ])
  // That one was delivered is no entry of the record, so that nobody tells.
  const isSome = list.data.value?.deliveries.some(({ state }) => UNDER_WAY.has(state)) ?? false
  useEvery(LOOK_MS, isSome, list.load)
  return (
    <>
      <Filters of={FILTERS} />
      <Part label="Notices" of={list}>
        {({ receivers, deliveries }) => (
          <>
            <Receivers of={receivers} again={list.load} />
            <Cards of={deliveries} empty="No notice." cursor={null}>
              {(one) => <One of={one} />}
            </Cards>
          </>
        )}
      </Part>
    </>
  )
}

type Answer = Calls['GET /webhooks/deliveries']['answer']

function Receivers({ of, again }: { of: Answer['receivers']; again: () => Promise<void> }) {
  const { failure, run } = useDoing()
  const said = useSignal('')
  const test = (to: 'approvals' | 'alerts') =>
    run(async () => {
      const { id } = await call('POST /webhooks/test', { body: { to } })
      said.value = `Asked; what becomes of it stands below (${id}).`
      await again()
    })
  return (
    <>
      <dl>
        {(['approvals', 'alerts'] as const).map((to) => (
          <>
            <dt>{to}</dt>
            <dd>
              {of[to] === null ? (
                <>
                  nowhere: set <code>{VARIABLES[to]}</code>
                </>
              ) : (
                <Said inline text={of[to]} />
              )}{' '}
              <button type="button" disabled={of[to] === null} onClick={() => void test(to)}>
                Send a test of {to}
              </button>
            </dd>
          </>
        ))}
      </dl>
      <p role="status">{said.value}</p>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </>
  )
}

const One = ({ of }: { of: Answer['deliveries'][number] }) => (
  <>
    <strong>
      <Said inline text={of.type ?? of.to} />
    </strong>{' '}
    <Pill of={of.state} /> <When at={of.created_at} />, {of.attempts}{' '}
    {of.attempts === 1 ? 'attempt' : 'attempts'}
    {of.next_at === null ? null : (
      <>
        , next <When at={of.next_at} />
      </>
    )}
    {of.error === null ? null : (
      <p>
        <Said text={of.error} />
      </p>
    )}
    {of.approval === null ? null : (
      <Link href={`/approvals?id=${encodeURIComponent(of.approval)}`}>The approval</Link>
    )}
    <p class="muted">
      webhook-id <code>{of.id}</code>
    </p>
  </>
)
