import zlib from 'node:zlib'
import { expect } from 'chai'
import { ADMIN, MAKER, TestGate } from '../../support/gate.ts'
import { GATE } from '../../support/policies.ts'

const PEP = 'key-of-an-enforcement-point'
const TOKENS = `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`

const decision = (n: number, more: object = {}) => ({
  labels: { id: 'opa-1', version: '1.20.0' },
  decision_id: `d-${n}`,
  bundles: { portcullis: { revision: 'r-1' } },
  path: 'authz/allow',
  input: { user: 'alice', n },
  result: n % 2 === 0,
  requested_by: '10.0.0.7:4711',
  timestamp: '2026-11-27T10:00:00Z',
  metrics: { timer_rego_query_eval_ns: 12_345 },
  ...more,
})

describe('decision logs of an OPA', function () {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({ env: { API_TOKENS: TOKENS } })
  })
  after(() => gate.stop())

  const upload = (one: TestGate, list: unknown) =>
    one.call('POST', '/logs', {
      key: PEP,
      raw: zlib.gzipSync(JSON.stringify(list)),
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    })
  const imported = async (one: TestGate) =>
    (await one.call('GET', '/audit/timeline?kind=decision.imported&limit=500')).body.entries

  it('are on the record, one entry each, as the word of who sent them', async () => {
    const { status, body } = await upload(gate, [decision(1), decision(2)])
    expect([status, body]).to.deep.equal([200, {}])
    const entries = await imported(gate)
    expect(entries.map((one: { decision_id: string }) => one.decision_id)).to.have.members([
      'd-1',
      'd-2',
    ])
    expect(
      entries.find((one: { decision_id: string }) => one.decision_id === 'd-2'),
    ).to.deep.include({
      path: 'authz/allow',
      input: { user: 'alice', n: 2 },
      result: true,
      revisions: { portcullis: 'r-1' },
      surface: 'opa',
    })
    expect((await gate.call('GET', '/audit/verify')).body.integrity).to.equal('ok')
  })

  it('are taken whole or not at all', async () => {
    const before = (await imported(gate)).length
    for (const list of [
      {},
      'x',
      [decision(3), { ...decision(4), decision_id: undefined }],
      [decision(3), 'no object'],
      [decision(3, { path: 7 })],
      [decision(3, { requested_by: 'x'.repeat(1_001) })],
      Array.from({ length: 1_001 }, (_, n) => decision(n)),
    ]) {
      const { status, body } = await upload(gate, list)
      expect([status, body.code], JSON.stringify(list).slice(0, 80)).to.deep.equal([
        400,
        'invalid_parameter',
      ])
    }
    expect(await imported(gate)).to.have.length(before)
  })

  it('take a thousand at once, and hold large ones as their hash', async () => {
    const many = Array.from({ length: 1_000 }, (_, n) => decision(n + 10))
    expect((await upload(gate, many)).status).to.equal(200)
    const large = decision(5_000, { input: { text: 'x'.repeat(20_000) } })
    expect((await upload(gate, [large])).status).to.equal(200)
    const [entry] = await imported(gate)
    expect(entry).not.to.have.property('input')
    expect(entry.input_hash).to.match(/^[0-9a-f]{64}$/)
  })

  it('hide what they hold where the record is masked', async () => {
    const masked = await TestGate.start({
      policies: { 'gate.yaml': `${GATE}\nrecord: { mask: [/args/note] }\n` },
      env: { API_TOKENS: TOKENS },
    })
    try {
      expect((await upload(masked, [decision(1)])).status).to.equal(200)
      const [entry] = await imported(masked)
      expect(entry).not.to.have.any.keys('input', 'result')
      expect(entry.input_hash).to.match(/^[0-9a-f]{64}$/)
    } finally {
      await masked.stop()
    }
  })
})
