import { expect } from 'chai'
import { Counters } from '../../src/agents/counters.ts'
import type { AgentState } from '../../src/agents/registry.ts'
import type { Reason, Reservation } from '../../src/model/decision.ts'
import { admit, type Asking, type Judged, type Standing } from '../../src/pipeline/admission.ts'
import type { EngagedSwitch } from '../../src/store/tx.ts'

const NOW = Date.UTC(2026, 0, 15)
const AGENT: AgentState = {
  id: 'agt_1',
  status: 'active',
  monthlyBudget: null,
  perActionLimit: null,
  thresholds: [],
  instances: null,
  executing: 0,
}
const SWITCH = { agent: '', tool: 'items.*', upstream: '', reason: 'stop' } as EngagedSwitch

const reason = (code: string, effect: Reason['effect'] = 'deny'): Reason => ({
  code,
  message: code,
  effect,
  source: code,
})

const counter = (code: string, more: Partial<Reservation> = {}): Reservation => ({
  kind: 'window',
  key: code,
  phase: 'effect',
  mode: 'enforce',
  windowMs: 60_000,
  period: null,
  limit: 10n,
  amount: 1n,
  members: [],
  thresholds: [],
  pausesAgent: false,
  exceeded: reason(code),
  ...more,
})

const RATE = counter('rate', { phase: 'request' })
const WINDOW = counter('window')
const ASKS = counter('asks', { exceeded: reason('asks', 'require_approval') })
const SHADOW = counter('shadow', { mode: 'shadow' })
const BUDGET = counter('budget', {
  kind: 'budget',
  period: 'month',
  limit: 100n,
  amount: 60n,
  thresholds: [50, 80],
  pausesAgent: true,
})
const WIDE = { ...BUDGET, exceeded: reason('budget', 'require_approval'), pausesAgent: false }

interface Row {
  readonly title: string
  readonly decision?: Partial<Judged>
  readonly asking?: Partial<Asking<Judged>>
  readonly standing?: Partial<Standing>
  /** What counters stand at to begin with, by key. */
  readonly used?: Readonly<Record<string, bigint>>
  readonly expected: readonly [outcome: string, ...reasons: string[]]
  readonly taken?: readonly string[]
  readonly crossed?: readonly number[]
  readonly pause?: string
  readonly full?: readonly string[]
  readonly shadow?: readonly string[]
}

const ALLOW = { effect: 'allow' } as const
const HOLD = { effect: 'require_approval', reasons: [reason('ask', 'require_approval')] } as const
const DENY = { effect: 'deny', reasons: [reason('no')] } as const
const paused: AgentState = { ...AGENT, status: 'paused' }
const busy: AgentState = { ...AGENT, instances: 1, executing: 1 }
const poor: AgentState = { ...AGENT, monthlyBudget: 100n, thresholds: [50] }

const TABLE: readonly Row[] = [
  { title: 'what is allowed is carried out', expected: ['execute'] },
  { title: 'what is denied is denied', decision: DENY, expected: ['deny', 'no'] },
  { title: 'what needs a person is held', decision: HOLD, expected: ['hold', 'ask'] },
  {
    title: 'the same request under a key gets the first answer, whatever has changed since',
    decision: DENY,
    standing: { prior: { isSame: true }, switches: [SWITCH], agent: paused },
    expected: ['replay'],
  },
  {
    title: 'another request under the key is a mismatch',
    standing: { prior: { isSame: false } },
    expected: ['mismatch'],
  },
  {
    title: 'a full rate comes before the kill switch, and takes nothing',
    decision: { reservations: [RATE, WINDOW] },
    standing: { switches: [SWITCH] },
    used: { rate: 10n },
    expected: ['rate_limited', 'rate'],
    full: ['rate'],
  },
  {
    title: 'asking counts although the switch is engaged',
    decision: { reservations: [RATE, WINDOW] },
    standing: { switches: [SWITCH] },
    expected: ['deny', 'kill_switch_engaged'],
    taken: ['rate'],
  },
  {
    title: 'a switch for others stops nothing',
    standing: { switches: [{ ...SWITCH, tool: 'mail.*' }] },
    expected: ['execute'],
  },
  {
    title: 'the switch comes before the status, and the status before the policy',
    decision: DENY,
    standing: { switches: [SWITCH], agent: paused },
    expected: ['deny', 'kill_switch_engaged'],
  },
  {
    title: 'a paused agent is denied before the policy is heard',
    decision: DENY,
    standing: { agent: paused },
    expected: ['deny', 'agent_paused'],
  },
  {
    title: 'an approved action of a paused agent waits until it is resumed',
    asking: { stage: 'approved' },
    decision: DENY,
    standing: { agent: paused },
    expected: ['later', 'agent_paused'],
  },
  {
    title: 'one of an agent that was stopped for good does not',
    asking: { stage: 'approved' },
    standing: { agent: { ...AGENT, status: 'stopped' } },
    expected: ['deny', 'agent_paused'],
  },
  {
    title: 'an agent that is gone is denied',
    standing: { agent: undefined },
    expected: ['deny', 'agent_paused'],
  },
  {
    title: 'what is carried out takes rates, windows and budgets, and crosses thresholds',
    decision: { reservations: [RATE, WINDOW, BUDGET] },
    expected: ['execute'],
    taken: ['rate', 'window', 'budget'],
    crossed: [50],
  },
  {
    title: 'what is held takes its rate alone',
    decision: { ...HOLD, reservations: [RATE, WINDOW, BUDGET] },
    expected: ['hold', 'ask'],
    taken: ['rate'],
  },
  {
    title: 'a full window denies and says which',
    decision: { reservations: [WINDOW] },
    used: { window: 10n },
    expected: ['deny', 'window'],
    full: ['window'],
  },
  {
    title: 'beside a budget that does not fit, a full window is no matter of time',
    decision: { reservations: [WINDOW, BUDGET] },
    used: { window: 10n, budget: 50n },
    expected: ['deny', 'window', 'budget'],
    pause: 'budget',
  },
  {
    title: 'a limit that asks for a person holds what is allowed',
    decision: { reservations: [ASKS] },
    used: { asks: 10n },
    expected: ['hold', 'asks'],
  },
  {
    title: 'a limit that denies beats one that asks',
    decision: { reservations: [ASKS, WINDOW] },
    used: { asks: 10n, window: 10n },
    expected: ['deny', 'window'],
    full: ['window'],
  },
  {
    title: 'over a budget that pauses, the agent is paused',
    decision: { reservations: [BUDGET] },
    used: { budget: 50n },
    expected: ['deny', 'budget'],
    pause: 'budget',
  },
  {
    title: 'a dry run pauses nobody and takes its rate alone',
    decision: { reservations: [RATE, BUDGET] },
    asking: { stage: 'dry_run' },
    used: { budget: 50n },
    expected: ['deny', 'budget'],
    taken: ['rate'],
  },
  {
    title: 'a dry run of what would be carried out needs no instance',
    decision: { reservations: [RATE, WINDOW] },
    asking: { stage: 'dry_run' },
    standing: { agent: busy },
    expected: ['execute'],
    taken: ['rate'],
  },
  {
    title: 'limits in shadow say what they would have refused, and are taken beyond',
    decision: { reservations: [SHADOW] },
    used: { shadow: 10n },
    expected: ['execute'],
    taken: ['shadow'],
    shadow: ['shadow'],
  },
  {
    title: 'a budget in shadow that does not fit is not taken: the database would refuse it',
    decision: { reservations: [{ ...BUDGET, mode: 'shadow' }] },
    used: { budget: 50n },
    expected: ['execute'],
    shadow: ['budget'],
  },
  {
    title: 'without an instance it waits its turn, and has counted as asking',
    decision: { reservations: [RATE, WINDOW] },
    standing: { agent: busy },
    expected: ['rate_limited', 'instances_busy'],
    taken: ['rate'],
  },
  {
    title: 'what happens elsewhere needs no instance',
    asking: { stage: 'accounted' },
    standing: { agent: busy },
    expected: ['execute'],
  },
  {
    title: 'the same request that is held already is joined',
    decision: HOLD,
    standing: { joinable: true },
    expected: ['join', 'ask'],
  },
  {
    title: 'what is allowed joins nothing',
    standing: { joinable: true },
    expected: ['execute'],
  },
  {
    title: 'an approved action takes what it costs, and crosses thresholds like any other',
    decision: { ...HOLD, reservations: [RATE, BUDGET] },
    asking: { stage: 'approved' },
    used: { rate: 10n },
    expected: ['execute', 'ask'],
    taken: ['budget'],
    crossed: [50],
  },
  {
    title: 'an approved action waits for a window that is full',
    decision: { ...HOLD, reservations: [WINDOW] },
    asking: { stage: 'approved' },
    used: { window: 1_000n },
    expected: ['later', 'window'],
  },
  {
    title: 'an approved action over its budget pauses the agent like any other',
    decision: { ...HOLD, reservations: [BUDGET] },
    asking: { stage: 'approved' },
    used: { budget: 60n },
    expected: ['deny', 'budget'],
    pause: 'budget',
  },
  {
    title: 'over a budget that asks, what a person agreed to is carried out uncharged',
    decision: { reservations: [WIDE] },
    asking: { stage: 'approved' },
    used: { budget: 60n },
    expected: ['execute'],
  },
  {
    title: 'an approved action waits for the kill switch',
    decision: HOLD,
    asking: { stage: 'approved' },
    standing: { switches: [SWITCH] },
    expected: ['later', 'kill_switch_engaged'],
  },
  {
    title: 'an approved action waits for an instance',
    decision: HOLD,
    asking: { stage: 'approved' },
    standing: { agent: busy },
    expected: ['later', 'instances_busy'],
  },
  {
    title: 'an approved action that the policy denies by now is denied',
    decision: DENY,
    asking: { stage: 'approved' },
    expected: ['deny', 'no'],
  },
  {
    title: 'one that is dearer than the agent may is denied, and its rate counts',
    decision: { reservations: [RATE, WINDOW] },
    asking: { costMicros: 11n },
    standing: { agent: { ...AGENT, perActionLimit: 10n } },
    expected: ['deny', 'per_action_limit_exceeded'],
    taken: ['rate'],
  },
  {
    title: "what it costs is charged to the agent's own month",
    asking: { costMicros: 60n },
    standing: { agent: poor },
    expected: ['execute'],
    taken: ['own:agent:agt_1'],
    crossed: [50],
  },
  {
    title: "over the agent's own month it is paused",
    asking: { costMicros: 60n, stage: 'accounted' },
    standing: { agent: poor },
    used: { 'own:agent:agt_1': 50n },
    expected: ['deny', 'budget_exceeded'],
    pause: 'budget_exceeded',
  },
]

describe('admission', () => {
  for (const row of TABLE) it(row.title, () => check(row))

  it('judges and changes nothing: asked twice, it says the same twice', () => {
    const [asking, standing] = setUp({
      title: '',
      decision: { reservations: [RATE, { ...WINDOW, limit: 1n }, BUDGET] },
      expected: [''],
    })
    expect(admit(asking, standing)).to.deep.equal(admit(asking, standing))
  })
})

function check(row: Row): void {
  const verdict = admit(...setUp(row))
  const codes = (reasons: readonly Reason[]) => reasons.map(({ code }) => code)
  const keys = (reservations: readonly Reservation[]) => reservations.map(({ key }) => key)
  expect([verdict.outcome, ...codes(verdict.reasons)]).to.deep.equal(row.expected)
  expect(keys(verdict.taken), 'taken').to.deep.equal(row.taken ?? [])
  const crossed = verdict.crossed.map(({ percent }) => percent)
  expect(crossed, 'crossed').to.deep.equal(row.crossed ?? [])
  expect(verdict.pause?.code, 'pause').to.equal(row.pause)
  expect(keys(verdict.full), 'full').to.deep.equal(row.full ?? [])
  expect(codes(verdict.decision.shadow), 'shadow').to.deep.equal(row.shadow ?? [])
}

function setUp(row: Row): [Asking<Judged>, Standing] {
  const decision = { ...ALLOW, reasons: [], shadow: [], reservations: [], ...row.decision }
  const counters = Counters.simulated(NOW, (key) => row.used?.[key] ?? 0n)
  const agent = row.standing && 'agent' in row.standing ? row.standing.agent : AGENT
  const own = { ...counter('own:agent:agt_1', { kind: 'budget', period: 'month' }) }
  counters.prepare([...decision.reservations, own])
  return [
    {
      decision,
      costMicros: 0n,
      target: { agentId: 'agt_1', agentName: 'a', tool: 'items.get', upstream: 'items' },
      stage: 'action',
      ...row.asking,
    },
    { switches: [], counters, ...row.standing, agent },
  ]
}
