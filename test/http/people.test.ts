import { expect } from 'chai'
import { TestGate, until, type Answer } from '../support/gate.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

describe('what people are shown', () => {
  let receiver: TestUpstream
  let gate: TestGate
  let key: string
  let agentId: string
  before(async () => {
    receiver = await TestUpstream.start()
    gate = await TestGate.start({
      env: {
        APPROVAL_WEBHOOK_URL: `${receiver.url}/approvals`,
        WEBHOOK_SECRET: `whsec_${Buffer.from('a secret of the tests, 32 bytes!').toString('base64')}`,
        PUBLIC_SERVER_URL: 'https://gate.example/',
      },
    })
    key = await gate.agent('worker-1')
    agentId = (await gate.call('GET', '/api/v1/agents/worker-1')).body.agent.id
  })
  after(async () => {
    await gate.stop()
    await receiver.stop()
  })
  beforeEach(() => {
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
  })

  let items = 0
  async function hold(as = key): Promise<Answer['body']> {
    const { status, body } = await gate.act(as, {
      tool: 'items.delete',
      args: { id: `i-${items++}` },
      resource: { type: 'item', id: 'the one' },
      context: { ticket: 't-7' },
      reason: 'the customer asked for it',
      cost: '0.25',
    })
    expect(status).to.equal(202)
    return body
  }

  it('an approval says all it takes to judge it, in the list, by itself and in the webhook', async () => {
    const held = await hold()
    const { id } = held.approval
    const alone = (await gate.call('GET', `/approvals/${id}`)).body
    const list = (await gate.call('GET', '/approvals?agent=worker-1')).body.approvals
    await until('it is told', () => receiver.effects.some((one) => one.body.includes(id)))
    const told = receiver.effects.find((one) => one.body.includes(id))
    const sent = JSON.parse(told?.body ?? '{}').approval
    for (const one of [alone, list.find((row: { id: string }) => row.id === id), sent]) {
      expect(one).to.deep.include({
        id,
        action_id: held.action_id,
        decision_id: held.decision_id,
        agent: agentId,
        agent_name: 'worker-1',
        owner: 'tests',
        tool: 'items.delete',
        args: { id: `i-${items - 1}` },
        resource: { type: 'item', id: 'the one' },
        context: { ticket: 't-7' },
        agent_reason: 'the customer asked for it',
        cost: '0.25',
        reasons: held.reasons,
        votes: [],
        quorum: 1,
        expires_at: held.approval.expires_at,
        url: `https://gate.example/ui/approvals/${id}`,
        target: {
          upstream: 'test',
          method: 'DELETE',
          path: `/items/i-${items - 1}`,
          query: '',
          body: null,
          unchanged: true,
        },
      })
      expect(one.approver_roles).to.include('approver')
    }
  })

  const LISTS = [
    ['/approvals', 'approvals'],
    ['/actions', 'actions'],
    ['/audit/timeline', 'entries'],
    ['/api/v1/events/audit', 'events'],
    ['/api/v1/actions', 'actions'],
    ['/api/v1/alerts', 'alerts'],
    ['/api/v1/metrics', 'metrics'],
    ['/plans', 'plans'],
  ] as const

  it('every list finds an agent by its name as by its id, also after it was deleted', async () => {
    const mine = await gate.agent('short-lived')
    const { id } = (await gate.call('GET', '/api/v1/agents/short-lived')).body.agent
    await gate.act(mine, { tool: 'items.list' })
    await hold(mine)
    const look = (which: string) =>
      Promise.all(LISTS.map(([route]) => gate.call('GET', `${route}?agent=${which}`)))
    const counts = (answers: Answer[]) =>
      answers.map(({ status, body }, n) => [status, body[LISTS[n]?.[1] ?? '']?.length])
    const living = counts(await look('short-lived'))
    expect(living).to.deep.equal(counts(await look(id)))
    expect(living.slice(0, 2)).to.deep.equal([
      [200, 1],
      [200, 2],
    ])
    expect((await gate.call('DELETE', `/api/v1/agents/${id}`)).status).to.equal(204)
    const gone = counts(await look('short-lived'))
    expect(gone).to.deep.equal(counts(await look(id)))
    expect(gone.slice(0, 2)).to.deep.equal([
      [200, 1],
      [200, 2],
    ])
    const { approvals } = (await gate.call('GET', '/approvals?agent=short-lived')).body
    expect(approvals[0]).to.include({ agent: id, agent_name: 'short-lived', owner: 'tests' })
  })

  it('404 for an agent that was never on record, not an empty list', async () => {
    for (const [route] of [
      ...LISTS,
      ['/api/v1/events/audit/stats'],
      ['/api/v1/metrics/aggregate'],
    ]) {
      const { status, body } = await gate.call('GET', `${route}?agent=nobody`)
      expect([route, status, body.error?.code]).to.deep.equal([route, 404, 'not_found'])
    }
  })
})
