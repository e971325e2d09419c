import crypto from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { expect } from 'chai'
import { CompactSign } from 'jose'
import { canonicalText } from '../../src/lifecycle/bundle-service/document-hash.ts'
import { parseConfig } from '../../src/config.ts'
import { tarGz } from '../../src/lib/tar-writer.ts'
import { readTarGz } from '../../src/sources/tar.ts'
import { ADMIN, MAKER, TestGate, until } from '../support/gate.ts'
import { writePolicies } from '../support/policies.ts'
import { TestUpstream } from '../support/upstream.ts'
import { scratch } from '../support/scratch.ts'

const PEP = 'key-of-an-enforcement-point'
const MEDIA = 'application/vnd.openpolicyagent.bundles'
const rego = (tool: string) => `package agent\n\nallow if input.action.name == "${tool}"\n`
/** What nobody but the served Rego permits. */
const GATE = 'version: 1\nenvironment: test\nrate_limits: [{ limit: 100000, per_s: 1 }]\n'
const LIST = { tool: 'items.list', args: {} }
const GET = { tool: 'items.get', args: { id: '1' } }

type Files = Readonly<Record<string, string>>

const pair = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
/** RFC 8785 sorts and escapes what is in it otherwise than OPA. */
const FREE = '{ "b": 1, "a": [1.5], "\u{1F600}": "\u2028", "\uFF5E": 2 }'
const sha256 = (text: string) => crypto.createHash('sha256').update(text).digest('hex')

/** A bundle as `opa sign` leaves it, with whatever is said of it. */
async function signed(
  files: Files,
  said: object = {},
  key: crypto.KeyObject = pair.privateKey,
): Promise<Buffer> {
  const list = Object.entries(files).map(([name, text]) => ({
    name,
    hash: sha256(/^(.*\/)?(data\.json|\.manifest)$/.test(name) ? canonicalText(text) : text),
    algorithm: 'SHA-256',
  }))
  const token = await new CompactSign(Buffer.from(JSON.stringify({ files: list, ...said })))
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .sign(key)
  return bundle({ ...files, '.signatures.json': JSON.stringify({ signatures: [token] }) })
}

const tarMember = (packed: Buffer, name: string): string =>
  Buffer.from(readTarGz(packed).get(name) ?? '').toString()
const bundle = (files: Files): Buffer => tarGz(Object.entries(files))

const tagOf = (bytes: Buffer): string => `"${sha256(bytes.toString('base64'))}"`

/** A bundle service that answers at once, whatever it is asked. */
class Service {
  answer: { status: number; bytes: Buffer } = { status: 404, bytes: Buffer.alloc(0) }
  /** The tag of what it says is nothing new, once. */
  lie: string | undefined
  readonly asked: http.IncomingHttpHeaders[] = []
  /** Bundles of the present answer that went out whole. */
  sent = 0
  readonly #server = http.createServer((req, res) => {
    this.asked.push(req.headers)
    const { status, bytes } = this.answer
    if (this.lie !== undefined) {
      res.writeHead(304, { etag: this.lie }).end()
      this.lie = undefined
      return
    }
    const etag = tagOf(bytes)
    const isKnown = status === 200 && req.headers['if-none-match'] === etag
    res.writeHead(isKnown ? 304 : status, {
      'content-type': MEDIA,
      ...(status === 200 ? { etag } : { location: 'http://127.0.0.1:1/' }),
    })
    res.end(isKnown ? undefined : bytes, () => {
      if (bytes === this.answer.bytes && !isKnown) this.sent++
    })
  })

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/bundles/policy.tar.gz`
  }

  serve(bytes: Buffer): void {
    this.answer = { status: 200, bytes }
    this.sent = 0
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

const keyFile = (): string => {
  const file = path.join(scratch('keys'), 'public.pem')
  fs.writeFileSync(file, pair.publicKey.export({ type: 'spki', format: 'pem' }))
  return file
}
const envFor = (url: string, more: Record<string, string> = {}) => ({
  POLICY_SOURCE: 'bundle',
  POLICY_BUNDLE_URL: url,
  POLICY_BUNDLE_POLL_S: '1',
  ...more,
})

describe('a policy of which a bundle service has a part', () => {
  let service: Service
  beforeEach(async () => {
    service = new Service()
    await service.start()
  })
  afterEach(() => service.stop())

  const start = (more: Record<string, string> = {}, options: object = {}) =>
    TestGate.start({
      policies: { 'gate.yaml': GATE },
      env: envFor(service.url, more),
      ...options,
    })
  const decided = async (gate: TestGate, key: string, call: object) =>
    (await gate.act(key, { ...call, dry_run: true })).body.decision
  const policyOf = async (gate: TestGate) => (await gate.call('GET', '/policy')).body
  const bundleOf = (tool: string) => ({ 'agent.rego': rego(tool), 'data.json': '{"a": 1.0}' })

  it('is one revision of both, and follows each', async () => {
    service.serve(bundle(bundleOf('items.list')))
    const gate = await start({ POLICY_BUNDLE_TOKEN: 'secret-of-the-service' })
    const key = await gate.agent('worker-1')
    expect(await decided(gate, key, LIST)).to.equal('allow')
    expect(await decided(gate, key, GET)).to.equal('deny')
    expect(service.asked[0]).to.include({ authorization: 'Bearer secret-of-the-service' })
    expect(service.asked[0]?.prefer).to.equal('modes=snapshot')
    service.serve(bundle(bundleOf('items.get')))
    await until('the new bundle decides', async () => (await decided(gate, key, GET)) === 'allow')
    expect(await decided(gate, key, LIST)).to.equal('deny')
    expect(service.asked.at(-1)?.prefer).to.equal('modes=snapshot;wait=30')
    const { body: history } = await gate.call('GET', '/policy/revisions')
    expect(history.publications[0]).to.deep.include({
      source: 'bundle',
      files_changed: ['served.tar.gz'],
    })
    const granted = `${GATE}permissions: [{ roles: [worker], tools: [items.list], effect: allow }]\n`
    writePolicies(gate.policyDir, { 'gate.yaml': granted })
    await until('the edit decides too', async () => (await decided(gate, key, LIST)) === 'allow')
    expect(await decided(gate, key, GET)).to.equal('allow')
    const { text } = await gate.call('GET', '/audit/timeline?limit=100')
    expect(text).to.not.include('secret-of-the-service')
    await gate.stop()
  })

  it('is not published nor rolled back by calls, which would not last', async () => {
    service.serve(bundle(bundleOf('items.list')))
    const gate = await start()
    const { revision } = await policyOf(gate)
    const put = await gate.call('PUT', '/policy/files', {
      body: { files: { 'gate.yaml': GATE }, note: 'n' },
      headers: { 'if-match': `"${revision}"` },
    })
    expect([put.status, put.body.error.code]).to.deep.equal([409, 'read_only_policy'])
    const back = await gate.call('POST', '/policy/rollback', { body: { revision, reason: 'r' } })
    expect([back.status, back.body.error.code]).to.deep.equal([409, 'read_only_policy'])
    await gate.stop()
  })

  it('stays as it is while the service has nothing that can be believed, and says why', async () => {
    const good = bundleOf('items.list')
    const other = { ...good, 'agent.rego': rego('items.get') }
    const stranger = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    service.serve(await signed(good, { scope: 'write' }))
    const gate = await start({ POLICY_BUNDLE_PUBLIC_KEY: keyFile(), POLICY_BUNDLE_SCOPE: 'write' })
    const key = await gate.agent('worker-1')
    const { revision } = await policyOf(gate)
    const scope = 'write'
    const listed = (name: string, text: string, algorithm = 'SHA-256') => ({
      name,
      hash: sha256(text),
      algorithm,
    })
    const wrong: Record<string, Buffer> = {
      'it is not signed': bundle(other),
      'not by the key': await signed(other, { scope }, stranger),
      'another scope': await signed(other, { scope: 'read' }),
      'does not cover data.json': await signed(other, {
        scope,
        files: [listed('agent.rego', other['agent.rego'])],
      }),
      'agent.rego is not what was signed': await signed(other, {
        scope,
        files: [listed('agent.rego', 'x'), listed('data.json', canonicalText(other['data.json']))],
      }),
      'a hash that is not accepted': await signed(other, {
        scope,
        files: Object.entries(other).map(([name, text]) => listed(name, text, 'MD5')),
      }),
      'not in it': await signed(other, {
        scope,
        files: [
          ...[listed('agent.rego', other['agent.rego']), listed('gone.rego', 'x')],
          listed('data.json', canonicalText(other['data.json'])),
        ],
      }),
      'exactly one signature': bundle({ ...other, '.signatures.json': '{"signatures": []}' }),
      'incorrect header check': Buffer.from('no archive at all'),
      'cannot be parsed|rego|expected': await signed(
        { ...other, 'agent.rego': 'package agent\n\nallow if {' },
        { scope },
      ),
    }
    for (const [why, bytes] of Object.entries(wrong)) {
      service.serve(bytes)
      await until(`it is refused: ${why}`, async () => {
        const { stale, rejected } = await policyOf(gate)
        return stale && new RegExp(why).test(JSON.stringify(rejected.diagnostics))
      })
      expect((await policyOf(gate)).revision).to.equal(revision)
      expect(await decided(gate, key, LIST)).to.equal('allow')
    }
    service.answer = { status: 302, bytes: Buffer.alloc(0) }
    await until('a redirect is not followed', async () =>
      JSON.stringify((await policyOf(gate)).rejected).includes('answered 302'),
    )
    const { text } = await gate.call('GET', '/metrics', { key: null })
    expect(text).to.match(/^portcullis_policy_stale 1$/m)
    const { body: record } = await gate.call(
      'GET',
      '/audit/timeline?kind=policy.rejected&limit=100',
    )
    expect(record.entries.length).to.be.at.least(Object.keys(wrong).length)
    service.serve(await signed(good, { scope }))
    await until('all is well again', async () => !(await policyOf(gate)).stale)
    service.serve(await signed(other, { scope }))
    await until('the next decides', async () => (await decided(gate, key, GET)) === 'allow')
    await gate.stop()
  })

  it('refuses a signed bundle where nobody can check it', async () => {
    service.serve(bundle(bundleOf('items.list')))
    const gate = await start()
    service.serve(await signed(bundleOf('items.get')))
    await until('it is refused', async () =>
      JSON.stringify((await policyOf(gate)).rejected ?? '').includes('POLICY_BUNDLE_PUBLIC_KEY'),
    )
    await gate.stop()
  })

  it('starts by what it had while the service is away, or has what does not load; not by nothing', async () => {
    const refused = await start().then(
      () => undefined,
      (error: { code: string; message: string }) => error,
    )
    expect([refused?.code, refused?.message]).to.deep.equal([
      'no_policy',
      'the bundle of the policy: the bundle service answered 404',
    ])
    service.serve(bundle(bundleOf('items.list')))
    const upstream = await TestUpstream.start()
    const first = await start({}, { upstream })
    const { dataDir, policyDir } = first
    const { revision } = await policyOf(first)
    await first.stop()
    for (const answer of [
      { status: 503, bytes: Buffer.alloc(0) },
      { status: 200, bytes: bundle({ 'agent.rego': 'package agent\n\nallow if {' }) },
    ]) {
      service.answer = answer
      const again = await start({}, { dataDir, policyDir, upstream })
      expect((await policyOf(again)).revision).to.equal(revision)
      await until('it is told', async () => (await policyOf(again)).stale === true)
      expect((await policyOf(again)).revision).to.equal(revision)
      await again.stop()
    }
    await upstream.stop()
  })

  it('remembers no bundle by its tag that never came', async () => {
    const [first, next] = [bundle(bundleOf('items.list')), bundle(bundleOf('items.get'))]
    service.serve(first)
    service.lie = tagOf(first)
    const refused = await start().catch((error: { message: string }) => error)
    expect(refused).to.include({
      message: 'the bundle of the policy: the bundle service answered 304 to no tag',
    })
    const gate = await start()
    const key = await gate.agent('worker-1')
    service.lie = tagOf(next)
    await until('it is told that there is nothing new', () => service.lie === undefined)
    service.serve(next)
    await until('the new bundle decides', async () => (await decided(gate, key, GET)) === 'allow')
    await gate.stop()
  })

  it('starts by nothing that it kept and would not believe now', async () => {
    service.serve(bundle(bundleOf('items.list')))
    const upstream = await TestUpstream.start()
    const first = await start({}, { upstream })
    const { dataDir, policyDir } = first
    await first.stop()
    service.answer = { status: 503, bytes: Buffer.alloc(0) }
    const home = { dataDir, policyDir, upstream }
    const message = 'the bundle of the policy: the bundle service answered 503'
    const key = keyFile()
    const unsigned = await start({ POLICY_BUNDLE_PUBLIC_KEY: key }, home).catch((e: object) => e)
    expect(unsigned).to.include({ message })
    fs.writeFileSync(path.join(dataDir, 'policy-bundle.tar.gz'), 'damaged')
    const damaged = await start({}, home).catch((e: object) => e)
    expect(damaged).to.include({ message })
    await upstream.stop()
  })

  it('takes the hash of OPA of each file: of a value for its documents, of bytes for any other', async () => {
    service.serve(
      await signed({
        ...bundleOf('items.list'),
        'b/data.json': '{ "z": [ ], "b": 1.50 }',
        'schema.json': '{ "type": "object" }',
        'notes.yaml': 'a:   1',
        'plan.json': '{ }',
        '.manifest': '{ "revision": "r",  "metadata": { } }',
      }),
    )
    const gate = await start({ POLICY_BUNDLE_PUBLIC_KEY: keyFile() })
    const key = await gate.agent('worker-1')
    expect(await decided(gate, key, LIST)).to.equal('allow')
    await gate.stop()
  })

  it('answers while it looks at what was sent, however long that takes, and stops', async () => {
    const good = bundleOf('items.list')
    service.serve(await signed(good))
    const gate = await start({ POLICY_BUNDLE_PUBLIC_KEY: keyFile() })
    const zeros = (n: number) => `{"a":[${'0,'.repeat(n)}0]}`
    // Its signature is over another document, which is not known before all of it was gone through.
    const tokens = tarMember(await signed(good), '.signatures.json')
    const large = { ...good, 'data.json': zeros(4 << 20), '.signatures.json': tokens }
    service.serve(bundle(large))
    await until('it is sent', () => service.sent > 0)
    let answered = 0
    await until('it is refused', async () => {
      answered++
      return JSON.stringify((await policyOf(gate)).rejected ?? '').includes('not what was signed')
    })
    expect(answered).to.be.greaterThan(20)
    service.serve(bundle({ ...large, 'data.json': zeros(5 << 20) }))
    await gate.stop()
  })

  it('has no credentials in its URL, which would not be sent', () => {
    const url = 'https://user:secret@bundles.example/policy.tar.gz'
    expect(() => parseConfig(envFor(url))).to.throw('POLICY_BUNDLE_TOKEN')
  })

  it('can be another gate, whose bundles are signed', async () => {
    const file = path.join(scratch('keys'), 'private.pem')
    fs.writeFileSync(file, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const source = await TestGate.start({
      policies: { 'agent.rego': rego('items.list'), 'data/free.json': FREE },
      env: {
        API_TOKENS: `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`,
        BUNDLE_SIGNING_KEY: file,
      },
    })
    const url = `${source.gate.url}/bundles/portcullis.tar.gz`
    const gate = await TestGate.start({
      policies: { 'gate.yaml': GATE },
      env: envFor(url, { POLICY_BUNDLE_TOKEN: PEP, POLICY_BUNDLE_PUBLIC_KEY: keyFile() }),
    })
    const key = await gate.agent('worker-1')
    expect(await decided(gate, key, LIST)).to.equal('allow')
    writePolicies(source.policyDir, { 'agent.rego': rego('items.get') })
    await until('its next one decides', async () => (await decided(gate, key, GET)) === 'allow')
    await gate.stop()
    await source.stop()
  })
})

describe('the hash of a document in a bundle', () => {
  it('is over its value, with numbers as they were written', () => {
    expect(canonicalText(' { "b" : [ 1.0 , 12345678901234567890, 1e2 ],\n "a":null } ')).to.equal(
      '{"a":null,"b":[1.0,12345678901234567890,1e2]}',
    )
  })

  it('sorts keys by their bytes, and escapes what Go escapes and nothing else', () => {
    const keys = '{"\u{1F600}":1,"\uFF5E":2,"z":"\\u2028<\\u0041>"}'
    expect(canonicalText('{"q\\"\\\\":[{},[ ],{"b":[[1],"],}"],"a":true}]}')).to.equal(
      '{"q\\"\\\\":[{},[],{"a":true,"b":[[1],"],}"]}]}',
    )
    expect(canonicalText(keys)).to.equal('{"z":"\\u2028<A>","\uFF5E":2,"\u{1F600}":1}')
  })
})
