import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { compactVerify, importSPKI } from 'jose'
import { readTarGz } from '../../../src/sources/tar.ts'
import { scratch } from '../../support/scratch.ts'
import { ADMIN, MAKER, TestGate } from '../../support/gate.ts'
import { writePolicies } from '../../support/policies.ts'

const PEP = 'key-of-an-enforcement-point'
const TOKENS = `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`
const REGO = 'package agent\n\nallow if input.action.name in data.free.names\n'
const FILES = {
  'agent.rego': REGO,
  'agent_test.rego':
    'package agent\n\ntest_denied if not allow with input as {"action": {"name": "items.delete"}}\n',
  'data/free.json': '{ "names": ["items.list"], "a": 1 }',
  'data/people.csv': 'id,role\nalice,admin\n',
}

describe('the policy as a bundle for OPA', function () {
  let gate: TestGate
  let publicKey: crypto.KeyObject
  before(async () => {
    const pair = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
    publicKey = pair.publicKey
    const file = path.join(scratch('keys'), 'bundle.pem')
    fs.writeFileSync(file, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    gate = await TestGate.start({
      policies: FILES,
      env: { API_TOKENS: TOKENS, BUNDLE_SIGNING_KEY: file, BUNDLE_SIGNING_KEY_ID: 'k1' },
    })
  })
  after(() => gate.stop())

  const download = async (headers: Record<string, string> = {}) => {
    const answer = await fetch(`${gate.gate.url}/bundles/portcullis.tar.gz`, {
      headers: { authorization: `Bearer ${PEP}`, ...headers },
    })
    return { answer, bytes: Buffer.from(await answer.arrayBuffer()) }
  }
  const reload = async (files: Record<string, string>) => {
    writePolicies(gate.policyDir, { ...FILES, ...files })
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
  }

  it('holds its Rego and its documents, without tests and guards, and says so', async () => {
    const { answer, bytes } = await download()
    expect(answer.status).to.equal(200)
    expect(answer.headers.get('content-type')).to.equal('application/vnd.openpolicyagent.bundles')
    const members = readTarGz(bytes)
    const text = (name: string) => Buffer.from(members.get(name) ?? []).toString()
    expect([...members.keys()]).to.have.members([
      ...['.manifest', '.signatures.json', 'agent.rego', 'data.json'],
    ])
    expect(text('agent.rego')).to.equal(REGO)
    expect(JSON.parse(text('data.json'))).to.deep.equal({
      free: { names: ['items.list'], a: 1 },
      people: [{ id: 'alice', role: 'admin' }],
    })
    const { body: policy } = await gate.call('GET', '/policy')
    expect(JSON.parse(text('.manifest'))).to.deep.equal({
      revision: policy.revision,
      roots: ['agent', 'free', 'people'],
      rego_version: 1,
      metadata: { portcullis: { guards: 'not included' } },
    })
  })

  it('is signed: one token with the hash of each of its files', async () => {
    const members = readTarGz((await download()).bytes)
    const { signatures } = JSON.parse(Buffer.from(members.get('.signatures.json') ?? []).toString())
    const key = await importSPKI(String(publicKey.export({ type: 'spki', format: 'pem' })), 'ES256')
    const { payload, protectedHeader } = await compactVerify(signatures[0], key)
    expect(protectedHeader).to.deep.equal({ alg: 'ES256', kid: 'k1' })
    const { files } = JSON.parse(Buffer.from(payload).toString()) as {
      files: { name: string; hash: string; algorithm: string }[]
    }
    expect(files.map(({ name }) => name)).to.have.members(
      [...members.keys()].filter((name) => name !== '.signatures.json'),
    )
    for (const { name, hash, algorithm } of files) {
      const digest = crypto
        .createHash('sha256')
        .update(members.get(name) ?? '')
        .digest('hex')
      expect([algorithm, hash], name).to.deep.equal(['SHA-256', digest])
    }
  })

  it('is the same bytes for the same revision, and 304 for who has them', async () => {
    const [first, second] = [await download(), await download()]
    expect(first.bytes.equals(second.bytes)).to.equal(true)
    const etag = first.answer.headers.get('etag') ?? ''
    const again = await download({ 'if-none-match': etag })
    expect([again.answer.status, again.bytes.length]).to.deep.equal([304, 0])
    await reload({ 'agent.rego': `${REGO}\n# more\n` })
    const other = await download({ 'if-none-match': etag })
    expect(other.answer.status).to.equal(200)
    expect(other.answer.headers.get('etag')).not.to.equal(etag)
  })

  it('answers who waits when another revision becomes live', async () => {
    const { answer } = await download()
    const waiting = download({
      'if-none-match': answer.headers.get('etag') ?? '',
      prefer: 'modes=snapshot;wait=60',
    })
    await reload({ 'agent.rego': `${REGO}\n# and more\n` })
    expect((await waiting).answer.status).to.equal(200)
  })

  it('is loaded by a gate that gets it as a file', async () => {
    const bundle = path.join(scratch('bundle'), 'policies')
    writePolicies(bundle, { 'pulled.tar.gz': (await download()).bytes })
    const other = await TestGate.start({ policyDir: bundle, env: { API_TOKENS: TOKENS } })
    try {
      const key = await other.agent('worker', ['nobody'])
      const listed = await other.act(key, { tool: 'items.list', args: {}, dry_run: true })
      expect(listed.body.decision).to.equal('allow')
    } finally {
      await other.stop()
    }
  })

  it('holds files of long names whole, and none cut', async () => {
    const [folder, file] = ['d'.repeat(60), `${'e'.repeat(60)}.rego`]
    await reload({ [`${folder}/${file}`]: 'package agent\n\nallow if input.action.name == "x"\n' })
    const { bytes } = await download()
    expect([...readTarGz(bytes).keys()]).to.include(`${folder}/${file}`)
  })

  it('is for enforcement points, under a name that ends in .tar.gz', async () => {
    const agent = await gate.agent('no-point')
    expect((await gate.call('GET', '/bundles/x.tar.gz', { key: agent })).status).to.equal(403)
    expect((await gate.call('GET', '/bundles/x', { key: PEP })).status).to.equal(404)
  })

  it('does not start with a key that cannot sign', async () => {
    const file = path.join(scratch('keys'), 'none.pem')
    fs.writeFileSync(file, 'no key')
    const refused = await TestGate.start({ env: { BUNDLE_SIGNING_KEY: file } }).then(
      () => '',
      (error: unknown) => String(error),
    )
    expect(refused).not.to.equal('')
  })
})
