import { expect } from 'chai'
import { sha256 } from '../../src/lib/canonical.ts'
import { ADMIN, heard, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const QUORUM = `${GATE}
approvals:
  default: { quorum: 2, expires_s: 600, approver_roles: [approver, admin] }
`

describe('approvals', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(async () => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
    await usePolicies({})
  })

  async function usePolicies(files: Record<string, string>): Promise<void> {
    writePolicies(gate.policyDir, files)
    const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
    expect(status, text).to.equal(200)
  }

  // Another item each time: the same request again joins the one that is held.
  let items = 0
  async function hold(as = key): Promise<{ id: string; actionId: string; item: string }> {
    const item = `i-${items++}`
    const { status, body } = await gate.act(as, { tool: 'items.delete', args: { id: item } })
    expect(status).to.equal(202)
    return { id: body.approval.id, actionId: body.action_id, item }
  }

  const vote = (id: string, choice: string, as: string = ADMIN): Promise<Answer> =>
    heard(() => gate.call('POST', `/approvals/${id}/${choice}`, { key: as, body: {} }))

  async function finalState(actionId: string): Promise<Answer['body']> {
    const open = new Set(['held', 'executing'])
    let body: Answer['body']
    await until(`action ${actionId} ends`, async () => {
      body = (await gate.call('GET', `/actions/${actionId}`)).body
      return !open.has(body.state)
    })
    return body
  }

  it('says to people whether they may vote and why not, and lists what is over first on request', async () => {
    const [first, second] = [await hold(), await hold()]
    const list = async (as: string) => {
      const { status, body } = await gate.call(
        'GET',
        '/approvals?status=pending&order=expiry&limit=200',
        { key: as },
      )
      expect(status).to.equal(200)
      const ids = body.approvals.map(({ id }: { id: string }) => id)
      expect(ids.indexOf(first.id)).to.be.below(ids.indexOf(second.id))
      expect(body.pending).to.equal(ids.length)
      return body.approvals.find(({ id }: { id: string }) => id === first.id)
    }
    expect((await list(ADMIN)).may_vote).to.deep.equal({ approve: true, deny: true, why: null })
    const { may_vote: watching } = await list(await gate.key('observer', 'watcher'))
    expect(watching).to.include({ approve: false, deny: false })
    expect(watching.why).to.include('observer')
    expect(await list(key)).not.to.have.property('may_vote')
    await vote(first.id, 'deny')
    await vote(second.id, 'deny')
  })

  it('runs the action once when one person approves, and says who', async () => {
    const { id, actionId } = await hold()
    expect((await vote(id, 'approve')).body.approval.status).to.equal('approved')
    expect((await finalState(actionId)).state).to.equal('succeeded')
    expect(gate.upstream.effects).to.have.length(1)
    const { body } = await gate.call('GET', `/actions/${actionId}/explain`)
    const run = body.audit.find((entry: { approved_by?: string[] }) => entry.approved_by)
    expect(run.approved_by).to.deep.equal(['tester'])
  })

  it('runs once for 200 approvals at the same moment', async () => {
    const keys = await Promise.all(
      Array.from({ length: 200 }, (_, n) => gate.key('approver', `approver-${n}`)),
    )
    const { id, actionId } = await hold()
    const answers = await Promise.all(keys.map((one) => vote(id, 'approve', one)))
    const accepted = answers.filter(({ status }) => status === 200)
    expect(accepted).to.have.length(1)
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([200, 409]))
    expect((await finalState(actionId)).state).to.equal('succeeded')
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('never runs when somebody denies', async () => {
    const { id, actionId } = await hold()
    expect((await vote(id, 'deny')).body.approval.status).to.equal('denied')
    expect((await finalState(actionId)).state).to.equal('denied')
    expect((await vote(id, 'approve')).status).to.equal(409)
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('waits for the whole quorum, and one voice counts once', async () => {
    await usePolicies({ 'gate.yaml': QUORUM })
    const bob = await gate.key('approver', 'bob')
    const bobAgain = await gate.key('approver', 'bob')
    const { id, actionId } = await hold()
    expect((await vote(id, 'approve', bob)).body.approval.status).to.equal('pending')
    expect((await vote(id, 'approve', bob)).body.approval.status).to.equal('pending')
    expect((await vote(id, 'approve', bobAgain)).body.approval.status).to.equal('pending')
    expect(gate.upstream.effects).to.have.length(0)
    expect((await vote(id, 'approve')).body.approval.status).to.equal('approved')
    expect((await finalState(actionId)).state).to.equal('succeeded')
  })

  it('takes many votes at once, each for itself, and once under a key', async () => {
    const [first, second, third] = [await hold(), await hold(), await hold()]
    await vote(third.id, 'deny')
    const votes = [
      { id: first.id, vote: 'approve' },
      { id: third.id, vote: 'approve' },
      { id: 'apr_none', vote: 'approve' },
      { id: second.id, vote: 'deny' },
    ]
    const body = { votes, reason: 'looked at all four' }
    const headers = { 'idempotency-key': 'four-at-once' }
    const send = () => heard(() => gate.call('POST', '/approvals/votes', { body, headers }))
    const answer = await send()
    expect(answer.status, answer.text).to.equal(200)
    type Cast = { id: string; approval: { status: string } | null; error: { code: string } | null }
    const said = (answer.body.votes as Cast[]).map(({ id, approval, error }) => [
      id,
      approval?.status ?? error?.code,
    ])
    expect(said).to.deep.equal([
      [first.id, 'approved'],
      [third.id, 'conflict'],
      ['apr_none', 'not_found'],
      [second.id, 'denied'],
    ])
    expect((await finalState(first.actionId)).state).to.equal('succeeded')
    expect((await finalState(second.actionId)).state).to.equal('denied')
    expect((await send()).body).to.deep.equal(answer.body)
    expect(gate.upstream.effects).to.have.length(1)
    const { votes: kept } = (await gate.call('GET', `/approvals/${second.id}`)).body
    expect(kept.map(({ reason: why }: { reason: string }) => why)).to.deep.equal([body.reason])
  })

  it('refuses one id twice, none, and more than a hundred', async () => {
    const { id } = await hold()
    const twice = [
      { id, vote: 'approve' },
      { id, vote: 'deny' },
    ]
    for (const votes of [
      twice,
      [],
      Array.from({ length: 101 }, (_, n) => ({ id: `a${n}`, vote: 'deny' })),
    ]) {
      const { status, body } = await gate.call('POST', '/approvals/votes', { body: { votes } })
      expect([status, body.error.code]).to.deep.equal([400, 'invalid_request'])
    }
    expect((await gate.call('GET', `/approvals/${id}`)).body.status).to.equal('pending')
  })

  it('403 for agents, the requester among them, and for roles that may not approve', async () => {
    await usePolicies({
      'gate.yaml': `${GATE}\napprovals:\n  default: { quorum: 1, expires_s: 600, approver_roles: [approver] }\n`,
    })
    const other = await gate.agent('worker-2')
    const observer = await gate.key('observer', 'watching')
    const { id } = await hold()
    for (const one of [key, other, observer, ADMIN]) {
      const { status, body } = await vote(id, 'approve', one)
      expect([status, body.error.code]).to.deep.equal([403, 'forbidden'])
    }
    expect((await vote(id, 'approve', await gate.key('approver', 'carol'))).status).to.equal(200)
  })

  it('lets the requester cancel, and no other agent', async () => {
    const other = await gate.agent('worker-3')
    const { id, actionId } = await hold()
    expect((await gate.call('POST', `/approvals/${id}/cancel`, { key: other })).status).to.equal(
      404,
    )
    const { status, body } = await gate.call('POST', `/approvals/${id}/cancel`, { key })
    expect([status, body.approval.status]).to.deep.equal([200, 'cancelled'])
    expect((await finalState(actionId)).state).to.equal('cancelled')
    expect((await vote(id, 'approve')).status).to.equal(409)
  })

  it('expires to a denial, on time, with an alert', async () => {
    await usePolicies({
      'gate.yaml': `${GATE}\napprovals:\n  default: { quorum: 1, expires_s: 1, approver_roles: [admin] }\n`,
    })
    const { id, actionId } = await hold()
    expect((await finalState(actionId)).state).to.equal('expired')
    expect((await vote(id, 'approve')).body.error.details?.status ?? 'expired').to.equal('expired')
    const { body } = await gate.call('GET', '/api/v1/alerts')
    expect(body.alerts.map(({ type }: { type: string }) => type)).to.include('approval_expired')
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('asks today’s policy again: what it denies meanwhile does not run', async () => {
    const { id, actionId } = await hold()
    await usePolicies({ 'gate.yaml': GATE.replace('effect: require_approval', 'effect: deny') })
    await vote(id, 'approve')
    const action = await finalState(actionId)
    expect([action.state, action.error.code]).to.deep.equal(['denied', 'policy_denied'])
    expect(gate.upstream.effects).to.have.length(0)
    expect((await gate.call('GET', `/approvals/${id}`)).body.status).to.equal('failed')
  })

  it('is bound to the exact call: a tool that changed meanwhile does not run', async () => {
    const { id, actionId } = await hold()
    await usePolicies({
      'tools.yaml': TOOLS.replace(
        'method: DELETE, path: "/items/{id}"',
        'method: DELETE, path: "/all/{id}"',
      ),
    })
    await vote(id, 'approve')
    const action = await finalState(actionId)
    expect(action.state).to.equal('denied')
    expect(action.error.message).to.match(/not what was approved/)
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('needs more voices when the policy asks for more by then', async () => {
    const { id, actionId } = await hold()
    await usePolicies({ 'gate.yaml': QUORUM })
    const { body } = await vote(id, 'approve')
    expect(body.approval).to.include({ status: 'pending', quorum: 2 })
    await vote(id, 'approve', await gate.key('approver', 'second'))
    expect((await finalState(actionId)).state).to.equal('succeeded')
  })

  it('takes votes while what was approved waits its turn: more where the policy asks for more, or a denial', async () => {
    const [more, less] = [await hold(), await hold()]
    const scale = (instances: number) =>
      gate.call('POST', '/api/v1/agents/worker-1/action', {
        body: { action: 'scale', instances },
      })
    expect((await scale(0)).status).to.equal(200)
    for (const { id } of [more, less]) {
      expect((await vote(id, 'approve')).body.approval.status).to.equal('approved')
    }
    await usePolicies({ 'gate.yaml': QUORUM })
    const second = await vote(more.id, 'approve', await gate.key('approver', 'one-more'))
    expect([second.status, second.body.approval.status]).to.deep.equal([200, 'approved'])
    const denied = await vote(less.id, 'deny', await gate.key('approver', 'thinks-again'))
    expect([denied.status, denied.body.approval.status]).to.deep.equal([200, 'denied'])
    await scale(1)
    expect((await finalState(more.actionId)).state).to.equal('succeeded')
    expect((await finalState(less.actionId)).state).to.equal('denied')
    expect(gate.upstream.effects).to.have.length(1)
  })

  const kill = (engaged: boolean) =>
    gate.call('PUT', '/kill-switch', { body: { engaged, reason: 'drill' } })

  it('refuses to be approved under a kill switch, and is not lost by it; a denial counts', async () => {
    const { id, actionId } = await hold()
    const other = await hold()
    await kill(true)
    const refused = await vote(id, 'approve')
    expect([refused.status, refused.body.error.code]).to.deep.equal([503, 'kill_switch_engaged'])
    expect((await vote(other.id, 'deny')).body.approval.status).to.equal('denied')
    await kill(false)
    expect((await vote(id, 'approve')).body.approval.status).to.equal('approved')
    expect((await finalState(actionId)).state).to.equal('succeeded')
    expect(gate.upstream.effects).to.have.length(1)
  })

  it('waits for an agent that is paused, whose approval is not lost by it', async () => {
    const { id, actionId } = await hold(await gate.agent('is-paused'))
    const turn = async (action: string) => {
      const body = { action, reason: 'a look' }
      const { status } = await gate.call('POST', '/api/v1/agents/is-paused/action', { body })
      expect(status).to.equal(200)
    }
    await turn('pause')
    expect((await vote(id, 'approve')).body.approval.status).to.equal('approved')
    // Woken after it: by then it was looked at.
    const later = await hold(await gate.agent('is-not-paused'))
    await vote(later.id, 'approve')
    expect((await finalState(later.actionId)).state).to.equal('succeeded')
    expect((await gate.call('GET', `/actions/${actionId}`)).body.state).to.equal('held')
    await turn('resume')
    expect((await finalState(actionId)).state).to.equal('succeeded')
    expect(gate.upstream.effects).to.have.length(2)
  })

  it('waits for a look-up that fails at the moment, and for a window that is full', async () => {
    const fact = TOOLS.replace(
      'args: { type: object, properties: { id: { type: string } }, required: [id] } }\n  mail.send',
      'args: { type: object, properties: { id: { type: string } }, required: [id] },\n      facts: { person: { tool: people.get, args: { id: /id }, ttl_s: 0 } } }\n  mail.send',
    )
    expect(fact).to.not.equal(TOOLS)
    const few =
      'guards: [{ id: few, kind: bulk_limit, tools: [items.delete], windows: [{ count: actions, limit: 1, per_s: 3 }] }]\n'
    await usePolicies({ 'tools.yaml': fact, 'gate.yaml': GATE + few })
    let isDown = false
    gate.upstream.behave = ({ url }, res) =>
      void (isDown && url.startsWith('/people') ? res.destroy() : reply(res, 200, { ok: true }))
    const effects = () => gate.upstream.effects.filter(({ method }) => method === 'DELETE').length
    const [first, second] = [await hold(), await hold()]
    isDown = true
    const asked = () => gate.upstream.effects.filter(({ url }) => url.startsWith('/people')).length
    const before = asked()
    await vote(first.id, 'approve')
    await until('it was looked up in vain', () => asked() > before + 1)
    expect((await gate.call('GET', `/actions/${first.actionId}`)).body.state).to.equal('held')
    isDown = false
    expect((await finalState(first.actionId)).state).to.equal('succeeded')
    await vote(second.id, 'approve')
    expect((await finalState(second.actionId)).state).to.equal('succeeded')
    expect(effects()).to.equal(2)
  })

  it('waits when it was approved before the kill switch, and runs once it is released', async () => {
    const { id, actionId } = await hold()
    // Approved and woken inside the batch that engages: the wake-up finds the switch.
    const engaged = kill(true)
    await gate.gate.operations.write(async (tx) => {
      const keyId = `env_${sha256(ADMIN).slice(0, 12)}`
      await tx.query(
        `insert into approval_votes (approval_id, key_id, approver, vote, comment, at)
         values ($1, $2, 'tester', 'approve', '', now())`,
        [id, keyId],
      )
      await tx.query("update approvals set status = 'approved', decided_at = now() where id = $1", [
        id,
      ])
    })
    await engaged
    const waiting = (await gate.call('GET', `/actions/${actionId}`)).body
    expect(waiting.state).to.equal('held')
    await kill(false)
    expect((await finalState(actionId)).state).to.equal('succeeded')
  })

  it('expires when it was approved and stopped for longer than it had', async () => {
    const { id, actionId } = await hold()
    await kill(true)
    await gate.gate.operations.write(async (tx) => {
      await tx.query(
        `update approvals set status = 'approved', decided_at = now() - interval '1 hour',
           expires_at = now() - interval '1 minute' where id = $1`,
        [id],
      )
    })
    expect((await finalState(actionId)).state).to.equal('expired')
    await kill(false)
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('shows approvers the request, and agents only their own approvals', async () => {
    const other = await gate.agent('worker-4')
    const { id, item } = await hold()
    const { body } = await gate.call('GET', `/approvals/${id}`)
    expect(body.request.args).to.deep.equal({ id: item })
    expect((await gate.call('GET', `/approvals/${id}`, { key: other })).status).to.equal(404)
    expect((await gate.call('GET', '/approvals', { key: other })).body.approvals).to.deep.equal([])
    const mine = await gate.call('GET', '/approvals?status=pending', { key })
    expect(mine.body.approvals.map((one: { id: string }) => one.id)).to.include(id)
  })

  it('404 for approvals that do not exist', async () => {
    for (const route of ['/approvals/apr_nothing/approve', '/approvals/%00/deny']) {
      expect((await gate.call('POST', route, { body: {} })).status).to.equal(404)
    }
  })
})
