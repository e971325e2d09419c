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
  const last = () => ({
    tool: 'items.delete',
    args: { id: `i-${items}` },
    resource: { type: 'item', id: 'the one' },
    context: { ticket: 't-7' },
    reason: 'the customer asked for it',
    cost: '0.25',
  })
  async function hold(as = key): Promise<Answer['body']> {
    items++
    const { status, body } = await gate.act(as, last())
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
        args: { id: `i-${items}` },
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
          path: `/items/i-${items}`,
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
    for (const which of ['short-lived', id]) {
      const spend = await gate.call('GET', `/api/v1/agents/${which}/spend`)
      expect([spend.status, spend.body.name, spend.body.limit]).to.deep.equal([
        200,
        'short-lived',
        null,
      ])
      const summary = await gate.call('GET', `/api/v1/metrics/agent/${which}/summary`)
      expect([summary.status, summary.body.agent]).to.deep.equal([200, id])
      expect((await gate.call('GET', `/api/v1/agents/${which}/sandbox/runs`)).status).to.equal(200)
    }
    const other = await gate.agent('looks-at-others')
    const peek = await gate.call('GET', `/api/v1/agents/${id}/spend`, { key: other })
    const none = await gate.call('GET', '/api/v1/agents/agt_none/spend', { key: other })
    expect([peek.status, none.status]).to.deep.equal([404, 404])
    expect(peek.body.error.message.replace(id, '')).to.equal(
      none.body.error.message.replace('agt_none', ''),
    )
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

  it('the reason of a person reaches the agent, whether it approves, denies or withdraws', async () => {
    const read = async (id: string) => (await gate.call('GET', `/actions/${id}`, { key })).body
    const decide = (approval: string, choice: string, body: unknown) =>
      gate.call('POST', `/approvals/${approval}/${choice}`, { body })
    const denied = await hold()
    const waiting = gate.call('POST', '/act', {
      key,
      body: { ...last(), wait_s: 60 },
    })
    await decide(denied.approval.id, 'deny', { reason: 'wrong customer' })
    const { status, body } = await waiting
    expect([status, body.error.code]).to.deep.equal([403, 'policy_denied'])
    expect(body.error.message).to.equal('approval denied by tester: wrong customer')
    expect((await read(denied.action_id)).approval).to.deep.equal({
      id: denied.approval.id,
      status: 'denied',
      decided_by: 'tester',
      reason: 'wrong customer',
    })
    const approved = await hold()
    await decide(approved.approval.id, 'approve', { reason: 'checked by phone' })
    expect((await read(approved.action_id)).approval).to.include({
      status: 'approved',
      decided_by: 'tester',
      reason: 'checked by phone',
    })
    const withdrawn = await hold()
    await decide(withdrawn.approval.id, 'cancel', { reason: 'no longer needed' })
    expect((await read(withdrawn.action_id)).error.message).to.equal(
      'approval cancelled by tester: no longer needed',
    )
  })

  it('a reason is one word, and its earlier words go on working', async () => {
    for (const word of ['reason', 'comment', 'note']) {
      const { approval } = await hold()
      const route = `/approvals/${approval.id}/deny`
      const { body } = await gate.call('POST', route, { body: { [word]: `as ${word}` } })
      expect(body.approval.votes[0]).to.include({ reason: `as ${word}`, comment: `as ${word}` })
      const scope = { tool: 'items.get' }
      for (const engaged of [true, false]) {
        const killed = await gate.call('PUT', '/kill-switch', {
          body: { engaged, scope, [word]: 'a drill' },
        })
        expect([killed.status, killed.body.reason]).to.deep.equal([200, 'a drill'])
      }
    }
    const { approval } = await hold()
    const two = await gate.call('POST', `/approvals/${approval.id}/deny`, {
      body: { reason: 'one', note: 'another' },
    })
    expect(two.status).to.equal(400)
    const none = await gate.call('PUT', '/kill-switch', { body: { engaged: true } })
    expect([none.status, none.body.error.message]).to.deep.equal([
      400,
      '`reason` is needed: it goes on the record',
    ])
  })

  it('settling takes a reason by each of its words, and answers a status', async () => {
    for (const word of ['reason', 'note', 'comment']) {
      gate.upstream.behave = (_effect, _res, socket) => void socket.destroy()
      const lost = await gate.act(key, { tool: 'items.update', args: { id: `lost-${word}` } })
      const id = lost.body.error.action_id
      const settled = await gate.call('POST', `/actions/${id}/settle`, {
        body: { outcome: 'succeeded', [word]: 'seen' },
      })
      expect(settled.body).to.include({ status: 'succeeded', state: 'succeeded' })
      const { entries } = (
        await gate.call('GET', `/audit/timeline?action=${id}&kind=outcome.settled`)
      ).body
      expect(entries[0]).to.include({ reason: 'seen', note: 'seen', status: 'succeeded' })
    }
  })

  it('an action has a status, by which lists select it, as by its earlier name', async () => {
    const held = await hold()
    for (const filter of ['status=held', 'state=held', 'status=held&state=held']) {
      const { body } = await gate.call('GET', `/actions?${filter}&limit=1`)
      expect(body.actions[0]).to.include({ id: held.action_id, status: 'held', state: 'held' })
    }
    expect((await gate.call('GET', '/actions?status=held&state=failed')).status).to.equal(400)
  })
})
