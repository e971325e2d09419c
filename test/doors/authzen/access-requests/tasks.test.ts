import { expect } from 'chai'
import { createHmac } from 'node:crypto'
import { ADMIN, MAKER, until } from '../../../support/gate.ts'
import {
  AccessGate,
  gateYaml,
  OTHER_PEP,
  PEP,
  question,
  SAME_PEP,
  URL,
} from '../../../support/access-requests.ts'
import { reply, TestUpstream, type Effect } from '../../../support/upstream.ts'

// AuthZEN Access Request and Approval Profile, draft 1: what becomes of a request, and who may see it.

const SECRET = Buffer.from('a secret of the tests, 32 bytes!')

describe('access requests: tasks', function () {
  let access: AccessGate
  let receiver: TestUpstream
  before(async () => {
    receiver = await TestUpstream.start()
    receiver.behave = (_effect, res) => reply(res, 200, {})
    access = await AccessGate.start({
      ACCESS_REQUEST_CALLBACKS: `${receiver.url}/done, https://pep.example/cb`,
      WEBHOOK_SECRET: `whsec_${SECRET.toString('base64')}`,
    })
  })
  after(async () => {
    await access.gate.stop()
    await receiver.stop()
  })

  const problemOf = ({ status, body }: { status: number; body: { type?: string } }) => [
    status,
    body.type?.replace('urn:openid:authzen:access-request:error:', ''),
  ]
  const cancel = (id: string, key = PEP, body?: object) =>
    access.call('POST', `/access/v1/requests/${id}/cancel`, { key, ...(body ? { body } : {}) })

  /** A bundle of as many items, each denied by itself. */
  async function bundle(size: number) {
    const { subject, context } = question()
    const items: object[] = []
    for (let at = 0; at < size; at++) {
      const { resource, action } = question()
      const denial = await access.denied({ subject, context: context ?? {}, resource, action })
      items.push({ resource, action, denial })
    }
    const { body } = await access.submit({ subject, context, items })
    return { id: body.task.id as string, items }
  }

  describe('section 10.2, Access Request Response', () => {
    it('MUST name a task by an id that says nothing and cannot be guessed', async () => {
      const ids = [await access.requested(question()), await access.requested(question())]
      for (const id of ids) expect(id).to.match(/^arq_[0-9a-hjkmnp-tv-z]{26}$/)
      expect(ids[0]?.slice(0, 12)).not.to.equal(ids[1]?.slice(0, 12))
    })

    it('answers a bundle by its items, in order: pending while one is, then one end or partial', async () => {
      const { id, items } = await bundle(3)
      const approvals = await access.approvalsOf(id)
      expect(approvals).to.have.length(3)
      const statuses = async () => {
        const { body } = await access.task(id)
        const each = body.task.items.map(({ status }: { status: string }) => status)
        return [body.task.status, ...each]
      }
      const vote = (at: number, choice: string) =>
        access.call('POST', `/approvals/${approvals[at]}/${choice}`, { body: { reason: 'x' } })
      await vote(0, 'approve')
      expect(await statuses()).to.deep.equal(['pending', 'approved', 'pending', 'pending'])
      await vote(1, 'deny')
      await vote(2, 'approve')
      expect(await statuses()).to.deep.equal(['partial', 'approved', 'denied', 'approved'])
      const { body } = await access.task(id)
      for (const [at, { resource, action, result }] of body.task.items.entries()) {
        expect({ resource, action }).to.deep.include({
          resource: (items[at] as { resource: object }).resource,
        })
        expect(result?.mode, String(at)).to.equal(at === 1 ? undefined : 'reevaluate')
      }
      expect(body).not.to.have.property('result')
      const [first, , third] = body.task.items
      expect(first.result.approval.id).not.to.equal(third.result.approval.id)
    })

    it('MUST be bound item by item: one denial does not cover two, nor another’s item', async () => {
      const { subject, context } = question()
      const part = ({ resource, action }: ReturnType<typeof question>) => ({ resource, action })
      const [one, other] = [part(question()), part(question())]
      const asking = {
        subject,
        context: context ?? {},
        ...one,
      }
      const denial = await access.denied(asking)
      for (const items of [
        [
          { ...one, denial },
          { ...other, denial },
        ],
        [
          { ...one, denial },
          { ...one, denial },
        ],
        [one, other],
      ]) {
        const answer = await access.submit({ subject, context, items, denial })
        expect(problemOf(answer)).to.deep.equal([400, 'invalid_denial_binding'])
      }
    })
  })

  describe('section 11, Task Status Endpoint', () => {
    it('says when to ask again while it waits', async () => {
      const id = await access.requested(question())
      const { headers, body } = await access.task(id)
      expect(body.task.status).to.equal('pending')
      expect(headers.get('retry-after')).to.equal('5')
    })

    it('is for any instance of who asked, and for an admin', async () => {
      const id = await access.requested(question())
      for (const key of [PEP, SAME_PEP, ADMIN])
        expect((await access.task(id, key)).status).to.equal(200)
    })

    it('21.3.3, Task Handle Leakage: MUST be of no use to others: unknown_task, as if there were none', async () => {
      const id = await access.requested(question())
      const agent = await access.gate.agent('curious')
      const none = await access.task('arq_none')
      for (const key of [OTHER_PEP, agent]) {
        const answer = await access.task(id, key)
        expect(problemOf(answer)).to.deep.equal([404, 'unknown_task'])
        expect(answer.text.replace(id, 'arq_none')).to.equal(none.text)
      }
    })

    it('19: MUST NOT tell who approves, by which rule, or what they said', async () => {
      const id = await access.requested(question())
      await access.vote(id)
      const { text } = await access.task(id)
      for (const secret of ['tester', 'why not', 'agent.rego', 'somebody looks', 'quorum']) {
        expect(text).not.to.include(secret)
      }
    })

    it('11.1.1: goes from pending to one end and stays there', async () => {
      const [approved, denied] = [
        await access.requested(question()),
        await access.requested(question()),
      ]
      await access.vote(approved)
      await access.vote(denied, 'deny')
      const status = async (id: string) => (await access.task(id)).body.task.status
      expect([await status(approved), await status(denied)]).to.deep.equal(['approved', 'denied'])
      await access.vote(approved, 'deny', MAKER) // the approval is taken back; the task was approved
      expect(await status(approved)).to.equal('approved')
    })

    it('18: MUST expire requests nobody decides, and 11.3: say task_expired once they are answered no more', async () => {
      await access.live({ 'gate.yaml': gateYaml('kept_s: 3600', ', expires_s: 1') })
      const kept = await access.requested(question())
      await access.live({ 'gate.yaml': gateYaml('kept_s: 0', ', expires_s: 1') })
      const gone = await access.requested(question())
      await access.live({})
      await until(
        'it expires',
        async () => (await access.task(kept)).body.task.status === 'expired',
      )
      await until('it is not answered', async () => (await access.task(gone)).status !== 200)
      expect(problemOf(await access.task(gone))).to.deep.equal([410, 'task_expired'])
      expect(problemOf(await access.task(gone, OTHER_PEP))).to.deep.equal([404, 'unknown_task'])
    })
  })

  it('section 11.3, Completed Task Response: MUST include a result when approved, and none before or else', async () => {
    const id = await access.requested(question())
    expect((await access.task(id)).body).not.to.have.property('result')
    await access.vote(id)
    const { body } = await access.task(id)
    expect(body.result.mode).to.equal('reevaluate')
    expect(body.result.approval).to.have.all.keys('id', 'approved_at', 'approved_until', 'state')
    expect(body.result.approval.id).to.match(/^apv_[0-9a-hjkmnp-tv-z]{26}$/)
    const denied = await access.requested(question())
    await access.vote(denied, 'deny')
    expect((await access.task(denied)).body).not.to.have.property('result')
  })

  describe('section 11.4, Cancellation', () => {
    it('answers the task as cancelled, once; then invalid_task_state', async () => {
      const id = await access.requested(question())
      const { status, body } = await cancel(id, SAME_PEP, {
        reason: 'no_need',
        comment: 'done otherwise',
      })
      expect([status, body.task.status]).to.deep.equal([200, 'cancelled'])
      expect(problemOf(await cancel(id))).to.deep.equal([409, 'invalid_task_state'])
      expect((await access.vote(id)).status).to.equal(409)
    })

    it('MUST be authorized for the task, and MUST be refused at an end', async () => {
      const id = await access.requested(question())
      expect(problemOf(await cancel(id, OTHER_PEP))).to.deep.equal([404, 'unknown_task'])
      await access.vote(id)
      expect(problemOf(await cancel(id))).to.deep.equal([409, 'invalid_task_state'])
    })

    it('of a bundle ends what waits and leaves what has ended', async () => {
      const { id } = await bundle(2)
      await access.vote(id)
      const { body } = await cancel(id)
      const each = body.task.items.map(({ status }: { status: string }) => status)
      expect([body.task.status, ...each]).to.deep.equal(['partial', 'approved', 'cancelled'])
      expect(problemOf(await cancel(id))).to.deep.equal([409, 'invalid_task_state'])
    })
  })

  describe('section 13, Callback Completion', () => {
    const calls = () => receiver.effects.filter(({ url }) => url === '/done')
    const ask = async (more: object = {}) => {
      const asking = question()
      const callback = { endpoint: `${receiver.url}/done`, state: 'opaque-1', ...more }
      const { body } = await access.submit({
        ...asking,
        denial: await access.denied(asking),
        callback,
      })
      return body.task.id as string
    }
    const about = (id: string) => calls().filter(({ body }) => body.includes(id))

    it('MUST authenticate itself, and MUST contain the task; it is a notice that enforces nothing', async () => {
      const id = await ask()
      await access.vote(id)
      await until('it is called', () => about(id).length > 0)
      const [effect] = about(id) as [Effect]
      const { headers } = effect
      const { 'webhook-id': notice, 'webhook-timestamp': sentAt } = headers
      const signed = [notice, sentAt, effect.body].join('.')
      const mac = createHmac('sha256', SECRET).update(signed).digest('base64')
      expect(headers['webhook-signature']).to.equal(`v1,${mac}`)
      const { state, task, ...rest } = JSON.parse(effect.body)
      const at = `${URL}/access/v1/requests/${id}`
      expect({ state, task }).to.deep.equal({
        state: 'opaque-1',
        task: { id, status: 'approved', status_endpoint: at },
      })
      expect(rest).not.to.have.property('result')
    })

    it('calls for the events that were asked for, and once a bundle has ended as a whole', async () => {
      const quiet = await ask({ events: ['approved'] })
      await access.vote(quiet, 'deny')
      const loud = await ask({ events: ['denied', 'cancelled'] })
      await cancel(loud)
      await until('it is called', () => about(loud).length > 0)
      expect(JSON.parse(about(loud)[0]?.body ?? '').task.status).to.equal('cancelled')
      expect(about(quiet)).to.have.length(0)
    })
  })

  describe('on our approvals', () => {
    it('is listed with who asks for what, and the votes count as on any other', async () => {
      const asking = question({ context: { channel: 'web' } })
      const denial = await access.denied(asking)
      const context = { channel: 'web', business_justification: 'for the renewal' }
      const { body } = await access.submit({ ...asking, context, denial })
      const [id] = await access.approvalsOf(body.task.id)
      const { body: shown } = await access.call('GET', `/approvals/${id}`)
      expect(shown).to.include({
        origin: 'access_request',
        action_id: '',
        tool: 'publish',
        agent_name: 'user:alice',
        agent_reason: 'for the renewal',
        reason: 'somebody looks at it',
      })
      expect(shown.access_request.subject).to.deep.equal(asking.subject)
      expect(shown.resource).to.deep.equal(asking.resource)
    })

    it('asks for the quorum of the policy of today', async () => {
      await access.live({
        'gate.yaml': gateYaml('', ', approver_roles: [admin]').replace('quorum: 1', 'quorum: 2'),
      })
      try {
        const id = await access.requested(question())
        await access.vote(id)
        expect((await access.task(id)).body.task.status).to.equal('pending')
        await access.vote(id, 'approve', MAKER)
        expect((await access.task(id)).body.task.status).to.equal('approved')
      } finally {
        await access.live({})
      }
    })

    it('carries nothing out when it is approved, whatever tool it names', async () => {
      const key = await access.gate.agent('would-delete')
      const asking = {
        subject: { type: 'agent', id: 'would-delete' },
        action: { name: 'items.delete', properties: { id: 'i-9' } },
        resource: { type: 'tool', id: 'items.delete' },
      }
      const { approval } = await access.approved(asking, key)
      const { body } = await access.again(asking, approval, key)
      expect(body.decision).to.equal(true)
      expect(access.gate.upstream.effects).to.have.length(0)
      const { body: actions } = await access.call('GET', '/actions?limit=500')
      expect(
        actions.actions.filter(({ tool }: { tool: string }) => tool === 'items.delete'),
      ).to.deep.equal([])
    })

    it('18: MUST retain what it takes to tell the story: denial, request, votes and the decision after', async () => {
      const asking = question()
      const { taskId, approval } = await access.approved(asking)
      const { body: decided } = await access.again(asking, approval)
      const [id] = await access.approvalsOf(taskId)
      const { body } = await access.call('GET', '/audit/timeline?limit=20')
      const of = (kind: string) =>
        body.entries.find(
          (one: { kind: string; approval_id?: string }) =>
            one.kind === kind && one.approval_id === id,
        )
      expect(of('approval.requested')).to.include({ access_request: taskId, caller: 'edge' })
      expect(of('approval.requested').evaluation_id).to.match(/^dec_/)
      expect(of('approval.approved')).to.include({ approver: 'tester' })
      expect(of('decision')).to.deep.include({ effect: 'allow', approved_by: ['tester'] })
      expect(of('decision').decision_id).to.equal(decided.context.evaluation_id)
    })
  })

  it('keeps what was asked in clear no longer than it can be of use, and what is on record', async () => {
    const [over, open] = [await access.requested(question()), await access.requested(question())]
    const { operations } = access.gate.gate
    const clear = (id: string) =>
      operations.write((tx) =>
        tx.query<{ sealed: string }>(
          `select sealed from access_tasks where id = $1
           union all select sealed from access_items where task_id = $1`,
          [id],
        ),
      )
    const [approval] = await access.approvalsOf(over)
    await operations.write((tx) =>
      tx.query(`update access_tasks set expires_at = now() - interval '2 hours' where id = $1`, [
        over,
      ]),
    )
    await operations.sweepCounters()
    expect((await clear(over)).map(({ sealed }) => sealed)).to.deep.equal(['', ''])
    for (const { sealed } of await clear(open)) expect(sealed).not.to.equal('')
    const { status, body } = await access.call('GET', `/approvals/${approval}`)
    expect([status, body.access_request.task_id]).to.deep.equal([200, over])
    expect(body.access_request.resource.type).to.equal('page')
    expect(problemOf(await access.task(over))).to.deep.equal([410, 'task_expired'])
  })
})
