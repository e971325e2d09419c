import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { WebSocket } from 'ws'
import { TestGate, until } from '../support/gate.ts'
import { ACTIVITY } from '../support/socket-reader.ts'

const ALLOWED = 20

describe('who a request comes from', () => {
  const gates: TestGate[] = []
  after(() => Promise.all(gates.map((gate) => gate.stop())))

  async function start(env: Record<string, string>): Promise<TestGate> {
    const gate = await TestGate.start({ env: { LOG_LEVEL: 'info', ...env } })
    gates.push(gate)
    return gate
  }

  /** What the log says of a request with these headers. */
  async function logged(gate: TestGate, headers: Record<string, string>) {
    const id = `req-${Math.random().toString(36).slice(2)}`
    await gate.call('GET', '/healthz', { headers: { ...headers, 'x-request-id': id } })
    const file = path.join(gate.dataDir, 'app.log')
    const find = () =>
      fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .find((line) => line.includes(id))
    await until('it is logged', () => find() !== undefined)
    const { client, scheme } = JSON.parse(find() ?? '') as { client: string; scheme: string }
    return [client, scheme]
  }

  it('is whoever connected: nobody is believed about it by default', async () => {
    const gate = await start({})
    const headers = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' }
    expect(await logged(gate, headers)).to.deep.equal(['127.0.0.1', 'http'])
  })

  it('is the right-most address that no trusted proxy has, over several hops', async () => {
    const gate = await start({ TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8, fd00::/8' })
    const cases: [string, string][] = [
      ['203.0.113.9', '203.0.113.9'],
      ['198.51.100.1, 203.0.113.9', '203.0.113.9'],
      ['198.51.100.1, 203.0.113.9, 10.1.1.1, fd00::5', '203.0.113.9'],
      ['2001:db8::7, 10.1.1.1', '2001:db8::7'],
      ['[2001:db8::7]:4711', '2001:db8::7'],
      ['10.2.2.2, 10.1.1.1', '10.2.2.2'],
      ['203.0.113.9, unknown', '127.0.0.1'],
      ['', '127.0.0.1'],
    ]
    for (const [given, expected] of cases) {
      const headers = { 'x-forwarded-for': given }
      expect(await logged(gate, headers), given).to.deep.equal([expected, 'http'])
    }
    const secure = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' }
    expect(await logged(gate, secure)).to.deep.equal(['203.0.113.9', 'https'])
    const inner = { 'x-forwarded-for': '203.0.113.9, 10.1.1.1', 'x-forwarded-proto': 'https, http' }
    expect(await logged(gate, inner)).to.deep.equal(['203.0.113.9', 'https'])
  })

  it('has 20 wrong keys a minute, then is told to wait; right keys are let in all the same', async () => {
    const gate = await start({ TRUSTED_PROXIES: '127.0.0.1' })
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const wrong = async (address: string) => {
      const key = `pk_${Math.random()}`
      return gate.call('GET', '/state', { key, headers: from(address) })
    }
    for (let n = 0; n < ALLOWED; n++) expect((await wrong('203.0.113.1')).status).to.equal(401)
    const { status, body, headers } = await wrong('203.0.113.1')
    expect([status, body.error.code]).to.deep.equal([429, 'rate_limited'])
    expect(Number(headers.get('retry-after'))).to.be.within(1, 60)
    const right = await gate.call('GET', '/state', { headers: from('203.0.113.1') })
    expect(right.status).to.equal(200)
    expect((await wrong('203.0.113.2')).status, 'another client').to.equal(401)
    const socket = await new Promise<number>((resolve) => {
      const opened = new WebSocket(`${gate.gate.url.replace('http', 'ws')}${ACTIVITY}`, {
        headers: { ...from('203.0.113.1'), 'x-api-key': 'pk_wrong' },
      })
      opened.on('unexpected-response', (_req, res) => {
        resolve(res.statusCode ?? 0)
        opened.terminate()
      })
      opened.on('error', () => {})
    })
    expect(socket).to.equal(429)
  })

  it('cannot be made up to get more tries', async () => {
    const gate = await start({})
    const statuses = new Set<number>()
    for (let n = 0; n <= ALLOWED; n++) {
      const headers = { 'x-forwarded-for': `203.0.113.${n}` }
      statuses.add((await gate.call('GET', '/state', { key: 'pk_wrong', headers })).status)
    }
    expect([...statuses]).to.deep.equal([401, 429])
  })
})
