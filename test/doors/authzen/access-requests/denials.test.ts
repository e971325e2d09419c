import { expect } from 'chai'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose'
import { ADMIN, until } from '../../../support/gate.ts'
import {
  AccessGate,
  gateYaml,
  OTHER_PEP,
  question,
  SAME_PEP,
  URL,
} from '../../../support/access-requests.ts'

// AuthZEN Access Request and Approval Profile, draft 1: what a denial says, and how a submission is bound to it.

const ENDPOINT = `${URL}/access/v1/requests`

/** Another id of the same form. */
const unlike = (id: string): string => `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`

describe('access requests: denials and submissions', function () {
  let access: AccessGate
  before(async () => {
    access = await AccessGate.start()
  })
  after(() => access.gate.stop())

  const problemOf = ({ status, body }: { status: number; body: { type?: string } }) => [
    status,
    body.type?.replace('urn:openid:authzen:access-request:error:', ''),
  ]

  describe('section 6, Discovery', () => {
    it('MUST publish access_request_endpoint and jwks_uri as https, and says the capability', async () => {
      const { body } = await access.call('GET', '/.well-known/authzen-configuration', { key: null })
      expect(body.access_request_endpoint).to.equal(ENDPOINT)
      expect(body.jwks_uri).to.equal(`${URL}/access/v1/jwks`)
      expect(body.capabilities).to.include('urn:openid:authzen:capability:access-request')
    })

    it('publishes a JWK Set with kid and use, which a foreign library verifies a denial with', async () => {
      const { body, headers } = await access.call('GET', '/access/v1/jwks', { key: null })
      expect(body.keys[0]).to.include({ use: 'sig', alg: 'EdDSA', kty: 'OKP' })
      expect(headers.get('cache-control')).to.match(/max-age=\d+/)
      const { binding_token: token } = await access.denied(question())
      expect(decodeProtectedHeader(token).kid).to.equal(body.keys[0].kid)
      const keys = createLocalJWKSet(body as JSONWebKeySet)
      await jwtVerify(token, keys, { issuer: URL, audience: ENDPOINT })
    })

    it('offers nothing without a public https URL', async () => {
      const other = await AccessGate.start({ PUBLIC_SERVER_URL: 'http://gate.example' })
      try {
        const { body } = await other.evaluate(question())
        expect(body.context.reason).to.equal('approval_required')
        expect(body.context).not.to.have.property('access_request')
      } finally {
        await other.gate.stop()
      }
    })
  })

  describe('section 7, Requestable Denial Context', () => {
    it('MUST be there only where access can be requested', async () => {
      const { body } = await access.evaluate(question())
      expect(body.decision).to.equal(false)
      expect(body.context.access_request).to.include({ endpoint: ENDPOINT })
      const allowed = await access.evaluate(question({ action: { name: 'read' } }))
      expect(allowed.body.decision).to.equal(true)
      const high = await access.evaluate(question({ context: { risk: 'high' } }))
      const none = await access.evaluate(question({ action: { name: 'other' } }))
      for (const answer of [allowed, high, none]) {
        expect(answer.body.context).not.to.have.property('access_request')
      }
    })

    it('MUST include expires_at and an integrity-protected binding_token that says it', async () => {
      const denial = await access.denied(question())
      const claims = JSON.parse(
        Buffer.from(denial.binding_token.split('.')[1], 'base64url').toString(),
      )
      expect(claims.denial_expires_at).to.equal(denial.expires_at)
      expect(Date.parse(denial.expires_at)).to.be.greaterThan(Date.now())
    })

    it('names no rule of the policy to who may not know it', async () => {
      const { body } = await access.evaluate(question())
      expect(body.context.access_request).not.to.have.property('template')
    })
  })

  it('section 7.1, Evaluation Identifier: is stable, and the one on record', async () => {
    const { evaluation_id: id } = await access.denied(question())
    const route = '/audit/timeline?kind=decision&limit=5'
    const { body } = await access.call('GET', route)
    const entry = body.entries.find((one: { decision_id: string }) => one.decision_id === id)
    expect(entry).to.include({ effect: 'require_approval', enforced_by: 'caller' })
  })

  describe('section 10.1, Access Request Submission', () => {
    it('answers 202 with a task, its Location, and the way to withdraw it', async () => {
      const asking = question()
      const { status, headers, body } = await access.submit({
        ...asking,
        denial: await access.denied(asking),
      })
      expect(status).to.equal(202)
      expect(body.task.status).to.equal('pending')
      expect(headers.get('location')).to.equal(body.task.status_endpoint)
      expect(body.task.status_endpoint).to.equal(`${ENDPOINT}/${body.task.id}`)
      expect(body.task.links.cancel).to.equal(`${ENDPOINT}/${body.task.id}/cancel`)
    })

    it('MUST be bound by binding_token or evaluation_id; either is enough', async () => {
      for (const left of ['evaluation_id', 'binding_token'] as const) {
        const asking = question()
        const { [left]: _, ...denial } = await access.denied(asking)
        expect((await access.submit({ ...asking, denial })).status, left).to.equal(202)
      }
      const asking = question()
      const { expires_at } = await access.denied(asking)
      for (const denial of [undefined, { expires_at }]) {
        const answer = await access.submit({ ...asking, ...(denial ? { denial } : {}) })
        expect(problemOf(answer)).to.deep.equal([400, 'invalid_denial_binding'])
      }
    })

    it('MUST resolve evaluation_id before relying on it', async () => {
      const asking = question()
      const { binding_token: _, ...denial } = await access.denied(asking)
      const send = (more: object, of: object = asking) =>
        access.submit({ ...of, denial: { ...denial, ...more } }).then(problemOf)
      const wrong = [400, 'invalid_denial_binding']
      expect(await send({ evaluation_id: 'dec_none' })).to.deep.equal(wrong)
      expect(await send({ evaluation_id: unlike(denial.evaluation_id) })).to.deep.equal(wrong)
      expect(await send({}, question())).to.deep.equal(wrong)
      expect(await send({ expires_at: new Date(Date.now() + 1e9).toISOString() })).to.deep.equal(
        wrong,
      )
      const { body } = await access.evaluate({ ...asking, action: { name: 'read' } })
      const allowed = { evaluation_id: body.context.evaluation_id }
      expect(await send(allowed)).to.deep.equal([400, 'not_requestable'])
      expect((await send({}))[0]).to.equal(202)
    })

    it('MUST reject what is not requestable with not_requestable, with its problem type', async () => {
      const asking = question({ action: { name: 'read' } })
      const { body } = await access.evaluate(asking)
      const { evaluation_id, evaluated_at: expires_at } = body.context
      const answer = await access.submit({ ...asking, denial: { evaluation_id, expires_at } })
      expect(problemOf(answer)).to.deep.equal([400, 'not_requestable'])
      expect(answer.headers.get('content-type')).to.equal('application/problem+json')
    })

    it('takes what is added to the context, and MUST refuse what of it was changed or left out', async () => {
      const asking = question({ context: { channel: 'web', time: '2026-01-01T00:00:00Z' } })
      const denial = await access.denied(asking)
      const send = (context: object) => access.submit({ ...asking, context, denial })
      for (const context of [{}, { channel: 'mail' }, { channel: null }, { Channel: 'web' }]) {
        expect(problemOf(await send(context))).to.deep.equal([400, 'invalid_denial_binding'])
      }
      const more = { channel: 'web', time: 'later', business_justification: 'for the renewal' }
      expect((await send(more)).status).to.equal(202)
    })

    it('keeps what its sender says of a request apart from what decides: nothing of it approves', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      const requested_access = { emergency: true, requested_role: 'admin' }
      const client = { id: 'edge-1', actor: { id: 'agent-7', type: 'ai_agent' } }
      const { body } = await access.submit({ ...asking, denial, requested_access, client })
      expect(body.task.status).to.equal('pending')
      const [id] = await access.approvalsOf(body.task.id)
      const { body: shown } = await access.call('GET', `/approvals/${id}`)
      expect(shown.access_request).to.deep.include({ requested_access, client })
    })

    it('MUST NOT have resource or action at the top beside items, nor lack them without', async () => {
      const { resource, action, ...rest } = question()
      const denial = await access.denied({ ...rest, resource, action })
      const items = [{ resource, action }]
      for (const body of [
        { ...rest, items, resource, denial },
        { ...rest, items, action, denial },
        { ...rest, items: [], denial },
        { ...rest, items: [{ resource }], denial },
        { ...rest, resource, denial },
        { resource, action, denial },
      ]) {
        expect((await access.submit(body)).status).to.equal(400)
      }
      expect((await access.submit({ ...rest, items, denial })).status).to.equal(202)
    })

    it('with an Idempotency-Key is the same task again, however its members are ordered', async () => {
      const asking = question()
      const { context, ...rest } = { ...asking, denial: await access.denied(asking) }
      const headers = { 'Idempotency-Key': `key-${Date.now()}` }
      const first = await access.submit({ context, ...rest }, undefined, headers)
      const second = await access.submit({ ...rest, context }, SAME_PEP, headers)
      expect(second.body.task.id).to.equal(first.body.task.id)
      expect(second.status).to.equal(202)
    })

    it('MUST reject the same Idempotency-Key for another body with duplicate_request', async () => {
      const asking = question()
      const body = { ...asking, denial: await access.denied(asking) }
      const headers = { 'Idempotency-Key': `other-${Date.now()}` }
      expect((await access.submit(body, undefined, headers)).status).to.equal(202)
      const other = await access.submit({ ...body, client: { id: 'x' } }, undefined, headers)
      expect(problemOf(other)).to.deep.equal([409, 'duplicate_request'])
    })

    it('MUST reject a denial after its time with expired_denial', async () => {
      await access.live({ 'gate.yaml': gateYaml('requestable_s: 1') })
      try {
        for (const left of ['evaluation_id', 'binding_token'] as const) {
          const asking = question()
          const { [left]: _, ...denial } = await access.denied(asking)
          await until('it is over', () => Date.now() > Date.parse(denial.expires_at) + 5)
          const answer = await access.submit({ ...asking, denial })
          expect(problemOf(answer)).to.deep.equal([410, 'expired_denial'])
        }
      } finally {
        await access.live({})
      }
    })
  })

  describe('section 21.1.4, Binding Token Integrity', () => {
    const refused = [400, 'invalid_denial_binding']

    it('MUST verify the signature: a token with one character changed is refused', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      const token: string = denial.binding_token
      const places = [10, token.indexOf('.') + 20, token.lastIndexOf('.') + 8, token.length - 2]
      for (const at of places) {
        const binding_token = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
        const answer = await access.submit({ ...asking, denial: { ...denial, binding_token } })
        expect(problemOf(answer), String(at)).to.deep.equal(refused)
      }
    })

    it('takes no token without a signature, and none of another kind', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      const [, payload] = denial.binding_token.split('.')
      const none = Buffer.from('{"alg":"none"}').toString('base64url')
      const { approval } = await access.approved(question())
      for (const binding_token of [
        `${none}.${payload}.`,
        `${none}.${payload}.AA`,
        approval.state,
      ]) {
        const answer = await access.submit({ ...asking, denial: { ...denial, binding_token } })
        expect(problemOf(answer)).to.deep.equal(refused)
      }
    })

    it('MUST reject a token whose aud is not this service: one of another gate is', async () => {
      const other = await AccessGate.start({ PUBLIC_SERVER_URL: 'https://other.example' })
      try {
        const asking = question()
        const answer = await access.submit({ ...asking, denial: await other.denied(asking) })
        expect(problemOf(answer)).to.deep.equal(refused)
      } finally {
        await other.gate.stop()
      }
    })

    it('MUST verify that denial.expires_at is the protected value', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      const expires_at = new Date(Date.parse(denial.expires_at) + 60_000).toISOString()
      const answer = await access.submit({ ...asking, denial: { ...denial, expires_at } })
      expect(problemOf(answer)).to.deep.equal(refused)
    })

    it('refuses a token that was used: a denial is asked for once, whichever way', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      expect((await access.submit({ ...asking, denial })).status).to.equal(202)
      const { binding_token: _, ...byId } = denial
      for (const again of [denial, byId]) {
        const answer = await access.submit({ ...asking, denial: again })
        expect(problemOf(answer)).to.deep.equal(refused)
      }
    })

    it('refuses a token that was given to somebody else, and one put together with another’s id', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      for (const key of [OTHER_PEP, ADMIN]) {
        const answer = await access.submit({ ...asking, denial }, key)
        expect(problemOf(answer)).to.deep.equal(refused)
      }
      const { evaluation_id } = await access.denied(question())
      const mixed = await access.submit({ ...asking, denial: { ...denial, evaluation_id } })
      expect(problemOf(mixed)).to.deep.equal(refused)
      expect((await access.submit({ ...asking, denial }, SAME_PEP)).status).to.equal(202)
    })

    it('leaves the actor out of the comparison, since it may move to client.actor', async () => {
      const act = { sub: 'agent-7', iss: 'https://idp.example' }
      const asking = question({
        subject: { type: 'user', id: 'alice', properties: { team: 'a', act } },
      })
      const denial = await access.denied(asking)
      const subject = { type: 'user', id: 'alice', properties: { team: 'a' } }
      const client = { actor: { id: 'agent-7', issuer: act.iss } }
      const answer = await access.submit({ ...asking, subject, client, denial })
      expect(answer.status).to.equal(202)
    })
  })

  describe('section 13, Callback Completion', () => {
    it('MUST reject an endpoint that is not listed, whatever it resolves to', async () => {
      const asking = question()
      const denial = await access.denied(asking)
      for (const endpoint of [
        'http://127.0.0.1:1/x',
        'http://169.254.169.254/latest',
        'https://10.0.0.1/x',
        'https://somewhere.example/x',
      ]) {
        const answer = await access.submit({ ...asking, denial, callback: { endpoint } })
        expect(answer.status, endpoint).to.equal(400)
      }
    })
  })

  describe('section 19, Authorization and Authentication', () => {
    it('MUST authenticate who asks: without a key 401, with one that may not ask 403', async () => {
      const body = question()
      expect(
        (await access.gate.call('POST', '/access/v1/requests', { key: null, body })).status,
      ).to.equal(401)
      const observer = await access.gate.key('observer', 'looks')
      expect((await access.submit(body, observer)).status).to.equal(403)
    })

    it('lets an agent ask for itself, of a tool as of any action, and for nobody else', async () => {
      const key = await access.gate.agent('asks-itself')
      const other = await access.gate.agent('asks-too')
      const asking = (id: string) => ({
        subject: { type: 'agent', id },
        action: { name: 'items.delete', properties: { id: 'i-1' } },
        resource: { type: 'tool', id: 'items.delete' },
      })
      const denial = await access.denied(asking('asks-itself'), key)
      expect((await access.submit({ ...asking('asks-itself'), denial }, other)).status).to.equal(
        403,
      )
      expect((await access.submit({ ...asking('asks-itself'), denial }, key)).status).to.equal(202)
      expect(access.gate.upstream.effects).to.have.length(0)
    })

    it('19.1, Delegation: MUST reject an actor that the caller’s key does not speak for', async () => {
      const key = await access.gate.agent('acts-itself')
      const asking = {
        subject: { type: 'agent', id: 'acts-itself' },
        action: { name: 'items.delete', properties: { id: 'i-2' } },
        resource: { type: 'tool', id: 'items.delete' },
      }
      const denial = await access.denied(asking, key)
      const send = (actor: object) => access.submit({ ...asking, denial, client: { actor } }, key)
      expect((await send({ id: 'somebody-else' })).status).to.equal(403)
      expect((await send({ id: 'acts-itself', act: { sub: 'boss' } })).status).to.equal(403)
      expect((await send({ id: 'acts-itself' })).status).to.equal(202)
    })
  })

  describe('section 21.2.2, Approver Eligibility and Separation of Duties', () => {
    const votes = async (
      asking: ReturnType<typeof question>,
      key: string | undefined,
      more = {},
    ) => {
      const body = { ...asking, denial: await access.denied(asking, key), ...more }
      const { body: answer } = await access.submit(body, key)
      return (await access.vote(answer.task.id)).status
    }

    it('MUST NOT count the approval of who asked, of whom it is for, or of an actor between', async () => {
      expect(await votes(question(), ADMIN)).to.equal(403)
      expect(
        await votes(question({ subject: { type: 'user', id: 'Tester' } }), undefined),
      ).to.equal(403)
      const client = {
        actor: { id: 'edge-agent', act: { sub: 'tester', iss: 'https://idp.example' } },
      }
      expect(await votes(question(), undefined, { client })).to.equal(403)
      expect(await votes(question(), undefined)).to.equal(200)
    })

    it('says so before the vote, and counts no approval of who issued the key that asked', async () => {
      const key = await access.gate.key('pep', 'new-edge') // by the tester, a moment ago
      const taskId = await access.requested(question(), key)
      const [id] = await access.approvalsOf(taskId)
      const { body } = await access.call('GET', `/approvals/${id}`)
      expect(body.may_vote).to.include({ approve: false, deny: true })
      expect((await access.vote(taskId)).status).to.equal(403)
    })
  })
})
