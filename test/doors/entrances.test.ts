import { expect } from 'chai'
import { ADMIN, TestGate } from '../support/gate.ts'
import { rawExchange, rawRequest, type Bytes } from '../support/raw.ts'

// An action is answered without the framework where its request is plain, and through it where it names an
// origin. What one way answers, byte for byte, is what the other does.

const LONG_WAY = 'Origin: https://elsewhere.example'
const IDS = /\b(act|dec|req|apr|key|agt)_[0-9a-z]{26}\b/g
const TIMES = /\d{4}-\d\d-\d\dT[\d:.]+Z/g
const DATE = /^Date: .*$/m

interface Case {
  readonly says: string
  readonly start?: string
  readonly headers?: readonly string[]
  /** Who asks; 'agent' unless said otherwise, null: nobody. */
  readonly key?: 'agent' | 'admin' | 'wrong' | null
  readonly body?: Bytes | ((which: string) => Bytes)
  /** Sent so often, on as many connections. */
  readonly times?: number
}

const update = (more: object = {}) =>
  JSON.stringify({ tool: 'items.update', args: { id: 'i-1' }, ...more })
const JSON_TYPE = 'Content-Type: application/json'

const CASES: readonly Case[] = [
  { says: 'an action that is carried out', body: update() },
  { says: 'the alias', start: 'POST /action HTTP/1.1', body: update() },
  { says: 'a dry run', body: update({ dry_run: true }) },
  { says: 'an unknown tool', body: JSON.stringify({ tool: 'no.such' }) },
  {
    says: 'one that is held, and held again',
    body: (which) => JSON.stringify({ tool: 'items.delete', args: { id: which } }),
    times: 2,
  },
  { says: 'args that are wrong', body: update({ args: { nothing: 1 } }) },
  { says: 'a member that is unknown', body: update({ extra: 1 }) },
  { says: 'no body' },
  { says: 'a body that is no object', body: '[1]' },
  { says: 'JSON with a key twice', body: '{"tool":"a","tool":"b"}' },
  { says: 'JSON that is cut off', body: '{"tool":"a' },
  { says: 'text that is no UTF-8', body: Buffer.from([0x22, 0xff, 0x22]) },
  { says: 'a body of another type', headers: ['Content-Type: text/plain'], body: update() },
  { says: 'a compressed body', headers: [JSON_TYPE, 'Content-Encoding: gzip'], body: update() },
  { says: 'a body that is too large', body: JSON.stringify({ tool: 'x'.repeat(1_100_000) }) },
  { says: 'nobody', key: null, body: update() },
  { says: 'a wrong key', key: 'wrong', body: update() },
  { says: 'a key of a person', key: 'admin', body: update() },
  {
    says: 'a bad Authorization',
    key: null,
    headers: ['Authorization: Basic eA=='],
    body: update(),
  },
  { says: 'a header twice', headers: [JSON_TYPE, JSON_TYPE], body: update() },
  { says: 'another version', start: 'POST /act HTTP/2.0', body: update() },
  { says: 'a bad Idempotency-Key', headers: [JSON_TYPE, 'Idempotency-Key: é'], body: update() },
  { says: 'an id of its own', headers: [JSON_TYPE, 'X-Request-Id: mine-1'], body: update() },
  { says: 'a query', start: 'POST /act?x=1 HTTP/1.1', body: update() },
  { says: 'a slash too many', start: 'POST /act/ HTTP/1.1', body: update() },
  { says: 'another method', start: 'PUT /act HTTP/1.1', body: update() },
  { says: 'a call', start: 'GET /proxy/test/items/i-1 HTTP/1.1' },
  {
    says: 'a call with a body',
    start: 'PATCH /proxy/test/items/i-1 HTTP/1.1',
    body: '{"note":"x"}',
  },
  { says: 'a call with a query', start: 'GET /proxy/test/items?status=open HTTP/1.1' },
  { says: 'its head', start: 'HEAD /proxy/test/items/i-1 HTTP/1.1' },
  { says: 'what may be called', start: 'OPTIONS /proxy/test/items/i-1 HTTP/1.1' },
  { says: 'a call that no tool stands for', start: 'GET /proxy/test/nothing HTTP/1.1' },
  { says: 'a call of nothing', start: 'GET /proxy/ HTTP/1.1' },
  { says: 'an upstream that is none', start: 'GET /proxy/none/x HTTP/1.1' },
  { says: 'a path that is ambiguous', start: 'GET /proxy/test/items/../people HTTP/1.1' },
  { says: 'a call of nobody', start: 'GET /proxy/test/items/i-1 HTTP/1.1', key: null },
  { says: 'a call of a person', start: 'GET /proxy/test/items/i-1 HTTP/1.1', key: 'admin' },
  {
    says: 'a call of malformed JSON',
    start: 'PATCH /proxy/test/items/i-1 HTTP/1.1',
    body: '{"note":',
  },
  {
    says: 'a call that is too large',
    start: 'PATCH /proxy/test/items/i-1 HTTP/1.1',
    body: JSON.stringify({ note: 'x'.repeat(1_100_000) }),
  },
]

describe('the two ways of an action', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start()
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  const keyLine = (who: Case['key'] = 'agent') =>
    who === null ? [] : [`X-API-Key: ${{ agent: key, admin: ADMIN, wrong: 'pk_wrong' }[who]}`]

  async function answered(one: Case, which: 'short' | 'long'): Promise<string[]> {
    const { start = 'POST /act HTTP/1.1', headers = [JSON_TYPE], body = '', times = 1 } = one
    const bytes = Buffer.from(typeof body === 'function' ? body(which) : body)
    const texts: string[] = []
    for (let n = 0; n < times; n++) {
      const { answers } = await rawExchange(
        gate.gate.url,
        ...rawRequest(
          start,
          [
            'Host: gate',
            ...keyLine(one.key),
            ...headers,
            `Content-Length: ${bytes.length}`,
            ...(which === 'long' ? [LONG_WAY] : []),
          ],
          bytes,
        ),
      )
      texts.push(...answers.map(({ head, body: text }) => `${head}\n\n${text}`))
    }
    return texts.map((text) =>
      text.replaceAll(IDS, '$1_').replaceAll(TIMES, 'then').replace(DATE, 'Date: then'),
    )
  }

  for (const one of CASES) {
    it(`answer alike: ${one.says}`, async () => {
      const short = await answered(one, 'short')
      expect(short).to.have.length(one.times ?? 1)
      expect(await answered(one, 'long')).to.deep.equal(short)
    })
  }

  it('answer a key twice with the first answer, whichever way each takes', async () => {
    const once = { headers: [JSON_TYPE, 'Idempotency-Key: both-ways'], body: update(), says: '' }
    const first = await answered(once, 'short')
    const mark = '\r\nIdempotent-Replayed: true'
    const again = await answered(once, 'long')
    expect(again.join()).to.include(mark)
    expect(again.map((text) => text.replace(mark, ''))).to.deep.equal(first)
    expect(gate.upstream.effects.length).to.be.greaterThan(0)
  })
})
