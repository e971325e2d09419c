import { expect } from 'chai'
import { ADMIN, MAKER, until } from '../../../support/gate.ts'
import {
  AccessGate,
  gateYaml,
  OTHER_PEP,
  question,
  REGO,
  SAME_PEP,
  type Approval,
} from '../../../support/access-requests.ts'

// AuthZEN Access Request and Approval Profile, draft 1, section 12: an approval is shown when it is asked again, and counts for
// exactly what it was given for, once, while it lasts and the policy of the moment still wants no more than that.

describe('access requests: evaluations after an approval', function () {
  let access: AccessGate
  before(async () => {
    access = await AccessGate.start()
  })
  after(() => access.gate.stop())

  /** What an answer comes to: the decision, why, and what to do. */
  const said = ({ body }: { body: { decision: boolean; context: Record<string, unknown> } }) => [
    body.decision,
    body.context['reason'],
    body.context['next_action'],
  ]
  const UNVERIFIABLE = [false, 'approval_unverifiable', 'none']
  const OUT_OF_SCOPE = [false, 'out_of_scope', 'request']
  const EXPIRED = [false, 'approval_expired', 'request']

  describe('section 12, Completion Semantics', () => {
    it('is allowed with the approval, and says which and until when', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const { body } = await access.again(asking, approval)
      expect(body.decision).to.equal(true)
      const { id, approved_until } = approval
      expect(body.context.approval).to.deep.equal({ id, approved_until })
    })

    it('counts for any instance of who asked, and for one evaluation', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      expect((await access.again(asking, approval, SAME_PEP)).body.decision).to.equal(true)
      expect(said(await access.again(asking, approval))).to.deep.equal(EXPIRED)
    })

    it('counts once for two that ask at the same moment', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const answers = await Promise.all([1, 2, 3].map(() => access.again(asking, approval)))
      const allowed = answers.filter(({ body }) => body.decision)
      expect(allowed).to.have.length(1)
    })

    it('with `reuse: window` counts until its time is over', async () => {
      await access.live({ 'gate.yaml': gateYaml('reuse: window') })
      try {
        const asking = question()
        const { approval } = await access.approved(asking)
        for (const _ of [1, 2]) {
          expect((await access.again(asking, approval)).body.decision).to.equal(true)
        }
      } finally {
        await access.live({})
      }
    })

    it('MUST NOT authorize by a known id alone: the approval comes back whole and unchanged', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const { id, approved_at, approved_until, state } = approval
      const later = new Date(Date.parse(approved_until) + 60_000).toISOString()
      for (const changed of [
        { id },
        { id, approved_at, approved_until },
        { state },
        { ...approval, approved_until: later },
        { ...approval, approved_at: later },
        { ...approval, scope: 'all' },
        { ...approval, state: `${state}A` },
        { ...approval, state: { state } },
        { ...approval, id: [id] },
        [approval],
        id,
        null,
      ]) {
        const answer = await access.again(asking, changed)
        expect(said(answer), JSON.stringify(changed)).to.deep.equal(UNVERIFIABLE)
      }
      expect((await access.again(asking, approval)).body.decision).to.equal(true)
    })

    it('MUST reject an id and a state that do not match, and any that are unknown', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const { approval: other } = await access.approved(question())
      for (const mixed of [
        { ...approval, id: other.id },
        { ...approval, state: other.state },
        { ...approval, id: `apv_${'0'.repeat(26)}` },
      ]) {
        expect(said(await access.again(asking, mixed))).to.deep.equal(UNVERIFIABLE)
      }
    })

    it('MUST verify a JWS state: signature, iss, aud and kind', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const elsewhere = await AccessGate.start({ PUBLIC_SERVER_URL: 'https://other.example' })
      try {
        const { approval: foreign } = await elsewhere.approved(asking)
        const { binding_token } = await access.denied(question())
        const [header, payload] = approval.state.split('.')
        const none = Buffer.from('{"alg":"none"}').toString('base64url')
        const states = [
          foreign.state,
          binding_token,
          `${header}.${payload}.AA`,
          `${none}.${payload}.`,
        ]
        for (const state of states) {
          expect(said(await access.again(asking, { ...approval, state }))).to.deep.equal(
            UNVERIFIABLE,
          )
        }
        expect(said(await access.again(asking, foreign))).to.deep.equal(UNVERIFIABLE)
      } finally {
        await elsewhere.gate.stop()
      }
    })

    it('MUST be applicable to the caller: another’s is refused, and stays as good as it was', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      for (const key of [OTHER_PEP, ADMIN]) {
        expect(said(await access.again(asking, approval, key))).to.deep.equal(UNVERIFIABLE)
      }
      expect((await access.again(asking, approval)).body.decision).to.equal(true)
    })

    it('MUST be within the scope: another subject, resource, action or bound context is out of it', async () => {
      const asking = question({ context: { channel: 'web', time: 'now' } })
      const { approval } = await access.approved(asking)
      for (const over of [
        { subject: { type: 'user', id: 'bob', properties: { team: 'a' } } },
        { subject: { type: 'user', id: 'alice', properties: { team: 'b' } } },
        { resource: { type: 'page', id: 'another' } },
        { action: { name: 'publish', properties: { force: true } } },
        { context: { channel: 'mail', time: 'now' } },
        { context: { time: 'now' } },
        { context: { channel: 'web', time: 'now', amount: 5 } },
      ]) {
        const answer = await access.again({ ...asking, ...over }, approval)
        expect(said(answer), JSON.stringify(over)).to.deep.equal(OUT_OF_SCOPE)
      }
      const later = { ...asking, context: { channel: 'web', time: 'later', nonce: 'x' } }
      expect((await access.again(later, approval)).body.decision).to.equal(true)
    })

    it('binds the members of the context that the policy names, where it names some', async () => {
      await access.live({ 'gate.yaml': gateYaml('context: [amount]') })
      try {
        const asking = question({ context: { amount: 5, channel: 'web' } })
        const { approval } = await access.approved(asking)
        const more = await access.again({ ...asking, context: { amount: 6 } }, approval)
        expect(said(more)).to.deep.equal(OUT_OF_SCOPE)
        const same = await access.again({ ...asking, context: { amount: 5.0 } }, approval)
        expect(same.body.decision).to.equal(true)
      } finally {
        await access.live({})
      }
    })

    it('binds what is else not bound, such as a reason, where the policy names it', async () => {
      await access.live({ 'gate.yaml': gateYaml('context: [reason]') })
      try {
        const asking = question({ context: { reason: 'for the renewal' } })
        const { approval } = await access.approved(asking)
        const other = await access.again({ ...asking, context: { reason: 'for fun' } }, approval)
        expect(said(other)).to.deep.equal(OUT_OF_SCOPE)
        expect((await access.again(asking, approval)).body.decision).to.equal(true)
      } finally {
        await access.live({})
      }
    })

    it('MUST check the status: an approval that was taken back counts no more', async () => {
      const [denied, cancelled] = [question(), question()]
      const first = await access.approved(denied)
      await access.vote(first.taskId, 'deny', MAKER)
      expect(said(await access.again(denied, first.approval))).to.deep.equal(EXPIRED)
      const second = await access.approved(cancelled)
      const [id] = await access.approvalsOf(second.taskId)
      await access.call('POST', `/approvals/${id}/cancel`, { body: { reason: 'changed my mind' } })
      expect(said(await access.again(cancelled, second.approval))).to.deep.equal(EXPIRED)
    })

    it('MUST NOT count after approved_until', async () => {
      await access.live({ 'gate.yaml': gateYaml('approved_s: 1') })
      try {
        const asking = question()
        const { approval } = await access.approved(asking)
        await until('it is over', () => Date.now() > Date.parse(approval.approved_until) + 5)
        expect(said(await access.again(asking, approval))).to.deep.equal(EXPIRED)
      } finally {
        await access.live({})
      }
    })

    it('ends no later than the request asked for', async () => {
      const asking = question()
      const requested_until = new Date(Date.now() + 600_000).toISOString()
      const denial = await access.denied(asking)
      const { body } = await access.submit({
        ...asking,
        denial,
        requested_access: { requested_until },
      })
      await access.vote(body.task.id)
      const { body: done } = await access.task(body.task.id)
      expect(done.result.approval.approved_until).to.equal(requested_until)
    })

    it('with next_action request MUST include a fresh access_request, which is good for a new one', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      await access.again(asking, approval)
      const { body } = await access.again(asking, approval)
      const { access_request: offer, evaluation_id, next_action } = body.context
      expect(next_action).to.equal('request')
      const { binding_token, expires_at } = offer
      const denial = { evaluation_id, binding_token, expires_at }
      expect((await access.submit({ ...asking, denial })).status).to.equal(202)
    })

    it('MUST evaluate as not approved where the approval is none: what needs none is allowed', async () => {
      const reading = question({ action: { name: 'read' } })
      const { approval } = await access.approved(question())
      const { body } = await access.again(reading, approval)
      expect(body.decision).to.equal(true)
      expect(body.context).not.to.have.any.keys('approval', 'next_action')
      expect((await access.again(reading, 'nonsense')).body.decision).to.equal(true)
    })

    it('is asked for item by item, and in a list of evaluations like any other', async () => {
      const [one, other] = [question(), question()]
      const first = await access.approved(one)
      const second = await access.approved(other)
      const ask = (asking: object, approval: Approval) => ({
        ...asking,
        context: { channel: 'web', approval },
      })
      const evaluations = [
        ask(one, first.approval),
        ask(other, first.approval),
        ask(other, second.approval),
      ]
      const { body } = await access.call('POST', '/access/v1/evaluations', {
        key: SAME_PEP,
        body: { evaluations },
      })
      expect(
        body.evaluations.map((answer: object) => said({ body: answer } as never)[0]),
      ).to.deep.equal([true, false, true])
    })

    it('shows no rule what was not verified', async () => {
      const careless = `${REGO}\nallow if input.context.approval\n`
      await access.live({ 'agent.rego': careless })
      try {
        const asking = question({ action: { name: 'other' } })
        const { body } = await access.again(asking, { id: 'apv_mine' })
        expect(body.decision).to.equal(false)
      } finally {
        await access.live({})
      }
    })
  })

  describe('section 17, PDP Processing Rules: an approval MUST NOT override', () => {
    it('the policy of the moment: what it denies by now is policy_denied, for good', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const stricter = `${REGO}\ndeny contains "not on Fridays" if input.action.name == "publish"\n`
      await access.live({ 'agent.rego': stricter })
      try {
        const answer = await access.again(asking, approval)
        expect(said(answer)).to.deep.equal([false, 'policy_denied', 'none'])
        expect(answer.body.context).not.to.have.property('access_request')
      } finally {
        await access.live({})
      }
      expect((await access.again(asking, approval)).body.decision, 'it was not used').to.equal(true)
    })

    it('terms of the moment: when more voices are wanted it is not enough', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      await access.live({ 'gate.yaml': gateYaml().replace('quorum: 1', 'quorum: 2') })
      try {
        expect(said(await access.again(asking, approval))).to.deep.equal(EXPIRED)
      } finally {
        await access.live({})
      }
    })

    it('the kill switch: it is asked again later, and then counts', async () => {
      const asking = question()
      const { approval } = await access.approved(asking)
      const kill = (engaged: boolean) =>
        access.call('PUT', '/kill-switch', {
          body: { engaged, scope: { tool: 'publish' }, reason: 'drill' },
        })
      await kill(true)
      const answer = await access.again(asking, approval)
      expect(said(answer)).to.deep.equal([false, 'kill_switch_engaged', 'retry'])
      expect(answer.body.context.retry_after).to.be.a('number')
      await kill(false)
      expect((await access.again(asking, approval)).body.decision).to.equal(true)
    })

    it('the status of the subject, nor the loss of all its keys', async () => {
      const asking = (id: string) => ({
        subject: { type: 'agent', id },
        action: { name: 'items.delete', properties: { id: 'i-3' } },
        resource: { type: 'tool', id: 'items.delete' },
      })
      await access.gate.agent('is-paused')
      const paused = await access.approved(asking('is-paused'))
      const act = { body: { action: 'pause' } }
      await access.call('POST', '/api/v1/agents/is-paused/action', act)
      const answer = await access.again(asking('is-paused'), paused.approval)
      expect(answer.body.decision).to.equal(false)
      await access.gate.agent('is-keyless')
      const keyless = await access.approved(asking('is-keyless'))
      const { body } = await access.call('GET', '/api/v1/keys')
      const own = body.keys.find(({ name }: { name: string }) => name === 'is-keyless')
      await access.call('DELETE', `/api/v1/keys/${own.id}`)
      const refused = await access.again(asking('is-keyless'), keyless.approval)
      expect(said(refused)).to.deep.equal([false, 'policy_denied', 'none'])
    })
  })

  it('section 21.2.1, Overbroad Approval: MUST NOT widen by what the request said of itself', async () => {
    const asking = question()
    const denial = await access.denied(asking)
    const requested_access = { requested_scope: 'all pages', emergency: true }
    const template = 'everything'
    const { body } = await access.submit({
      ...asking,
      denial: { ...denial, template },
      requested_access,
    })
    await access.vote(body.task.id)
    const { approval } = (await access.task(body.task.id)).body.result
    expect(said(await access.again(question(), approval))).to.deep.equal(OUT_OF_SCOPE)
  })
})
