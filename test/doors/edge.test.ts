import { expect } from 'chai'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { rawExchange, rawOne, rawRequest, type Bytes, type RawAnswer } from '../support/raw.ts'
import { echo } from '../support/upstream.ts'

const ORIGIN = 'https://app.example.com'
const BODY_BYTES_MAX = 1 << 20
const UPDATE = '{"tool":"items.update","args":{"id":"i-1","note":"hello"}}'

describe('the edge', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ env: { ALLOWED_ORIGINS: ORIGIN } })
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())
  beforeEach(() => {
    gate.upstream.effects.length = 0
    gate.upstream.behave = echo
  })

  const errorOf = ({ body }: RawAnswer): string =>
    (JSON.parse(body) as { error: { code: string } }).error.code

  const json = (body: Bytes) => [
    'Host: gate',
    `X-API-Key: ${key}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]

  /** `POST /act` on a connection of its own, with more headers. */
  const post = (body: Bytes, ...more: string[]): Promise<RawAnswer> =>
    rawOne(gate.gate.url, ...rawRequest('POST /act HTTP/1.1', [...json(body), ...more], body))

  const withData = (data: string): string =>
    `{"tool":"items.update","args":{"id":"i-1","data":${data}}}`

  describe('headers that decide something come once', () => {
    const extra: [string, string][] = [
      ['Host', 'elsewhere'],
      ['X-API-Key', 'pk_other'],
      ['Content-Type', 'text/plain'],
      ['Content-Length', '1'],
    ]
    for (const [name, value] of extra) {
      it(`400 for a second ${name}`, async () => {
        const answer = await post(UPDATE, `${name}: ${value}`)
        expect([answer.status, errorOf(answer)]).to.deep.equal([400, 'invalid_request'])
        expect(gate.upstream.effects).to.have.length(0)
      })
    }
    for (const name of ['Authorization', 'Idempotency-Key', 'Content-Encoding']) {
      it(`400 for two of ${name}, in whatever case`, async () => {
        const lines = [`${name}: Bearer ${key}`, `${name.toUpperCase()}: Bearer ${key}`]
        const answer = await post(UPDATE, ...lines)
        expect([answer.status, errorOf(answer)]).to.deep.equal([400, 'invalid_request'])
        expect(gate.upstream.effects).to.have.length(0)
      })
    }

    it('400 for an X-API-Key and an Authorization that differ; equal ones pass', async () => {
      const differ = await post(UPDATE, 'Authorization: Bearer pk_other')
      expect([differ.status, errorOf(differ)]).to.deep.equal([400, 'invalid_request'])
      expect(gate.upstream.effects).to.have.length(0)
      expect((await post(UPDATE, `Authorization: Bearer ${key}`)).status).to.equal(200)
    })

    it('does not take X_API_KEY for X-API-Key', async () => {
      const headers = ['Host: gate', `X_API_KEY: ${key}`, 'Content-Length: 0']
      const answer = await rawOne(gate.gate.url, ...rawRequest('POST /act HTTP/1.1', headers))
      expect(answer.status).to.equal(401)
    })
  })

  describe('framing', () => {
    const tricks: [string, (length: number) => string[]][] = [
      ['both lengths', (n) => [`Content-Length: ${n}`, 'Transfer-Encoding: chunked']],
      ['both, turned round', (n) => ['Transfer-Encoding: chunked', `Content-Length: ${n}`]],
      ['two lengths', () => ['Content-Length: 0', 'Content-Length: 5']],
      ['a list of lengths', (n) => [`Content-Length: ${n}, ${n}`]],
      ['a signed length', (n) => [`Content-Length: +${n}`]],
      ['a hexadecimal length', () => ['Content-Length: 0x0']],
      ['a negative length', () => ['Content-Length: -1']],
      ['space before the colon', () => ['Transfer-Encoding : chunked']],
      ['an unknown coding last', () => ['Transfer-Encoding: chunked, identity']],
      ['an unknown coding', () => ['Transfer-Encoding: xchunked']],
      ['chunked twice', () => ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
      ['a vertical tab', () => ['Transfer-Encoding: \u000bchunked']],
      ['a folded header', () => ['Transfer-Encoding:', ' chunked', 'Content-Length: 0']],
      ['a line feed inside', (n) => [`X: 1\nContent-Length: ${n}`, 'Transfer-Encoding: chunked']],
      ['a NUL in a header', () => ['X: a\0b', 'Content-Length: 0']],
      ['a space in a name', () => ['X Y: 1', 'Content-Length: 0']],
    ]
    for (const [what, framing] of tricks) {
      it(`400 and no second request for ${what}`, async () => {
        const smuggled = rawRequest('POST /act HTTP/1.1', json(UPDATE), UPDATE).join('')
        const body = `0\r\n\r\n${smuggled}`
        const head = ['Host: gate', `X-API-Key: ${key}`, 'Content-Type: application/json']
        const request = [...head, ...framing(body.length)].join('\r\n')
        const { answers, closed } = await rawExchange(
          gate.gate.url,
          `POST /act HTTP/1.1\r\n${request}\r\n\r\n${body}`,
        )
        expect(closed).to.equal(true)
        expect(answers.map(({ status }) => status)).to.deep.equal([400])
        expect(gate.upstream.effects).to.have.length(0)
      })
    }

    const chunks: [string, string][] = [
      ['a size that is not hexadecimal', 'zz\r\nabc\r\n0\r\n\r\n'],
      ['a size beyond any number', `${'f'.repeat(20)}\r\nabc\r\n0\r\n\r\n`],
      ['a chunk longer than its size', '1\r\n{}\r\n0\r\n\r\n'],
    ]
    for (const [what, body] of chunks) {
      it(`400 for ${what}`, async () => {
        const head = ['Host: gate', `X-API-Key: ${key}`, 'Content-Type: application/json']
        const { answers } = await rawExchange(
          gate.gate.url,
          ...rawRequest('POST /act HTTP/1.1', [...head, 'Transfer-Encoding: chunked'], body),
        )
        expect(answers.map(({ status }) => status)).to.deep.equal([400])
        expect(gate.upstream.effects).to.have.length(0)
      })
    }

    it('answers what it cannot parse in the one error shape, with a request id', async () => {
      const answer = await rawOne(gate.gate.url, 'NONSENSE\r\n\r\n')
      expect([answer.status, errorOf(answer)]).to.deep.equal([400, 'invalid_request'])
      expect(answer.head).to.match(/^x-request-id: req_/im)
      const large = await rawOne(
        gate.gate.url,
        ...rawRequest('GET /healthz HTTP/1.1', ['Host: gate', `X: ${'x'.repeat(20_000)}`]),
      )
      expect([large.status, errorOf(large)]).to.deep.equal([413, 'payload_too_large'])
    })

    it('takes chunked bodies that are well formed', async () => {
      const head = ['Host: gate', `X-API-Key: ${key}`, 'Content-Type: application/json']
      const body = `${UPDATE.length.toString(16)}\r\n${UPDATE}\r\n0\r\n\r\n`
      const request = rawRequest(
        'POST /act HTTP/1.1',
        [...head, 'Transfer-Encoding: chunked'],
        body,
      )
      expect((await rawOne(gate.gate.url, ...request)).status).to.equal(200)
    })
  })

  describe('415 and nothing forwarded', () => {
    const types: [string, string | undefined, string?][] = [
      ['text/plain', 'text/plain'],
      ['a vendor type', 'application/vnd.api+json'],
      ['a form', 'application/x-www-form-urlencoded'],
      ['no content type', undefined],
      ['latin1', 'application/json; charset=latin1'],
      ['UTF-16', 'application/json;charset=utf-16'],
      ['a list', 'application/json, text/plain'],
      ['gzip', 'application/json', 'gzip'],
      ['an unknown encoding', 'application/json', 'br, identity'],
    ]
    for (const [what, type, encoding] of types) {
      for (const route of ['/act', '/proxy/test/items/i-1']) {
        // Of what a client of an API sends, any JSON is JSON.
        if (what === 'a vendor type' && route !== '/act') continue
        it(`for ${what} on ${route}`, async () => {
          const body = encoding === 'gzip' ? gzipSync(UPDATE) : Buffer.from(UPDATE)
          const headers = [
            'Host: gate',
            `X-API-Key: ${key}`,
            `Content-Length: ${body.length}`,
            ...(type ? [`Content-Type: ${type}`] : []),
            ...(encoding ? [`Content-Encoding: ${encoding}`] : []),
          ]
          const method = route === '/act' ? 'POST' : 'PATCH'
          const request = rawRequest(`${method} ${route} HTTP/1.1`, headers, body)
          const answer = await rawOne(gate.gate.url, ...request)
          expect([answer.status, errorOf(answer)]).to.deep.equal([415, 'unsupported_media_type'])
          expect(gate.upstream.effects).to.have.length(0)
        })
      }
    }

    it('takes application/json in its other spellings', async () => {
      for (const type of ['Application/JSON', 'application/json; charset="UTF-8"']) {
        const headers = { 'content-type': type, 'content-encoding': 'identity' }
        const { status } = await gate.call('POST', '/act', { key, raw: UPDATE, headers })
        expect(status).to.equal(200)
      }
    })
  })

  describe('bodies that two parsers could read differently', () => {
    const nested = (levels: number): string => `${'['.repeat(levels)}1${']'.repeat(levels)}`
    const refused: [string, Bytes][] = [
      ['invalid UTF-8', Buffer.from(withData('"\u00ff"'), 'latin1')],
      ['an overlong encoding', Buffer.from(withData('"\u00c0\u00af"'), 'latin1')],
      ['a byte order mark', `\ufeff${UPDATE}`],
      ['UTF-16', Buffer.from(UPDATE, 'utf16le')],
      ['a duplicate key', '{"tool":"items.get","tool":"items.update","args":{"id":"i-1"}}'],
      ['a duplicate key below', withData('{"to":"a","to":"b"}')],
      ['the same key in another spelling', withData('{"to":"a","\\u0074o":"b"}')],
      ['two __proto__', withData('{"__proto__":1,"__proto__":2}')],
      ['an integer beyond 2^53', withData('9007199254740993')],
      ['the same with an exponent', withData('9007199254740993e0')],
      ['a number that overflows', withData('1e400')],
      ['a negative number that overflows', withData('-1e400')],
      ['a lone surrogate, escaped', withData('"\\ud800"')],
      ['a lone surrogate in a key', withData('{"\\udc00":1}')],
      ['swapped surrogates', withData('"\\udc00\\ud800"')],
      ['65 levels', withData(nested(63))],
      ['100,000 levels', withData(nested(100_000))],
      ['100,000 levels left open', '['.repeat(100_000)],
      ['two values', `${UPDATE}${UPDATE}`],
      ['a comment', `/**/${UPDATE}`],
      ['a trailing comma', withData('[1,]')],
      ['NaN', withData('NaN')],
      ['an array', '[]'],
      ['a NUL at the end', `${UPDATE}\0`],
    ]
    for (const [what, body] of refused) {
      it(`400 for ${what}`, async () => {
        const answer = await post(body)
        expect([answer.status, errorOf(answer)]).to.deep.equal([400, 'invalid_request'])
        expect(gate.upstream.effects).to.have.length(0)
      })
    }

    const accepted: [string, string][] = [
      ['64 levels', nested(62)],
      ['the largest safe integer', '9007199254740991'],
      ['a surrogate pair, escaped', '"\\ud83d\\ude00"'],
      [
        'keys that JavaScript treats specially',
        '{"__proto__":{"admin":true},"constructor":{"a":1}}',
      ],
      ['keys that look like numbers', '{"2":"b","1":"a"}'],
      ['text in two normal forms', '{"\u00e9":1,"e\u0301":2}'],
    ]
    for (const [what, data] of accepted) {
      it(`forwards ${what} with the value it had`, async () => {
        expect((await post(withData(data))).status).to.equal(200)
        const [effect] = gate.upstream.effects
        expect(JSON.parse(effect?.body ?? '')).to.deep.equal(JSON.parse(`{"data":${data}}`))
      })
    }

    it('keeps __proto__ as data: it is forwarded and pollutes nothing', async () => {
      await post(withData('{"__proto__":{"polluted":1}}'))
      expect(gate.upstream.effects[0]?.body).to.equal('{"data":{"__proto__":{"polluted":1}}}')
      expect(({} as { polluted?: number }).polluted).to.equal(undefined)
      const answer = await post('{"tool":"items.get","args":{"id":"i-1","__proto__":{"x":1}}}')
      expect(answer.status).to.equal(400)
      const top = await post('{"__proto__":{},"tool":"items.get","args":{"id":"i-1"}}')
      expect(top.status).to.equal(400)
    })
  })

  describe('size', () => {
    const padded = (bytes: number): string => {
      const empty = withData('""')
      return withData(`"${'x'.repeat(bytes - empty.length)}"`)
    }

    it('takes a body of exactly 1 MiB and refuses one byte more, with 413', async () => {
      expect((await post(padded(BODY_BYTES_MAX))).status).to.equal(200)
      gate.upstream.effects.length = 0
      const over = await post(padded(BODY_BYTES_MAX + 1))
      expect([over.status, errorOf(over)]).to.deep.equal([413, 'payload_too_large'])
      expect(over.head).to.match(/^connection: close/im)
      expect(gate.upstream.effects).to.have.length(0)
    })

    it('413 for a chunked body as soon as it is too large, however long it would go on', async () => {
      const head = ['Host: gate', `X-API-Key: ${key}`, 'Content-Type: application/json']
      const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
      const answer = await rawOne(
        gate.gate.url,
        ...rawRequest('POST /act HTTP/1.1', [...head, 'Transfer-Encoding: chunked']),
        chunk.repeat(17),
      )
      expect([answer.status, errorOf(answer)]).to.deep.equal([413, 'payload_too_large'])
    })

    it('does not read a body that nobody with that key may send', async () => {
      const headers = ['Host: gate', 'X-API-Key: pk_wrong', 'Content-Length: 900000']
      const answer = await rawOne(gate.gate.url, ...rawRequest('POST /act HTTP/1.1', headers))
      expect(answer.status).to.equal(401)
    })
  })

  describe('request targets', () => {
    const target = (line: string): Promise<RawAnswer> =>
      rawOne(gate.gate.url, ...rawRequest(line, ['Host: gate', `X-API-Key: ${key}`]))

    for (const at of [
      'http://evil.example',
      '//evil.example',
      '/\\evil.example',
      '///evil.example',
    ]) {
      it(`never calls the host that ${at} names`, async () => {
        for (const route of ['/proxy/test/items/i-1', '/items/i-1', '/../items/i-1']) {
          const answer = await target(`GET ${at}${route} HTTP/1.1`)
          expect([400, 404]).to.include(answer.status)
        }
        expect(gate.upstream.effects).to.have.length(0)
      })
    }

    it('404 for what only looks like a path of the gate', async () => {
      for (const route of ['//act', '/act/x', '/%61ct/', '/./act', '/Proxy/test/items/i-1']) {
        const answer = await target(`POST ${route} HTTP/1.1`)
        expect([400, 404], route).to.include(answer.status)
      }
    })

    it('400 for a malformed escape in an id', async () => {
      const answer = await target('GET /actions/%ff HTTP/1.1')
      expect([answer.status, errorOf(answer)]).to.deep.equal([400, 'invalid_request'])
    })

    it('400 for unknown and repeated query parameters', async () => {
      for (const query of ['limit=1&limit=2', 'nothing=1', 'tool=%00', 'limit=0', 'limit=x']) {
        expect((await gate.call('GET', `/actions?${query}`)).status).to.equal(400)
      }
    })
  })

  it('speaks HTTP/1.0 and closes', async () => {
    const start = 'POST /act HTTP/1.0'
    const { answers, closed } = await rawExchange(
      gate.gate.url,
      ...rawRequest(start, json(UPDATE), UPDATE),
    )
    expect([answers.length, answers[0]?.status, closed]).to.deep.equal([1, 200, true])
  })

  it('refuses unknown methods, CONNECT, and requests without a Host', async () => {
    const headers = ['Host: gate', `X-API-Key: ${key}`]
    const unknown = await rawOne(gate.gate.url, ...rawRequest('FETCH /act HTTP/1.1', headers))
    expect(unknown.status).to.equal(400)
    const odd = await rawOne(gate.gate.url, ...rawRequest('PURGE /act HTTP/1.1', headers))
    expect(odd.status).to.equal(405)
    const hostless = await rawOne(gate.gate.url, ...rawRequest('GET /healthz HTTP/1.1', []))
    expect(hostless.status).to.equal(400)
    const connect = await rawExchange(
      gate.gate.url,
      ...rawRequest('CONNECT evil.example:443 HTTP/1.1', headers),
    )
    expect([connect.answers.length, connect.closed]).to.deep.equal([0, true])
    expect(gate.upstream.effects).to.have.length(0)
  })

  it('serves others while a body comes slowly, and that one when it is complete', async () => {
    const [head] = rawRequest('POST /act HTTP/1.1', json(UPDATE))
    const socket = net.connect(Number(new URL(gate.gate.url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString()
    })
    socket.write(head)
    for (const char of UPDATE.slice(0, -1)) {
      socket.write(char)
      await gate.call('GET', '/healthz', { key: null })
    }
    expect((await gate.call('POST', '/act', { key, raw: UPDATE })).status).to.equal(200)
    expect(gate.upstream.effects).to.have.length(1)
    socket.write(UPDATE.slice(-1))
    await until('the slow one is answered', () => answer.startsWith('HTTP/1.1 200'))
    expect(gate.upstream.effects).to.have.length(2)
    socket.destroy()
  })

  it('forgets a request whose sender goes away before its body is complete', async () => {
    const [head] = rawRequest('POST /act HTTP/1.1', json(UPDATE))
    const socket = net.connect(Number(new URL(gate.gate.url).port), '127.0.0.1')
    await new Promise((resolve) => socket.write(`${head}${UPDATE.slice(0, 10)}`, resolve))
    socket.destroy()
    expect((await gate.call('POST', '/act', { key, raw: UPDATE })).status).to.equal(200)
    expect(gate.upstream.effects).to.have.length(1)
  })

  describe('CORS', () => {
    const from = (origin: string, method = 'GET') =>
      gate.call(method, '/healthz', { key: null, headers: { origin } })

    it('marks answers for an allowed origin, errors too', async () => {
      const { headers } = await from(ORIGIN)
      expect(headers.get('access-control-allow-origin')).to.equal(ORIGIN)
      expect(headers.get('vary')).to.equal('Origin')
      expect(headers.get('access-control-allow-credentials')).to.equal(null)
      const refused = await gate.call('GET', '/actions', { key: null, headers: { origin: ORIGIN } })
      expect(refused.status).to.equal(401)
      expect(refused.headers.get('access-control-allow-origin')).to.equal(ORIGIN)
    })

    it('says nothing to any other origin', async () => {
      for (const origin of [`${ORIGIN}.evil.example`, 'null', 'https://APP.example.com', '*']) {
        const { headers } = await from(origin)
        expect(headers.get('access-control-allow-origin')).to.equal(null)
      }
    })

    it('answers a preflight of an allowed origin only, without a key', async () => {
      const preflight = (origin: string) =>
        gate.call('OPTIONS', '/act', {
          key: null,
          headers: { origin, 'access-control-request-method': 'POST' },
        })
      const allowed = await preflight(ORIGIN)
      expect(allowed.status).to.equal(204)
      expect(allowed.headers.get('access-control-allow-methods')).to.include('POST')
      const names = (allowed.headers.get('access-control-allow-headers') ?? '').split(', ')
      expect(names).to.include.members(['X-API-Key', 'Content-Type', 'Idempotency-Key', 'Prefer'])
      const other = await preflight('https://evil.example')
      expect(other.headers.get('access-control-allow-origin')).to.equal(null)
      expect(other.headers.get('access-control-allow-methods')).to.equal(null)
    })
  })

  describe('X-Request-Id', () => {
    it('is echoed when sane', async () => {
      const headers = { 'x-request-id': 'Trace-1.a_b' }
      const { headers: answered } = await gate.call('GET', '/healthz', { headers })
      expect(answered.get('x-request-id')).to.equal('Trace-1.a_b')
    })

    it('is replaced when not', async () => {
      for (const id of ['a b', 'a,b', 'x'.repeat(129), '<script>', 'a;b', '"']) {
        const { headers } = await gate.call('GET', '/healthz', { headers: { 'x-request-id': id } })
        expect(headers.get('x-request-id')).to.match(/^req_/)
      }
    })

    it('reaches the upstream and the log with the action', async () => {
      const headers = { 'x-request-id': 'trace-42' }
      await gate.call('POST', '/act', { key, raw: UPDATE, headers })
      expect(gate.upstream.effects[0]?.headers['x-request-id']).to.equal('trace-42')
      await until('the line is written', () =>
        lines().some((one) => one['request_id'] === 'trace-42'),
      )
      const line = lines().find((one) => one['request_id'] === 'trace-42')
      expect(line).to.include({ method: 'POST', path: '/act', status: 200, caller: 'worker-1' })
    })
  })

  it('writes JSON lines, and no key in any of them', async () => {
    const secret = 'pk_secret_that_must_not_be_logged'
    const headers = { authorization: `Bearer ${secret}` }
    await gate.call('GET', '/actions', { key: null, headers })
    await gate.call('GET', `/actions?api_key=${secret}`, { key: secret })
    await gate.call('GET', `/nothing?key=${secret}`)
    await rawExchange(gate.gate.url, `GET /${secret} HTTP/9.9\r\nX-API-Key: ${secret}\r\n\r\n`)
    await gate.call('GET', '/meta', { headers: { 'x-request-id': 'last-of-all' } })
    await until('all is written', () => lines().some((one) => one['request_id'] === 'last-of-all'))
    const text = fs.readFileSync(path.join(gate.dataDir, 'app.log'), 'utf8')
    for (const one of [secret, key, ADMIN]) expect(text).to.not.include(one)
    for (const line of lines()) expect(line).to.include.keys('level', 'time', 'msg')
  })

  function lines(): Record<string, unknown>[] {
    return fs
      .readFileSync(path.join(gate.dataDir, 'app.log'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
})
