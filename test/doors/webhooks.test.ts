import { expect } from 'chai'
import { createHmac, timingSafeEqual } from 'node:crypto'
import { TestGate, until } from '../support/gate.ts'
import { echo, reply, TestUpstream, type Effect } from '../support/upstream.ts'

// The form that Standard Webhooks gives secrets: the key itself is what the base64 says.
const SECRET_BYTES = Buffer.from('a secret of the tests, 32 bytes!')
// While a secret is replaced there are two, and each receiver knows one of them.
const OLD_SECRET_BYTES = Buffer.from('the secret before, still in use.')
const SECRET = [SECRET_BYTES, OLD_SECRET_BYTES]
  .map((bytes) => `whsec_${bytes.toString('base64')}`)
  .join(' ')
// Another item each time: the same request again joins the one that is held.
let items = 0
const deletion = () => ({ tool: 'items.delete', args: { id: `i-${items++}` } })

describe('webhooks', () => {
  let receiver: TestUpstream
  let gate: TestGate
  let key: string
  before(async () => {
    receiver = await TestUpstream.start()
    gate = await TestGate.start({
      env: {
        APPROVAL_WEBHOOK_URL: `${receiver.url}/approvals`,
        ALERT_WEBHOOK_URL: `${receiver.url}/alerts`,
        WEBHOOK_SECRET: SECRET,
      },
    })
    key = await gate.agent('worker-1')
  })
  after(async () => {
    await gate.stop()
    await receiver.stop()
  })
  beforeEach(() => {
    receiver.effects.length = 0
    receiver.behave = (_effect, res) => reply(res, 200, {})
    gate.upstream.behave = echo
  })

  const received = (path: string) => receiver.effects.filter(({ url }) => url === path)

  it('tells of an approval that waits, signed as Standard Webhooks say', async () => {
    const { body } = await gate.act(key, deletion())
    await until('it is delivered', () => received('/approvals').length > 0)
    const [effect] = received('/approvals') as [Effect]
    expect(effect.method).to.equal('POST')
    expect(effect.headers['content-type']).to.equal('application/json')
    expect(verify(effect)).to.equal(true)
    expect(verify({ ...effect, body: effect.body.replace('items.delete', 'items.get') })).to.equal(
      false,
    )
    const { type, approval } = JSON.parse(effect.body)
    expect(type).to.equal('approval.requested')
    expect(approval).to.include({
      id: body.approval.id,
      action_id: body.action_id,
      tool: 'items.delete',
      status: 'pending',
      approve: `/approvals/${body.approval.id}/approve`,
    })
  })

  it('signs with each of several secrets, so that one can replace another', async () => {
    await gate.act(key, deletion())
    await until('it is delivered', () => received('/approvals').length > 0)
    const [effect] = received('/approvals') as [Effect]
    expect(verify(effect, SECRET_BYTES)).to.equal(true)
    expect(verify(effect, OLD_SECRET_BYTES)).to.equal(true)
    expect(verify(effect, Buffer.from('another secret'))).to.equal(false)
  })

  it('tells of an alert', async () => {
    gate.upstream.behave = (_effect, _res, socket) => void socket.destroy()
    const { body } = await gate.act(key, { tool: 'items.update', args: { id: 'i-1', note: 'n' } })
    await until('it is delivered', () => received('/alerts').length > 0)
    const [effect] = received('/alerts') as [Effect]
    expect(verify(effect)).to.equal(true)
    expect(effect.body).to.include(body.error.action_id)
    expect(JSON.parse(effect.body).type).to.equal('alert.action_indeterminate')
  })

  it('comes again after a 500, under the same id, and once only after a 200', async () => {
    receiver.behave = (_effect, res) =>
      reply(res, received('/approvals').length < 2 ? 500 : 204, {})
    await gate.act(key, deletion())
    await until('it is delivered again', () => received('/approvals').length >= 2)
    const [first, second] = received('/approvals') as [Effect, Effect]
    expect(verify(second)).to.equal(true)
    expect(second.headers['webhook-id']).to.equal(first.headers['webhook-id'])
    expect(JSON.parse(second.body).id).to.equal(second.headers['webhook-id'])
  })

  it('are listed with what became of them, and where they go without what may be secret', async () => {
    receiver.behave = (_effect, res) =>
      reply(res, received('/approvals').length < 2 ? 500 : 204, {})
    const { body } = await gate.act(key, deletion())
    const about = async () =>
      (await gate.call('GET', '/webhooks/deliveries')).body.deliveries.find(
        ({ approval }: { approval: string }) => approval === body.approval.id,
      )
    await until('it is tried again', async () => (await about())?.state === 'retrying')
    expect(await about()).to.include({
      attempts: 1,
      error: 'the webhook answered 500',
      ended_at: null,
    })
    await until('it is delivered', async () => (await about()).state === 'delivered')
    const [effect] = received('/approvals') as [Effect]
    expect(await about()).to.include({
      id: effect.headers['webhook-id'],
      to: 'approvals',
      type: 'approval.requested',
      attempts: 2,
      error: null,
      next_at: null,
    })
    const { body: failed } = await gate.call('GET', '/webhooks/deliveries?state=failed')
    expect(failed.deliveries).to.deep.equal([])
    expect(failed.receivers).to.deep.equal({ approvals: receiver.url, alerts: receiver.url })
  })

  it('can be tried by an operator, which is on record', async () => {
    const operator = await gate.key('operator', 'ops')
    const { status, body } = await gate.call('POST', '/webhooks/test', {
      key: operator,
      body: { to: 'alerts' },
    })
    expect(status).to.equal(202)
    await until('it came', () => received('/alerts').length > 0)
    const [effect] = received('/alerts') as [Effect]
    expect(verify(effect)).to.equal(true)
    expect(effect.headers['webhook-id']).to.equal(body.id)
    expect(JSON.parse(effect.body)).to.deep.include({ type: 'webhook.test', test: { by: 'ops' } })
    const { body: record } = await gate.call('GET', '/audit/timeline?kind=webhook.tested')
    expect(record.entries[0]).to.deep.include({ actor: 'ops', to: 'alerts', webhook_id: body.id })
  })

  it('cannot be tried where nobody gets them', async () => {
    const quiet = await TestGate.start()
    const { status, body } = await quiet.call('POST', '/webhooks/test', { body: { to: 'alerts' } })
    expect([status, body.error.code]).to.deep.equal([409, 'conflict'])
    await quiet.stop()
  })

  it('follows no redirect, and a receiver that is away holds nothing up', async () => {
    receiver.behave = (_effect, res) => {
      res.writeHead(307, { location: `${gate.upstream.url}/stolen` })
      res.end()
    }
    gate.upstream.effects.length = 0
    const { status, body } = await gate.act(key, deletion())
    expect(status).to.equal(202)
    await until('it was tried', () => received('/approvals').length > 0)
    const approved = await gate.call('POST', `/approvals/${body.approval.id}/approve`, { body: {} })
    expect(approved.status).to.equal(200)
    await until('the action ran', () => gate.upstream.effects.length > 0)
    expect(gate.upstream.effects.map(({ url }) => url)).to.deep.equal([`/items/i-${items - 1}`])
    const { text } = await gate.call('GET', '/metrics', { key: null })
    expect(text).to.match(/^portcullis_webhooks_total\{result="refused"\} [1-9]/m)
    expect(text).to.match(/^portcullis_webhooks_total\{result="accepted"\} [1-9]/m)
  })
})

/** An independent verifier, written from the Standard Webhooks specification. */
function verify({ headers, body }: Effect, secret: Buffer = SECRET_BYTES): boolean {
  const id = String(headers['webhook-id'])
  const timestamp = String(headers['webhook-timestamp'])
  const isRecent = Math.abs(Date.now() / 1000 - Number(timestamp)) < 300
  const expected = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest()
  const isSigned = String(headers['webhook-signature'])
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => Buffer.from(part.slice(3), 'base64'))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected))
  return isRecent && isSigned
}
