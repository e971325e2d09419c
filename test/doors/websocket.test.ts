import { expect } from 'chai'
import http from 'node:http'
import { WebSocket } from 'ws'
import { EventReader } from '../support/events.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { ACTIVITY as PATH, SocketReader } from '../support/socket-reader.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('the record over WebSocket', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  /** The status and error code that a handshake is refused with. */
  const refusal = (headers: Record<string, string>, path = PATH, protocols: string[] = []) =>
    new Promise<[number, string]>((resolve, reject) => {
      const socket = new WebSocket(`${gate.gate.url.replace('http', 'ws')}${path}`, protocols, {
        headers,
      })
      socket.on('unexpected-response', (_req, res) => {
        let text = ''
        res.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
        res.on('end', () => resolve([res.statusCode ?? 0, JSON.parse(text).error.code]))
      })
      socket.on('open', () => reject(new Error('it was let in')))
      socket.on('error', () => {})
    })

  it('carries the same events as /events, with the same ids and filters', async () => {
    const sse = await EventReader.open(gate.gate.url, ADMIN)
    const ws = await SocketReader.open(gate.gate.url, ADMIN)
    const only = await SocketReader.open(gate.gate.url, ADMIN, '?types=outcome')
    await gate.act(key, UPDATE)
    await gate.call('POST', '/api/v1/metrics', { key, body: { metric_type: 'x', value: 1 } })
    await until('all arrived', () => ws.messages.some(({ type }) => type === 'metric.recorded'))
    await until('the other too', () => sse.events.length >= ws.messages.length)
    expect(ws.ids).to.deep.equal(sse.ids)
    expect(ws.messages.map(({ data }) => data)).to.deep.equal(sse.events.map(({ data }) => data))
    expect(only.messages.map(({ type }) => type)).to.deep.equal(['outcome'])
    await sse.close()
  })

  it('resumes after an id without loss, and shows an agent its own', async () => {
    const start = gate.gate.operations.write((tx) =>
      tx.query<{ audit_seq: bigint }>('select audit_seq from ledger_head'),
    )
    const from = Number((await start)[0]?.audit_seq ?? 0)
    const other = await gate.agent('worker-2')
    await gate.act(other, UPDATE)
    await gate.act(key, UPDATE)
    const all = await SocketReader.open(gate.gate.url, ADMIN, `?last_event_id=${from}`)
    await until('it caught up', () => all.messages.length >= 5)
    expect(all.ids).to.deep.equal(all.ids.map((_, n) => from + 1 + n))
    const own = await SocketReader.open(gate.gate.url, other, '?last_event_id=0')
    await until('its own', () => own.messages.length >= 3)
    expect(new Set(own.messages.map(({ data }) => data.agent_id)).size).to.equal(1)
  })

  it('lets a browser in by a protocol that carries the key', async () => {
    const url = `${gate.gate.url.replace('http', 'ws')}${PATH}`
    const socket = new WebSocket(url, ['portcullis', `key.${ADMIN}`])
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    expect(socket.protocol).to.equal('portcullis')
    socket.close()
  })

  it('refuses as HTTP does, in the one error shape', async () => {
    expect(await refusal({})).to.deep.equal([401, 'unauthenticated'])
    expect(await refusal({ 'x-api-key': 'pk_wrong' })).to.deep.equal([401, 'unauthenticated'])
    const admin = { 'x-api-key': ADMIN }
    expect(await refusal(admin, `${PATH}?agent=nobody-ever`)).to.deep.equal([404, 'not_found'])
    expect(await refusal(admin, '/elsewhere')).to.deep.equal([404, 'not_found'])
    expect(await refusal(admin, `${PATH}?colour=red`)).to.deep.equal([400, 'invalid_request'])
    expect(await refusal(admin, `${PATH}?last_event_id=99999999`)).to.deep.equal([
      400,
      'invalid_request',
    ])
    const plain = await gate.call('GET', PATH)
    expect([plain.status, plain.body.error.code]).to.deep.equal([426, 'upgrade_required'])
  })

  it('cuts off a reader that talks too much, and lives on', async () => {
    const reader = await SocketReader.open(gate.gate.url, ADMIN)
    reader.socket.send('x'.repeat(10_000))
    await until('it is cut off', () => reader.closed)
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
  })

  it('answers a request that offers another upgrade as if it had not', async () => {
    const answer = await new Promise<{ status: number | undefined; text: string }>((resolve) => {
      const req = http.request(
        `${gate.gate.url}/act`,
        {
          method: 'POST',
          headers: {
            'x-api-key': key,
            'content-type': 'application/json',
            connection: 'Upgrade, HTTP2-Settings',
            upgrade: 'h2c',
            'http2-settings': 'AAMAAABkAAQAAP__',
          },
        },
        (res) => {
          let text = ''
          res.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
          res.on('end', () => resolve({ status: res.statusCode, text }))
        },
      )
      req.end(JSON.stringify(UPDATE))
    })
    expect([answer.status, JSON.parse(answer.text).status]).to.deep.equal([200, 'succeeded'])
  })
})
