import { expect } from 'chai'
import { ADMIN, heard, MAKER, TestGate, until } from '../support/gate.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { LogSink } from '../support/log-sink.ts'
import { GATE } from '../support/policies.ts'
import { scratch } from '../support/scratch.ts'

const PEP = 'key-of-an-enforcement-point'
const TOKENS = `admin:tester:${ADMIN},admin:maker:${MAKER},pep:edge:${PEP}`
const POLICIES = {
  'agent.rego': `package agent

default allow := false

allow if input.action.name == "read"
`,
  'log.rego': `# METADATA
# entrypoint: true
package system.log

mask contains {"op": "upsert", "path": "/input/resource/id", "value": "a record"} if {
	startswith(input.input.resource.id, "private-")
}
`,
  'gate.yaml': `${GATE}
decision_api: { actions: { read: {} } }
`,
}
const QUICK = { DECISION_LOG_MIN_DELAY_S: '0', DECISION_LOG_MAX_DELAY_S: '0' }

let asked = 0

/** Asks for a decision, with more of the question; answers its id. */
async function decided(gate: TestGate, more: object = {}): Promise<string> {
  const body = {
    subject: { type: 'user', id: 'alice' },
    action: { name: 'read', properties: {} },
    resource: { type: 'record', id: `record-${asked++}` },
    ...more,
  }
  const ask = () => gate.call('POST', '/access/v1/evaluation', { key: PEP, body })
  return (await heard(ask)).body.context.evaluation_id
}

describe('decision logs to others', function () {
  let sink: LogSink
  let gate: TestGate
  const start = (more: Readonly<Record<string, string>> = {}, dirs: object = {}) =>
    TestGate.start({
      policies: POLICIES,
      env: { API_TOKENS: TOKENS, DECISION_LOG_URL: `${sink.url}/opa/`, ...QUICK, ...more },
      ...dirs,
    })

  describe('of a gate', () => {
    before(async () => {
      sink = await LogSink.start()
      gate = await start({
        DECISION_LOG_TOKEN: 'token-of-the-sink',
        DECISION_LOG_LABELS: 'env=test,region=eu',
        DECISION_LOG_MASK: '/input/action/properties/token,/input/resource/properties,/result/none',
        DECISION_LOG_BATCH: '5',
        DECISION_LOG_UPLOAD_BYTES: '1500',
      })
    })
    after(async () => {
      await gate.stop()
      await sink.stop()
    })
    beforeEach(() => {
      sink.behave = () => 200
    })

    it('are posted as OPA posts them: a list, packed with gzip, with the token', async () => {
      await sink.of([await decided(gate)])
      const [chunk] = sink.chunks
      expect(chunk?.path).to.equal('/opa/logs')
      expect(chunk?.headers).to.include({
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        authorization: 'Bearer token-of-the-sink',
      })
    })

    it('say of a question who asked what, what was said, and by which revision', async () => {
      const id = await decided(gate, { resource: { type: 'record', id: 'record-x' } })
      const [event] = await sink.of([id])
      const { body: policy } = await gate.call('GET', '/policy')
      expect(event).to.deep.include({
        path: 'agent/decision',
        bundles: { portcullis: { revision: policy.revision } },
        input: {
          subject: { type: 'user', id: 'alice' },
          action: { name: 'read', properties: {} },
          resource: { type: 'record', id: 'record-x' },
        },
      })
      expect(event?.['result']).to.deep.include({ effect: 'allow', allow: true })
      expect(event?.labels).to.include({ app: 'portcullis', env: 'test', region: 'eu' })
      expect(event?.labels).to.include.keys('id', 'version')
      expect(new Date(event?.['timestamp']).toISOString()).to.equal(event?.['timestamp'])
      expect(event?.['custom']).to.include({ decision_id: id, surface: 'authzen' })
      expect(event?.['req_id']).to.equal(event?.['custom'].seq)
    })

    it('say of a document its path, input and result', async () => {
      const { body } = await gate.call('POST', '/v1/data/agent/allow', {
        key: PEP,
        body: { input: { action: { name: 'read' } } },
      })
      const [event] = await sink.of([body.decision_id])
      expect(event).to.deep.include({
        path: 'agent/allow',
        input: { action: { name: 'read' } },
        result: true,
      })
    })

    it('say of an action its context, and of an approved one both decisions, apart', async () => {
      const key = await gate.agent('deletes')
      const context = { channel: 'web' }
      const act = { tool: 'items.delete', args: { id: 'i-1' }, context }
      const { body } = await heard(() => gate.act(key, act))
      await gate.call('POST', `/approvals/${body.approval.id}/approve`, { body: {} })
      const of = () => sink.events.filter(({ custom }) => custom.decision_id === body.decision_id)
      await until('both are there', () => of().length === 2)
      const [held, ran] = of()
      expect(held).to.include({ decision_id: body.decision_id })
      expect(held?.['input'].context).to.deep.equal(context)
      expect(held?.['result'].effect).to.equal('require_approval')
      expect(ran?.['result'].effect).to.equal('allow')
      expect(ran?.decision_id).to.equal(`${body.decision_id}.${ran?.['req_id']}`)
    })

    it('carry nothing that is masked, and say where something was', async () => {
      const properties = { token: 'very-secret', path: '/a' }
      const [event] = await sink.of([await decided(gate, { action: { name: 'read', properties } })])
      expect(event?.['input'].action.properties).to.deep.equal({ path: '/a' })
      expect(event?.['erased']).to.deep.equal(['/input/action/properties/token'])
      expect(JSON.stringify(event)).not.to.include('very-secret')
    })

    it('carry what the policy puts in the place of something, and the policy is asked by nobody else', async () => {
      const resource = { type: 'record', id: 'private-7' }
      const [event] = await sink.of([await decided(gate, { resource })])
      expect(event?.['input'].resource.id).to.equal('a record')
      expect(event?.['masked']).to.deep.equal(['/input/resource/id'])
      const { body } = await gate.call('POST', '/v1/data/system/log/mask', { key: PEP, body: {} })
      expect(body).not.to.have.property('result')
    })

    it('are of so many events and bytes, packed; one that is too large goes without its input', async () => {
      const noise = (size: number) => Array.from({ length: size }, () => Math.random()).join(' ')
      const large = await decided(gate, {
        action: { name: 'read', properties: { noise: noise(400) } },
      })
      const ids = [large]
      for (let n = 0; n < 12; n++) {
        const properties = { noise: noise(20) }
        ids.push(await decided(gate, { action: { name: 'read', properties } }))
      }
      const events = await sink.of(ids)
      const [first] = events.filter(({ decision_id: id }) => id === large)
      expect(first).not.to.have.property('input')
      expect(first?.['erased']).to.include('/input')
      for (const { bytes, events: some } of sink.chunks) {
        expect(bytes).to.be.at.most(1_500)
        expect(some.length).to.be.at.most(5)
      }
    })

    it('lose nothing while the sink is down, and nothing comes twice', async () => {
      sink.behave = () => 503
      const ids: string[] = []
      const before = sink.chunks.length
      for (let n = 0; n < 20; n++) ids.push(await decided(gate))
      await until('it was refused a few times', () => sink.chunks.length > before + 3)
      sink.behave = () => 200
      const events = await sink.of(ids)
      expect(events.map((one) => one.decision_id)).to.deep.equal(ids)
      const seqs = sink.events.map((one) => one['req_id'])
      expect(seqs).to.deep.equal([...new Set(seqs)].sort((a, b) => a - b))
    })

    it('send the same chunk again after a refusal', async () => {
      let refused = 0
      sink.behave = () => (refused++ < 2 ? 500 : 200)
      const at = sink.chunks.length
      await sink.of([await decided(gate)])
      const [one, two, three] = sink.chunks.slice(at).map(({ events }) => events)
      expect(two).to.deep.equal(one)
      expect(three?.slice(0, one?.length)).to.deep.equal(one)
    })

    it('come again under the same id where the answer got lost, so that a sink can tell', async () => {
      let lost = 0
      sink.behave = () => (lost++ === 0 ? 'none' : 200)
      const id = await decided(gate)
      await until(
        'it came twice',
        () => sink.events.filter((one) => one.decision_id === id).length === 2,
      )
      const [first, second] = sink.events.filter((one) => one.decision_id === id)
      expect(second).to.deep.equal(first)
    })

    it('are cut smaller for a sink that takes less', async () => {
      sink.behave = (events) => (events.length > 1 ? 413 : 200)
      const ids = [await decided(gate), await decided(gate), await decided(gate)]
      const events = await sink.of(ids)
      expect(events.map((one) => one.decision_id)).to.deep.equal(ids)
    })

    it('are counted, with how much waits', async () => {
      await sink.of([await decided(gate)])
      await until('nothing waits', async () => {
        const { text } = await gate.call('GET', '/metrics', { key: null })
        return /^portcullis_decision_log_behind 0$/m.test(text)
      })
      const { text } = await gate.call('GET', '/metrics', { key: null })
      expect(text).to.match(/^portcullis_decision_log_total\{result="accepted"\} [1-9]/m)
    })
  })

  it('go on where they were after a restart, with what was decided while the sink was down', async () => {
    sink = await LogSink.start()
    const dirs = { dataDir: scratch('data') }
    gate = await start({}, dirs)
    const first = await decided(gate)
    await sink.of([first])
    sink.behave = () => 503
    const second = await decided(gate)
    await gate.stop()
    sink.behave = () => 200
    gate = await start({}, dirs)
    try {
      const third = await decided(gate)
      const events = await sink.of([first, second, third])
      expect(events.map((one) => one.decision_id)).to.deep.equal([first, second, third])
    } finally {
      await gate.stop()
      await sink.stop()
    }
  })

  it('begin with what is decided after they are first configured', async () => {
    sink = await LogSink.start()
    const dirs = { dataDir: scratch('data') }
    gate = await start({ DECISION_LOG_URL: '' }, dirs)
    const before = await decided(gate)
    await gate.stop()
    gate = await start({}, dirs)
    try {
      const after = await decided(gate)
      await sink.of([after])
      expect(sink.events.map((one) => one.decision_id)).not.to.include(before)
    } finally {
      await gate.stop()
      await sink.stop()
    }
  })

  describe('of several replicas', () => {
    let server: PostgresServer
    let gates: [TestGate, TestGate]
    let stopped: TestGate | undefined
    before(async function () {
      if (!postgresBin()) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      server = await PostgresServer.start()
      sink = await LogSink.start()
      const databaseUrl = await server.createDatabase()
      gates = [await start({}, { databaseUrl }), await start({}, { databaseUrl })]
    })
    after(async () => {
      for (const one of gates ?? []) if (one !== stopped) await one.stop()
      await sink?.stop()
      server?.stop()
    })

    it('are sent by one, what all of them decide; when it stops another goes on, and nothing is missing', async () => {
      const ids: string[] = []
      for (let n = 0; n < 10; n++) ids.push(await decided(n % 2 === 0 ? gates[0] : gates[1]))
      const sent = await sink.of(ids)
      expect(sent.map((one) => one.decision_id)).to.deep.equal(ids)
      const senders = new Set(sent.map(({ labels }) => labels['id']))
      expect(senders.size).to.equal(1)
      const { body } = await gates[0].call('GET', '/meta')
      const [first, second] = gates
      const left = senders.has(body.replica) ? second : first
      stopped = left === first ? second : first
      await stopped.stop()
      const more = [await decided(left), await decided(left)]
      const later = await sink.of(more)
      expect(later.map((one) => one.decision_id)).to.deep.equal(more)
      expect(senders.has(later[0]?.labels['id'] ?? '')).to.equal(false)
      const all = sink.events.map((one) => one.decision_id)
      expect(new Set(all).size).to.equal(all.length)
    })
  })
})
