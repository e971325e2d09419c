import { expect } from 'chai'
import pg from 'pg'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE } from '../support/policies.ts'

const POLICY = GATE.replace(
  'rate_limits:\n  - { limit: 100000, per_s: 1 }',
  `guards:
  - { id: few, kind: bulk_limit, tools: [items.get], windows: [{ count: actions, limit: 2, per_s: 3600 }] }
  - { id: risky, kind: risk_patterns, sets: [command_execution] }
  - { id: flag, kind: do_not_contact, tools: [mail.send], recipients: [/id], ids: true, flag: { fact: person, pointer: /blocked, equals: true } }
  - { id: night, kind: time_window, tools: [people.get], from: '08:00', to: '18:00', timezone: UTC }
  - { id: odd, kind: permissions, mode: shadow, roles: [worker], tools: [items.list], effect: deny }
budgets:
  - { id: spend, limit: '1.00', period: month }
  - { id: each, per_action_limit: '0.60' }
rate_limits:
  - { id: rate, limit: 50, per_s: 1 }`,
)

const codeOf = ({ status, body }: Answer) => [status, body.error?.code]

describe('sandbox runs', () => {
  let gate: TestGate
  let agent: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'gate.yaml': POLICY } })
    agent = await gate.agent('rehearsing')
  })
  after(() => gate.stop())

  const queue = (
    scenario: object,
    options: { key?: string; id?: string; headers?: Record<string, string> } = {},
  ) => {
    const { id = 'rehearsing', ...rest } = options
    return gate.call('POST', `/api/v1/agents/${id}/sandbox/run`, { body: { scenario }, ...rest })
  }
  const read = async (id: string, key = ADMIN) =>
    (await gate.call('GET', `/api/v1/sandbox/runs/${id}`, { key })).body
  const finished = async (id: string) => {
    await until(
      'the run is over',
      async () => !['queued', 'running'].includes((await read(id)).status),
    )
    return read(id)
  }
  const play = async (scenario: object, key = ADMIN) => {
    const answer = await queue(scenario, { key })
    expect(answer.status, answer.text).to.equal(202)
    expect(answer.body).to.include({ ok: true, status: 'queued' })
    return finished(answer.body.run_id)
  }
  const codes = (run: { steps: { effect: string; reasons: { code: string }[] }[] }) =>
    run.steps.map(({ effect, reasons }) =>
      effect === 'allow' ? 'allow' : `${effect} ${reasons[0]?.code}`,
    )
  const get = { tool: 'items.get', args: { id: 'i-1' } }
  const update = { tool: 'items.update', args: { id: 'i-1', note: 'x' } }

  it('judge each action by the live policy, and have no effect anywhere', async () => {
    const before = (await gate.call('GET', '/actions')).body.actions.length
    const run = await play({
      name: 'a day',
      actions: [
        { ...get, expect: { effect: 'allow' } },
        { tool: 'items.delete', args: { id: 'i-1' }, expect: { decision: 'require_approval' } },
        { tool: 'items.get', args: {}, expect: { effect: 'deny', reason: 'invalid_args' } },
        { tool: 'no.such', expect: { reason: 'unknown_tool' } },
        {
          ...update,
          args: { id: 'i-1', note: 'rm -rf /' },
          expect: { reason: 'risky_command_execution' },
        },
        {
          tool: 'items.get',
          args: { id: '../etc' },
          expect: { effect: 'deny', reason: 'invalid_target' },
        },
        { tool: 'items.list' },
      ],
    })
    expect(run).to.include({ status: 'passed', name: 'a day', attempts: 1 })
    expect(run.steps.map(({ met }: { met: boolean }) => met)).to.deep.equal([
      true,
      true,
      true,
      true,
      true,
      true,
      null,
    ])
    expect(run.revision).to.equal((await gate.call('GET', '/policy')).body.revision)
    expect(run.steps[6].shadow[0]).to.include({ effect: 'deny' })
    expect(run.steps[3].reasons[0]).to.include({ source: 'gate' })
    expect(gate.upstream.effects).to.deep.equal([])
    expect((await gate.call('GET', '/actions')).body.actions).to.have.length(before)
    expect(await gate.gate.operations.budgetsOf('rehearsing')).to.deep.equal([])
  })

  it('fail when one expectation is missed, in effect or in reason', async () => {
    for (const expect_ of [
      { effect: 'deny' },
      { reason: 'no_permission' },
      { effect: 'allow', reason: 'x' },
    ]) {
      const run = await play({
        actions: [
          { ...get, expect: { effect: 'allow' } },
          { ...get, expect: expect_ },
        ],
      })
      expect([run.status, run.steps.map(({ met }: { met: boolean }) => met)]).to.deep.equal([
        'failed',
        [true, false],
      ])
    }
  })

  it('count windows, rates and budgets within the run, from zero or from what it says', async () => {
    expect(codes(await play({ actions: [get, get, get] }))).to.deep.equal([
      'allow',
      'allow',
      'deny bulk_actions',
    ])
    expect(codes(await play({ actions: [get] })), 'another run starts anew').to.deep.equal([
      'allow',
    ])
    expect(codes(await play({ state: { few: 2 }, actions: [get] }))).to.deep.equal([
      'deny bulk_actions',
    ])
    const paid = { ...update, cost: '0.40' }
    expect(codes(await play({ actions: [paid, paid, paid, update] }))).to.deep.equal([
      'allow',
      'allow',
      'deny budget_exceeded',
      'deny agent_paused',
    ])
    expect(codes(await play({ state: { spend: '0.70' }, actions: [paid] }))).to.deep.equal([
      'deny budget_exceeded',
    ])
    expect(codes(await play({ actions: [{ ...update, cost: '0.61' }] }))).to.deep.equal([
      'deny per_action_limit_exceeded',
    ])
    const rate = codes(await play({ state: { rate: 49 }, actions: [update, update] }))
    expect(rate).to.deep.equal(['allow', 'deny rate_limited'])
    const held = { tool: 'items.delete', args: { id: 'i-1' }, cost: '0.60' }
    const { steps } = await play({ actions: [held, held, held] })
    const effects = steps.map(({ effect }: { effect: string }) => effect)
    const all = ['require_approval', 'require_approval', 'require_approval']
    expect(effects, 'what is held takes nothing').to.deep.equal(all)
  })

  it('know the agent\u2019s own limits and roles', async () => {
    await gate.call('POST', '/api/v1/agents', {
      body: {
        name: 'limited',
        roles: ['worker'],
        owner: 't',
        monthly_budget: '0.50',
        per_action_limit: '0.30',
      },
    })
    const run = async (scenario: object) => {
      const { body } = await queue(scenario, { id: 'limited' })
      return codes(await finished(body.run_id))
    }
    const paid = (cost: string) => ({ ...update, cost })
    expect(await run({ actions: [paid('0.31')] })).to.deep.equal(['deny per_action_limit_exceeded'])
    expect(await run({ actions: [paid('0.30'), paid('0.30')] })).to.deep.equal([
      'allow',
      'deny budget_exceeded',
    ])
    expect(await run({ state: { own: '0.40' }, actions: [paid('0.20')] })).to.deep.equal([
      'deny budget_exceeded',
    ])
    await gate.agent('roleless', ['nobody'])
    const { body } = await queue({ actions: [get] }, { id: 'roleless' })
    expect(codes(await finished(body.run_id))).to.deep.equal(['deny no_permission'])
  })

  it('take look-ups from the scenario; one that is missing denies, as in life', async () => {
    const mail = { tool: 'mail.send', args: { id: 'p-1', text: 'hi' } }
    const run = await play({
      facts: { person: { blocked: false } },
      actions: [mail, { ...mail, facts: { person: { blocked: true } } }],
    })
    expect(codes(run)[0]).to.equal('allow')
    expect(run.steps[1].effect).to.equal('deny')
    expect(codes(await play({ actions: [mail] }))).to.deep.equal(['deny fact_unavailable'])
    expect(gate.upstream.effects).to.deep.equal([])
  })

  it('play at the time the scenario says', async () => {
    const person = { tool: 'people.get', args: { id: 'p-1' } }
    for (const [at, expected] of [
      ['2026-01-05T12:00:00Z', 'allow'],
      ['2026-01-05T22:00:00Z', 'deny outside_time_window'],
    ] as const) {
      expect(codes(await play({ at, actions: [person] }))).to.deep.equal([expected])
    }
  })

  it('are on record and in the event stream: queued, started, finished', async () => {
    const reader = await EventReader.open(gate.gate.url, ADMIN)
    const run = await play({ name: 'seen', actions: [{ ...get, expect: { effect: 'deny' } }] })
    await until('all have come', () =>
      reader.events.some(({ type }) => type === 'sandbox.finished'),
    )
    await reader.close()
    const mine = reader.events.filter(({ type }) => type.startsWith('sandbox.'))
    expect(mine.map(({ type }) => type)).to.deep.equal([
      'sandbox.queued',
      'sandbox.started',
      'sandbox.finished',
    ])
    for (const { data } of mine) expect(JSON.stringify(data)).to.include(run.run_id)
    expect(JSON.stringify(mine[2]?.data)).to.include('"missed":1')
    expect(JSON.stringify(mine[2]?.data)).to.include('"status":"failed"')
  })

  it('are counted', async () => {
    await play({ actions: [get] })
    const { text } = await gate.call('GET', '/metrics')
    expect(text).to.match(/^sandbox_run_duration_count [1-9]/m)
    const share = Number(/^sandbox_run_success_rate (\S+)$/m.exec(text)?.[1])
    expect(share).to.be.within(0.01, 0.99)
  })

  it('belong to the agent: it may play and read its own, and nobody else\u2019s', async () => {
    const other = await gate.agent('stranger')
    const own = await play({ actions: [get] }, agent)
    expect((await read(own.run_id, agent)).status).to.equal('passed')
    expect((await read(own.run_id, agent)).steps[0]).to.have.all.keys(
      'tool',
      'effect',
      'reasons',
      'expected',
      'met',
    )
    expect(codeOf(await queue({ actions: [get] }, { key: other }))).to.deep.equal([
      404,
      'not_found',
    ])
    for (const route of [
      `/api/v1/sandbox/runs/${own.run_id}`,
      '/api/v1/agents/rehearsing/sandbox/runs',
    ]) {
      expect(codeOf(await gate.call('GET', route, { key: other }))).to.deep.equal([
        404,
        'not_found',
      ])
    }
    expect(codeOf(await queue({ actions: [get] }, { id: 'nobody' }))).to.deep.equal([
      404,
      'not_found',
    ])
    const { body } = await gate.call('GET', '/api/v1/agents/rehearsing/sandbox/runs?limit=2', {
      key: agent,
    })
    expect(body.runs).to.have.length(2)
    expect(body.runs[0].run_id).to.equal(own.run_id)
    const rest = await gate.call(
      'GET',
      `/api/v1/agents/rehearsing/sandbox/runs?limit=500&cursor=${body.next_cursor}`,
    )
    expect(rest.body.runs.map(({ run_id: id }: { run_id: string }) => id)).to.not.include(
      own.run_id,
    )
  })

  it('are queued once under one Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'sandbox-1' }
    const [first, second] = [
      await queue({ actions: [get] }, { headers }),
      await queue({ actions: [get] }, { headers }),
    ]
    expect(second.body).to.deep.equal(first.body)
    expect(codeOf(await queue({ actions: [update] }, { headers }))).to.deep.equal([
      422,
      'idempotency_mismatch',
    ])
  })

  it('start under the path that an earlier system documented', async () => {
    const route = '/api/v1/agent/rehearsing/sandbox/run'
    const { status, body } = await gate.call('POST', route, {
      body: { scenario: { actions: [get] } },
    })
    expect([status, body.ok]).to.deep.equal([202, true])
    expect((await finished(body.run_id)).status).to.equal('passed')
  })

  it('that are none are 400, and one too large 413', async () => {
    for (const scenario of [
      {},
      { actions: [] },
      { actions: [{}] },
      { actions: Array.from({ length: 201 }, () => get) },
      { actions: [{ ...get, expect: { effect: 'maybe' } }] },
      { actions: [{ ...get, cost: '-1' }] },
      { actions: [get], state: { few: 'many' } },
      { actions: [get], at: 'noon' },
      { actions: [get], network: true },
    ]) {
      expect(codeOf(await queue(scenario)), JSON.stringify(scenario)).to.deep.equal([
        400,
        'invalid_request',
      ])
    }
    const large = { actions: [{ ...update, args: { id: 'i-1', note: 'x'.repeat(300_000) } }] }
    expect(codeOf(await queue(large))).to.deep.equal([413, 'payload_too_large'])
  })
})

describe('sandbox runs on a server', function () {
  if (!postgresBin()) return
  let server: PostgresServer
  let gate: TestGate
  let client: pg.Client
  before(async () => {
    server = await PostgresServer.start()
    const databaseUrl = await server.createDatabase()
    gate = await TestGate.start({ databaseUrl })
    client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await gate.agent('rehearsing')
  })
  after(async () => {
    await client.end()
    await gate.stop()
    server.stop()
  })

  const route = '/api/v1/agents/rehearsing/sandbox/run'
  const scenario = { actions: [{ tool: 'items.list', expect: { effect: 'allow' } }] }
  const read = async (id: string) => (await gate.call('GET', `/api/v1/sandbox/runs/${id}`)).body
  /** A run as a replica would leave it that was killed while playing it. */
  const leave = async (id: string, attempts: number) => {
    await client.query(
      `insert into sandbox_runs (id, agent_id, name, scenario, status, attempts, replica_id,
         requested_by, created_at, queued_at, started_at)
       select $1, id, '', $2, 'running', $3, 'rep_dead', 'tests', now(), now(), now()
       from agents where name = 'rehearsing'`,
      [id, JSON.stringify(scenario), attempts],
    )
  }

  it('that a dead replica was playing are played again', async () => {
    await leave('run_left', 1)
    await until('it is over', async () => (await read('run_left')).status === 'passed')
    expect((await read('run_left')).attempts).to.equal(2)
  })

  it('that never come to an end are given up', async () => {
    await leave('run_cursed', 3)
    await until('it is over', async () => (await read('run_cursed')).status === 'error')
    expect((await read('run_cursed')).error).to.include('given up')
  })

  it('whose wake-up was lost are played all the same', async () => {
    await client.query(
      `insert into sandbox_runs (id, agent_id, name, scenario, status, requested_by, created_at, queued_at)
       select 'run_lost', id, '', $1, 'queued', 'tests', now(), now() - interval '1 minute'
       from agents where name = 'rehearsing'`,
      [JSON.stringify(scenario)],
    )
    await until('it is over', async () => (await read('run_lost')).status === 'passed')
  })

  it('are at most ten unfinished for one agent: 429', async () => {
    for (let n = 0; n < 10; n++) {
      await client.query(
        `insert into sandbox_runs (id, agent_id, name, scenario, status, requested_by, created_at, queued_at)
         select $1, id, '', '{}', 'queued', 'tests', now(), now() from agents where name = 'rehearsing'`,
        [`run_open_${n}`],
      )
    }
    const answer = await gate.call('POST', route, { body: { scenario } })
    expect([answer.status, answer.body.error.code]).to.deep.equal([429, 'rate_limited'])
    expect(answer.headers.get('retry-after')).to.equal('5')
    await client.query(`delete from sandbox_runs where id like 'run_open_%'`)
    expect((await gate.call('POST', route, { body: { scenario } })).status).to.equal(202)
  })
})
