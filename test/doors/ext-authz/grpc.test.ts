import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'
import { expect } from 'chai'
import http2 from 'node:http2'
import { createRequire } from 'node:module'
import path from 'node:path'
import { freePort } from '../../support/gate-process.ts'
import { TestGate } from '../../support/gate.ts'
import { GATE } from '../../support/policies.ts'
import { certificates } from './certificates.ts'

// The client speaks Envoy's own published protos, so that a wrong number in ours is seen.

const xds = path.dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json'))
const ENVOY = loader.loadSync('envoy/service/auth/v3/external_auth.proto', {
  ...{ keepCase: true, longs: Number, enums: String, defaults: false, oneofs: true },
  includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((dir) =>
    path.join(xds, 'deps', dir),
  ),
})

// oxlint-disable-next-line typescript/no-explicit-any -- its shape is what the tests assert
type Told = any

interface Asked {
  readonly pep?: string | null
  readonly key?: string | null
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  /** In place of `body`, as Envoy has it without `pack_as_bytes`. */
  readonly text?: string
  /** Lines of headers, each by itself, beside `headers`. */
  readonly lines?: readonly (readonly [string, string])[]
  readonly size?: number
  readonly upstream?: string
  readonly deadline?: number
  readonly at?: Told
  /** Whom Envoy knows the sender as. */
  readonly principal?: string
}

const lineOf = ([key, value]: readonly [string, string]) => ({
  key,
  raw_value: Buffer.from(value),
})

function clientAt(port: number, credentials = grpc.credentials.createInsecure()): Told {
  const { envoy } = grpc.loadPackageDefinition(ENVOY) as Told
  return new envoy.service.auth.v3.Authorization(`127.0.0.1:${port}`, credentials)
}

describe('external authorization of Envoy over gRPC', function () {
  let gate: TestGate
  let key: string
  let pep: string
  let client: Told
  let port: number
  before(async () => {
    port = await freePort()
    gate = await TestGate.start({
      env: { EXT_AUTHZ_GRPC_PORT: String(port), RATE_LIMIT_PER_S: '1000' },
    })
    key = await gate.agent('behind-envoy')
    pep = await gate.key('pep', 'envoy')
    client = clientAt(port)
  })
  after(async () => {
    client?.close()
    await gate?.stop()
  })

  const check = (method: string, target: string, options: Asked = {}): Promise<Told> => {
    const { body = Buffer.alloc(0), upstream = 'test', headers = {} } = options
    const metadata = new grpc.Metadata()
    if (options.pep !== null) metadata.set('authorization', `Bearer ${options.pep ?? pep}`)
    const own = options.key === null ? {} : { authorization: `Bearer ${options.key ?? key}` }
    const http = {
      ...{ id: '1', method, path: target, host: 'test', size: options.size ?? body.length },
      headers: { ...own, ...headers },
      ...(options.text === undefined ? { raw_body: body } : { body: options.text }),
      ...(options.lines ? { header_map: { headers: options.lines.map(lineOf) } } : {}),
    }
    const source = options.principal === undefined ? {} : { principal: options.principal }
    const attributes = { request: { http }, context_extensions: { upstream }, source }
    const request = { attributes }
    const deadline = Date.now() + (options.deadline ?? 30_000)
    return new Promise((resolve) => {
      ;(options.at ?? client).Check(
        request,
        metadata,
        { deadline },
        (error: grpc.ServiceError, answer: Told) =>
          resolve(error ? { failed: error.code } : answer),
      )
    })
  }
  const json = (value: unknown) => ({
    body: Buffer.from(JSON.stringify(value)),
    headers: { 'content-type': 'application/json' },
  })
  const codeIn = (answer: Told) => JSON.parse(answer.denied_response.body).error.code

  it('permits, names the decision, takes the key away and calls nothing', async () => {
    const answer = await check('GET', '/items?status=open')
    expect(answer.status?.code ?? 0).to.equal(0)
    const { headers, headers_to_remove } = answer.ok_response
    expect(headers_to_remove).to.deep.equal(['authorization'])
    expect(headers[0].header.key).to.equal('portcullis-decision')
    expect(headers[0].append_action).to.equal('OVERWRITE_IF_EXISTS_OR_ADD')
    expect(headers[0].header.value).to.match(/^dec_/)
    expect(answer.dynamic_metadata.fields.decision_id.stringValue).to.equal(headers[0].header.value)
    expect((await check('PATCH', '/items/i-1', json({ note: 'n' }))).ok_response).to.be.an('object')
    expect(gate.upstream.effects).to.deep.equal([])
  })

  it('records the decision under the id that Envoy was told', async () => {
    const answer = await check('GET', '/items')
    const [entry] = (await gate.call('GET', '/audit/timeline?kind=decision&limit=1')).body.entries
    expect(entry).to.include({ surface: 'ext_authz', enforced_by: 'caller', tool: 'items.list' })
    expect(JSON.stringify(entry)).to.contain(answer.ok_response.headers[0].header.value)
  })

  it('refuses what no rule permits, no tool stands for, and what a person must approve', async () => {
    const other = await gate.agent('nobody-behind-envoy', ['nobody'])
    const denied = await check('GET', '/items', { key: other })
    expect([denied.status.code, codeIn(denied)]).to.deep.equal([7, 'policy_denied'])
    expect(denied.denied_response.status.code).to.equal('Forbidden')
    expect(codeIn(await check('DELETE', '/items/i-1'))).to.equal('approval_required')
    expect(codeIn(await check('GET', '/no/such/path'))).to.equal('no_such_tool')
    expect((await check('GET', '/items', { upstream: 'a/b' })).denied_response).to.be.an('object')
  })

  it('answers only an enforcement point', async () => {
    expect(await check('GET', '/items', { pep: null })).to.deep.equal({ failed: 16 })
    expect(await check('GET', '/items', { pep: 'wrong-key' })).to.deep.equal({ failed: 16 })
    expect(await check('GET', '/items', { pep: key })).to.deep.equal({ failed: 7 })
  })

  it('reads nothing of the message of whoever is none', async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    const statusOf = (headers: Record<string, string>) =>
      new Promise<unknown>((resolve, reject) => {
        const stream = session.request({
          ...{ ':method': 'POST', ':path': '/envoy.service.auth.v3.Authorization/Check' },
          ...{ 'content-type': 'application/grpc', te: 'trailers', ...headers },
        })
        stream.on('response', (head) => head['grpc-status'] && resolve(head['grpc-status']))
        stream.on('trailers', (trailers) => resolve(trailers['grpc-status']))
        stream.on('error', reject)
        stream.write(Buffer.alloc(4)) // and what is missing of it never comes
      })
    try {
      expect(await statusOf({})).to.equal('16')
      expect(await statusOf({ authorization: 'Bearer wrong' })).to.equal('16')
      expect(await statusOf({ authorization: `Bearer ${key}` })).to.equal('7')
    } finally {
      session.destroy()
    }
  })

  it('refuses a request without an agent’s key, or with a wrong one', async () => {
    for (const as of [null, 'wrong-key']) {
      const { status, denied_response } = await check('GET', '/items', { key: as })
      expect([status.code, denied_response.status.code]).to.deep.equal([16, 'Unauthorized'])
    }
    expect(codeIn(await check('GET', '/items', { key: pep }))).to.equal('forbidden')
  })

  it('refuses a body of which a part is missing', async () => {
    const whole = json({ note: 'n' })
    const partial = { ...whole.headers, 'x-envoy-auth-partial-body': 'true' }
    const cut = [
      { ...whole, headers: partial },
      { ...whole, size: 5_000 },
      { ...whole, headers: { ...whole.headers, 'content-length': '5000' } },
      { headers: whole.headers, size: -1 },
    ]
    for (const asked of cut) {
      const { denied_response } = await check('PATCH', '/items/i-1', asked)
      expect(denied_response.body).to.contain('body_truncated')
    }
  })

  it('refuses a body of which a header, whichever there is, says that it is not all', async () => {
    const whole = json({ note: 'n' })
    const name = 'x-envoy-auth-partial-body'
    for (const said of [
      ['false'],
      ['false', 'true'],
      ['true', 'false'],
      ['false, true'],
      ['yes'],
    ]) {
      const lines = said.map((one) => [name, one] as const)
      const { status } = await check('PATCH', '/items/i-1', { ...whole, lines })
      expect(status?.code ?? 0, said.join(' and ')).to.equal(said.join() === 'false' ? 0 : 7)
    }
    const chunked = { headers: { 'transfer-encoding': 'chunked' } }
    expect(codeIn(await check('GET', '/items/i-1', chunked))).to.equal('policy_denied')
  })

  it('refuses a body as text, in which Envoy replaces what is no UTF-8', async () => {
    const { headers } = json({})
    const { denied_response } = await check('PATCH', '/items/i-1', {
      headers,
      text: '{"note":"!"}',
    })
    expect(denied_response.body).to.contain('pack_as_bytes')
  })

  it('refuses what an upstream may take for another request than the one that was judged', async () => {
    for (const name of ['x-http-method-override', 'X-Method-Override', 'x-original-url']) {
      const { denied_response } = await check('GET', '/items', { headers: { [name]: 'DELETE' } })
      expect(denied_response?.body, name).to.contain('invalid_request')
    }
    expect(codeIn(await check('GET', '/items?status=a;status=b'))).to.equal('invalid_request')
    expect((await check('GET', '/items?status=a%3Bb')).ok_response).to.be.an('object')
  })

  it('answers no message that is too large, and none past its deadline', async () => {
    const body = Buffer.alloc(2 << 20, 'x')
    expect(await check('PATCH', '/items/i-1', { body })).to.deep.equal({ failed: 8 })
    expect(await check('GET', '/items', { deadline: -1 })).to.deep.equal({ failed: 4 })
  })

  it('refuses paths and methods that could be read in two ways', async () => {
    for (const target of [
      '/items/..%2f..%2fadmin',
      '/items//i-1',
      '/items#x',
      'items',
      '/it ems',
    ]) {
      expect((await check('GET', target)).denied_response, target).to.be.an('object')
    }
    expect((await check('get', '/items')).denied_response).to.be.an('object')
  })

  it('refuses under the kill switch', async () => {
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', { body: { engaged, scope: {}, reason: 'a test' } })
    await kill(true)
    expect(codeIn(await check('GET', '/items'))).to.equal('kill_switch_engaged')
    await kill(false)
    expect((await check('GET', '/items')).ok_response).to.be.an('object')
  })

  it('takes an agent’s rate with `consume`, stops a point that asks too often, and is gone with the gate', async () => {
    const port = await freePort()
    const rated = GATE.replace('{ limit: 100000, per_s: 1 }', '{ limit: 1, per_s: 86400 }')
    const other = await TestGate.start({
      policies: { 'gate.yaml': `${rated}\ndecision_api: { consume: true }\n` },
      env: { EXT_AUTHZ_GRPC_PORT: String(port), PEP_RATE_PER_S: '5' },
    })
    const at = clientAt(port)
    try {
      const as = { key: await other.agent('behind-it'), pep: await other.key('pep', 'its'), at }
      expect((await check('GET', '/items', as)).ok_response).to.be.an('object')
      const { status, denied_response } = await check('GET', '/items', as)
      expect([status.code, denied_response.status.code]).to.deep.equal([8, 'TooManyRequests'])
      const asked = Array.from({ length: 40 }, () => check('GET', '/items', as))
      expect(await Promise.all(asked)).to.deep.include({ failed: 8 })
      await other.stop()
      expect(await check('GET', '/items', as)).to.deep.equal({ failed: 14 })
    } finally {
      at.close()
      await other.stop()
    }
  })

  it('knows agents by the principal of their certificate where the policy says so, and nobody else', async () => {
    const port = await freePort()
    const principals = '{ "spiffe://x/worker": by-principal, "spiffe://x/gone": nobody }'
    const other = await TestGate.start({
      policies: {
        'gate.yaml': `${GATE}\ndecision_api: { ext_authz: { principals: ${principals} } }\n`,
      },
      env: { EXT_AUTHZ_GRPC_PORT: String(port) },
    })
    const at = clientAt(port)
    try {
      await other.agent('by-principal')
      const as = { key: null, pep: await other.key('pep', 'its'), at }
      const answer = await check('GET', '/items', { ...as, principal: 'spiffe://x/worker' })
      expect(answer.ok_response.headers_to_remove ?? []).to.deep.equal([])
      const [entry] = (await other.call('GET', '/audit/timeline?kind=decision&limit=1')).body
        .entries
      expect(entry).to.include({ agent_name: 'by-principal', effect: 'allow' })
      for (const principal of ['spiffe://x/worker/', 'spiffe://x/other', '']) {
        const denied = await check('GET', '/items', { ...as, principal })
        expect(codeIn(denied), principal).to.equal('unauthenticated')
      }
      const gone = await check('GET', '/items', { ...as, principal: 'spiffe://x/gone' })
      expect(codeIn(gone)).to.equal('unknown_agent')
      const wrong = { ...as, key: 'wrong-key', principal: 'spiffe://x/worker' }
      expect(codeIn(await check('GET', '/items', wrong))).to.equal('unauthenticated')
    } finally {
      at.close()
      await other.stop()
    }
  })

  it('is encrypted with its certificate, for those with one of the authority only', async () => {
    const port = await freePort()
    const made = certificates()
    const other = await TestGate.start({
      env: {
        EXT_AUTHZ_GRPC_PORT: String(port),
        EXT_AUTHZ_GRPC_TLS_CERT: made.file('server.pem'),
        EXT_AUTHZ_GRPC_TLS_KEY: made.file('server.key'),
        EXT_AUTHZ_GRPC_TLS_CLIENT_CA: made.file('ca.pem'),
      },
    })
    const ca = made.read('ca.pem')
    const clients = [
      clientAt(
        port,
        grpc.credentials.createSsl(ca, made.read('client.key'), made.read('client.pem')),
      ),
      clientAt(port, grpc.credentials.createSsl(ca)),
      clientAt(
        port,
        grpc.credentials.createSsl(ca, made.read('other.key'), made.read('other.pem')),
      ),
      clientAt(port),
    ]
    try {
      const as = { key: await other.agent('behind-it'), pep: await other.key('pep', 'its') }
      const answers = []
      for (const at of clients) answers.push(await check('GET', '/items', { ...as, at }))
      const [first, ...rest] = answers
      expect(first.ok_response).to.be.an('object')
      expect(rest).to.deep.equal([{ failed: 14 }, { failed: 14 }, { failed: 14 }])
    } finally {
      for (const at of clients) at.close()
      await other.stop()
    }
  })

  it('does not start with half of a certificate, or one that is none', async () => {
    const made = certificates()
    const start = async (env: Record<string, string>) => {
      const port = String(await freePort())
      try {
        await (await TestGate.start({ env: { EXT_AUTHZ_GRPC_PORT: port, ...env } })).stop()
        return 'it started'
      } catch (error) {
        return String(error)
      }
    }
    const cert = { EXT_AUTHZ_GRPC_TLS_CERT: made.file('server.pem') }
    expect(await start(cert)).to.contain('needed together')
    const key = (name: string) => ({ ...cert, EXT_AUTHZ_GRPC_TLS_KEY: made.file(name) })
    expect(await start(key('nothing.key'))).to.contain('cannot read')
    expect(await start(key('ca.pem'))).to.contain('cannot use its certificate and key')
  })

  it('does not start at a port that is taken', async () => {
    const other = TestGate.start({ env: { EXT_AUTHZ_GRPC_PORT: new URL(gate.gate.url).port } })
    const { code, message } = await other.then(
      () => ({ code: '', message: '' }),
      (error) => error,
    )
    expect(code).to.equal('EXT_AUTHZ_GRPC')
    expect(message).to.contain(new URL(gate.gate.url).port)
  })

  it('counts what it answered', async () => {
    const { text } = await gate.call('GET', '/metrics')
    expect(text).to.contain('portcullis_ext_authz_checks_total{status="0"}')
  })
})
