import { expect } from 'chai'
import { TestGate, until } from '../support/gate.ts'
import { PATIENCE, TOOLS } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'hello' } }
const DELETE = { tool: 'items.delete', args: { id: 'i-1' } }

describe('POST /act', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (effect, res) => reply(res, 200, { ok: true, body: effect.body })
  })

  it('carries out an allowed action once and answers the upstream result', async () => {
    const { status, body, headers } = await gate.act(key, UPDATE)
    expect(status).to.equal(200)
    expect(body).to.include({ decision: 'allow', status: 'succeeded' })
    expect(body.result).to.deep.equal({ status: 200, body: { ok: true, body: '{"note":"hello"}' } })
    expect(body.action_id).to.match(/^act_/)
    expect(body.decision_id).to.match(/^dec_/)
    expect(body.revision).to.have.length(64)
    expect(headers.get('x-request-id')).to.match(/^req_/)
    expect(gate.upstream.effects.map(({ method, url }) => `${method} ${url}`)).to.deep.equal([
      'PATCH /items/i-1',
    ])
  })

  it('takes a null for what may be left out, as clients in strict mode send it', async () => {
    const nulls = {
      resource: null,
      context: null,
      reason: null,
      wait_s: null,
      dry_run: null,
    }
    expect((await gate.act(key, { ...UPDATE, ...nulls })).status).to.equal(200)
    expect((await gate.act(key, { ...UPDATE, tool: null })).status).to.equal(400)
    expect((await gate.act(key, { ...UPDATE, nothing: null })).status).to.equal(400)
    expect((await gate.act(key, { ...UPDATE, cost: null })).status, 'NaN').to.equal(400)
    const report = { action_type: 'mail', agent: null, target: null, outcome: null }
    expect((await gate.call('POST', '/api/v1/actions', { key, body: report })).status).to.equal(201)
    const metric = { metric_type: 'tokens', value: 1, unit: null, metadata: null, timestamp: null }
    expect((await gate.call('POST', '/api/v1/metrics', { key, body: metric })).status).to.equal(201)
  })

  it('answers the alias POST /action the same way', async () => {
    const { status, body } = await gate.call('POST', '/action', { key, body: UPDATE })
    expect(status).to.equal(200)
    expect(body.decision).to.equal('allow')
  })

  it('says failed with the upstream answer when the upstream refuses', async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 409, { error: 'locked' })
    const { status, body } = await gate.act(key, UPDATE)
    expect(status).to.equal(200)
    expect(body.status).to.equal('failed')
    expect(body.result).to.deep.equal({ status: 409, body: { error: 'locked' } })
  })

  it('holds what needs approval: 202 with Location and Retry-After, and no effect', async () => {
    const { status, body, headers } = await gate.act(key, DELETE)
    expect(status).to.equal(202)
    expect(body.decision).to.equal('require_approval')
    expect(body.approval.status).to.equal('pending')
    expect(Date.parse(body.approval.expires_at)).to.be.greaterThan(Date.now())
    expect(headers.get('location')).to.equal(`/actions/${body.action_id}`)
    expect(Number(headers.get('retry-after'))).to.be.greaterThan(0)
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('answers the final result when the approval comes within wait_s', async () => {
    const waiter = await gate.agent('waiter')
    const waiting = gate.act(waiter, { ...DELETE, wait_s: 30 })
    let id = ''
    await until('the approval is listed', async () => {
      const { body } = await gate.call('GET', '/approvals', { key: waiter })
      id = body.approvals[0]?.id ?? ''
      return id !== ''
    })
    await gate.call('POST', `/approvals/${id}/approve`, { body: {} })
    const { status, body } = await waiting
    expect(status).to.equal(200)
    expect(body.status).to.equal('succeeded')
  })

  it('answers a dry run with the decision and its trace, and has no effect', async () => {
    const { status, body } = await gate.act(key, { ...UPDATE, dry_run: true })
    expect(status).to.equal(200)
    expect(body).to.include({ dry_run: true, decision: 'allow' })
    expect(body.trace.map((step: { kind: string }) => step.kind)).to.include('permissions')
    expect(gate.upstream.effects).to.have.length(0)
  })

  describe('400 invalid_request', () => {
    const cases: [string, unknown][] = [
      ['no tool', { args: {} }],
      ['an unknown member', { ...UPDATE, extra: 1 }],
      ['args that are not an object', { tool: 'items.get', args: [] }],
      ['args that do not fit the tool', { tool: 'items.get', args: { id: 7 } }],
      ['an argument the tool does not have', { tool: 'items.get', args: { id: 'a', x: 1 } }],
      ['a negative cost', { ...UPDATE, cost: -1 }],
      ['a cost with too many decimals', { ...UPDATE, cost: '0.1234567' }],
      ['a path parameter that climbs', { tool: 'items.get', args: { id: '..' } }],
      ['a path parameter with a slash', { tool: 'items.get', args: { id: 'a/b' } }],
      ['a wait beyond the limit', { ...UPDATE, wait_s: 61 }],
    ]
    for (const [what, body] of cases) {
      it(`for ${what}`, async () => {
        const answer = await gate.act(key, body)
        expect(answer.status).to.equal(400)
        expect(answer.body.error.code).to.equal('invalid_request')
        expect(gate.upstream.effects).to.have.length(0)
      })
    }
  })

  it('401 unauthenticated without a key, with a wrong one, and with a broken header', async () => {
    for (const [use, headers] of [
      [null, {}],
      ['pk_wrong', {}],
      [null, { authorization: 'Basic abc' }],
    ] as const) {
      const answer = await gate.call('POST', '/act', { key: use, body: UPDATE, headers })
      expect(answer.status).to.equal(401)
      expect(answer.body.error.code).to.equal('unauthenticated')
      expect(answer.headers.get('www-authenticate')).to.equal('Bearer')
    }
  })

  it('takes the key as a Bearer token too', async () => {
    const headers = { authorization: `Bearer ${key}` }
    const { status } = await gate.call('POST', '/act', { key: null, body: UPDATE, headers })
    expect(status).to.equal(200)
  })

  it('403 forbidden for a key that is not an agent', async () => {
    const { status, body } = await gate.call('POST', '/act', { body: UPDATE })
    expect([status, body.error.code]).to.deep.equal([403, 'forbidden'])
  })

  it('403 policy_denied with the reasons, for what no rule allows and for unknown tools', async () => {
    const stranger = await gate.agent('stranger', ['nobody'])
    for (const [use, tool, code] of [
      [stranger, 'items.update', 'no_permission'],
      [key, 'items.nothing', 'unknown_tool'],
    ] as const) {
      const { status, body } = await gate.act(use, { ...UPDATE, tool })
      expect([status, body.error.code]).to.deep.equal([403, 'policy_denied'])
      expect(body.error.reasons[0].code).to.equal(code)
      expect(body.error.decision_id).to.match(/^dec_/)
      expect(body.error.retryable).to.equal(false)
    }
    expect(gate.upstream.effects).to.have.length(0)
  })

  describe('Idempotency-Key', () => {
    it('gives the first answer again without a second effect', async () => {
      const headers = { 'idempotency-key': 'same' }
      const first = await gate.act(key, UPDATE, headers)
      const second = await gate.act(key, UPDATE, headers)
      expect(second.status).to.equal(200)
      expect(second.body).to.deep.equal(first.body)
      expect(gate.upstream.effects).to.have.length(1)
    })

    it('422 idempotency_mismatch for another request', async () => {
      const headers = { 'idempotency-key': 'reused' }
      await gate.act(key, UPDATE, headers)
      const { status, body } = await gate.act(key, { ...UPDATE, reason: 'other' }, headers)
      expect([status, body.error.code]).to.deep.equal([422, 'idempotency_mismatch'])
    })

    it('409 in_flight while the first is under way, and one effect for many at once', async () => {
      let release = () => {}
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      gate.upstream.behave = async (_effect, res) => {
        await held
        reply(res, 200, {})
      }
      const headers = { 'idempotency-key': 'flying' }
      const first = gate.act(key, UPDATE, headers)
      await until('the upstream was called', () => gate.upstream.effects.length === 1)
      const others = await Promise.all(
        Array.from({ length: 20 }, () => gate.act(key, UPDATE, headers)),
      )
      release()
      expect(new Set(others.map(({ body }) => body.error.code))).to.deep.equal(
        new Set(['in_flight']),
      )
      expect(others[0]?.status).to.equal(409)
      expect((await first).status).to.equal(200)
      expect(gate.upstream.effects).to.have.length(1)
    })

    it('belongs to one agent: another may use the same key', async () => {
      const other = await gate.agent('worker-2')
      const headers = { 'idempotency-key': 'shared' }
      const a = await gate.act(key, UPDATE, headers)
      const b = await gate.act(other, UPDATE, headers)
      expect(a.body.action_id).to.not.equal(b.body.action_id)
    })
  })

  it('502 upstream_unreachable when nothing could be sent; the same key may try again', async () => {
    const { port } = gate.upstream
    const headers = { 'idempotency-key': 'again' }
    await gate.upstream.stop()
    const down = await gate.act(key, UPDATE, headers)
    expect([down.status, down.body.error.code]).to.deep.equal([502, 'upstream_unreachable'])
    expect(down.body.error.retryable).to.equal(true)
    await gate.upstream.restart(port)
    const up = await gate.act(key, UPDATE, headers)
    expect(up.status).to.equal(200)
  })

  it('504 outcome_unknown when the answer never comes; never sent again by itself', async () => {
    gate.upstream.behave = (_effect, _res, socket) => {
      socket.destroy()
    }
    const headers = { 'idempotency-key': 'lost' }
    const lost = await gate.act(key, UPDATE, headers)
    expect([lost.status, lost.body.error.code]).to.deep.equal([504, 'outcome_unknown'])
    const again = await gate.act(key, UPDATE, headers)
    expect([again.status, again.body.error.code]).to.deep.equal([504, 'outcome_unknown'])
    expect(gate.upstream.effects).to.have.length(1)
    const open = await gate.call('GET', '/actions?state=indeterminate')
    expect(open.body.actions.map(({ id }: { id: string }) => id)).to.include(
      lost.body.error.action_id,
    )
  })

  it('504 after the upstream timeout, for a write', async () => {
    const tools = TOOLS.replace(PATIENCE, 'timeout_ms: 300')
    const impatient = await TestGate.start({ policies: { 'tools.yaml': tools } })
    impatient.upstream.behave = () => {}
    const { status, body } = await impatient.act(await impatient.agent('worker-1'), UPDATE)
    expect([status, body.error.code]).to.deep.equal([504, 'outcome_unknown'])
    await impatient.stop()
  })

  it('lets an operator settle what is indeterminate, once', async () => {
    gate.upstream.behave = (_effect, _res, socket) => {
      socket.destroy()
    }
    const lost = await gate.act(key, UPDATE)
    const route = `/actions/${lost.body.error.action_id}/settle`
    const settled = await gate.call('POST', route, { body: { outcome: 'succeeded', note: 'seen' } })
    expect([settled.status, settled.body.state]).to.deep.equal([200, 'succeeded'])
    const twice = await gate.call('POST', route, { body: { outcome: 'failed', note: 'no' } })
    expect([twice.status, twice.body.error.code]).to.deep.equal([409, 'conflict'])
  })

  it('503 kill_switch_engaged while the switch is engaged, scoped or not', async () => {
    const set = (engaged: boolean, scope?: object) =>
      gate.call('PUT', '/kill-switch', {
        body: { engaged, reason: 'drill', ...(scope ? { scope } : {}) },
      })
    for (const scope of [
      undefined,
      { agent: 'worker-1' },
      { tool: 'items.update' },
      { upstream: 'test' },
    ]) {
      expect((await set(true, scope)).status).to.equal(200)
      const { status, body } = await gate.act(key, UPDATE)
      expect([status, body.error.code]).to.deep.equal([503, 'kill_switch_engaged'])
      expect((await set(false, scope)).status).to.equal(200)
      expect((await gate.act(key, UPDATE)).status).to.equal(200)
    }
    await set(true, { tool: 'items.get' })
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
    await set(false, { tool: 'items.get' })
  })

  it('injects no agent header into the upstream call', async () => {
    await gate.act(key, UPDATE, { cookie: 'a=b', 'x-evil': '1', 'x-forwarded-for': '1.2.3.4' })
    const [effect] = gate.upstream.effects
    expect(effect?.headers).to.not.have.any.keys('cookie', 'x-evil', 'x-forwarded-for', 'x-api-key')
  })

  it('denies and records what is quoted in the middle of a character', async () => {
    const trees = '\u{1f332}'.repeat(90)
    const act = (body: object) => gate.act(key, body)
    for (const [body, code] of [
      [{ tool: `x${trees}` }, 'policy_denied'],
      [{ tool: 'items.get', args: { id: 'i-1', [`x${trees}`]: 1 } }, 'invalid_request'],
    ] as const) {
      const { body: answer } = await act(body)
      expect(answer.error?.code ?? '').to.equal(code)
      const id = answer.action_id ?? answer.error.action_id
      expect((await gate.call('GET', `/actions/${id}`)).status).to.equal(200)
    }
  })
})
