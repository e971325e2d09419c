import { expect } from 'chai'
import net from 'node:net'
import { TestGate, until } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { rawOne, rawRequest } from '../support/raw.ts'
import { reply } from '../support/upstream.ts'

const UPDATE = JSON.stringify({ tool: 'items.update', args: { id: 'i-1', note: 'n' } })
const VALUES_MAX = 20_000

describe('on the wire', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: { 'gate.yaml': GATE, 'tools.yaml': TOOLS } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = (effect, res) => reply(res, 200, { got: effect.body })
  })

  const send = (start: string) => {
    const headers = [
      'Host: gate',
      `X-API-Key: ${key}`,
      'Content-Type: application/json',
      `Content-Length: ${UPDATE.length}`,
    ]
    return rawOne(gate.gate.url, ...rawRequest(start, headers, UPDATE))
  }

  it('a request line that is not of HTTP/1 is refused, and nothing happens', async () => {
    for (const start of [
      'POST /act',
      'POST /act HTTP/0.9',
      'POST /act HTTP/2.0',
      'POST /act HTTP/1.2',
      'POST /act HTTP/3.0',
      'POST  /act HTTP/1.1',
      'POST /act  HTTP/1.1',
      'POST /act RTSP/1.0',
      'POST\t/act HTTP/1.1',
      'POST /act HTTP/1.1 ',
      ' POST /act HTTP/1.1',
      'post /act HTTP/1.1',
      'POST /act#f HTTP/1.1',
      'POST /act?a=b#f HTTP/1.1',
    ]) {
      const { status, head, body } = await send(start)
      expect([status, JSON.parse(body).error.code], start).to.deep.equal([400, 'invalid_request'])
      expect(head, start).to.match(/connection: close/i)
    }
    expect(gate.upstream.effects).to.deep.equal([])
    for (const start of ['POST /act HTTP/1.1', 'POST /act HTTP/1.0']) {
      expect((await send(start)).status, start).to.equal(200)
    }
  })

  it('requests may come in pieces, with large heads, and one behind another', async () => {
    const { hostname, port } = new URL(gate.gate.url)
    const socket = net.connect(Number(port), hostname)
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    const answers = () => text.match(/HTTP\/1\.1 \d+/g) ?? []
    const request = (line: string, filler = '') => `${line}\r\nHost: x\r\nX-Fill: ${filler}\r\n\r\n`
    const whole = request('GET /healthz HTTP/1.1', 'x'.repeat(14_000))
    for (let at = 0; at < whole.length; at += 997) {
      socket.write(whole.slice(at, at + 997))
      await new Promise(setImmediate)
    }
    socket.write(request('HEAD /healthz HTTP/1.1') + request('GET /healthz HTTP/1.1'))
    await until('all are answered', () => answers().length === 3)
    expect(new Set(answers()).size).to.equal(1)
    socket.write(request('GET  /healthz HTTP/1.1'))
    await until('the connection ends', () => socket.readableEnded || socket.destroyed)
    expect(answers().at(-1)).to.equal('HTTP/1.1 400')
  })

  it('a connection is kept for longer than load balancers hold theirs', async () => {
    const { headers } = await gate.call('GET', '/healthz', { key: null })
    expect(headers.get('keep-alive')).to.equal('timeout=65')
    expect(headers.get('connection')).to.equal('keep-alive')
  })

  it('a body holds 20,000 values at most', async () => {
    const args = (count: number) => ({ id: 'i-1', data: Array.from({ length: count }, () => 1) })
    // The body, the tool, the args, the id and the list are values too.
    const most = await gate.act(key, { tool: 'items.update', args: args(VALUES_MAX - 5) })
    expect(most.status).to.equal(200)
    const more = await gate.act(key, { tool: 'items.update', args: args(VALUES_MAX - 4) })
    expect([more.status, more.body.error.code]).to.deep.equal([400, 'invalid_request'])
    expect(more.body.error.message).to.include('more than 20000 values')
    const members = Object.fromEntries(Array.from({ length: VALUES_MAX }, (_, n) => [`k${n}`, 0]))
    expect((await gate.act(key, members)).status).to.equal(400)
  })

  it('a number arrives as it was sent, or is refused', async () => {
    const raw = (number: string) => ({
      key,
      raw: `{"tool":"items.update","args":{"id":"i-1","data":${number}}}`,
    })
    for (const number of ['0.1234567890123456789', '1.00000000000000001', '1e-400', '-5e-325']) {
      const { status, body } = await gate.call('POST', '/act', raw(number))
      expect([status, body.error?.code], number).to.deep.equal([400, 'invalid_request'])
      expect(body.error.message).to.include('loses digits')
    }
    expect(gate.upstream.effects).to.deep.equal([])
    for (const number of [
      '1.0',
      '1e2',
      '0.10',
      '-0.0',
      '0.30000000000000004',
      '1.5E-7',
      '12.50e1',
    ]) {
      const { status } = await gate.call('POST', '/act', raw(number))
      expect(status, number).to.equal(200)
      const { body } = gate.upstream.effects.at(-1) ?? { body: '{}' }
      expect(Number(JSON.parse(body).data), number).to.equal(Number(number) + 0)
    }
  })
})

describe('an upstream that floods with informational answers', () => {
  it('is cut off, and nobody knows what became of the action; a few are passed over', async () => {
    let count = 0
    const server = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        for (let sent = 0; sent < count; sent++) {
          socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
        }
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as net.AddressInfo
    const tools = TOOLS.replace('${TICKETING_API_URL}', `http://127.0.0.1:${port}`)
    const gate = await TestGate.start({ policies: { 'tools.yaml': tools, 'gate.yaml': GATE } })
    try {
      const key = await gate.agent('worker-1')
      const act = () => gate.call('POST', '/act', { key, raw: UPDATE })
      count = 3
      expect((await act()).status).to.equal(200)
      count = 1_000 // and then an answer
      const { status, body } = await act()
      expect([status, body.error.code]).to.deep.equal([504, 'outcome_unknown'])
    } finally {
      await gate.stop()
      server.close()
    }
  })
})
