import { expect } from 'chai'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { heard, MAKER, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const STRICT = GATE.replace('"items.update", ', '')
const env = { POLICY_SOURCE: 'database' }

const liveOf = async (gate: TestGate): Promise<string> =>
  (await gate.call('GET', '/policy')).body.revision
const put = (gate: TestGate, text: string, base: string, more: object = {}, key?: string) =>
  gate.call('PUT', '/policy/files', {
    body: { files: { 'gate.yaml': text, 'tools.yaml': TOOLS }, ...more },
    headers: { 'if-match': `"${base}"` },
    ...(key === undefined ? {} : { key }),
  })

describe('a policy that is kept in the database', () => {
  let gate: TestGate
  let key: string
  const restarted = async (policies = GATE) => {
    await gate.gate.stop()
    const { dataDir, upstream } = gate
    gate = await TestGate.start({ env, dataDir, upstream, policies: { 'gate.yaml': policies } })
  }
  let upstream: TestUpstream
  before(async () => {
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    gate = await TestGate.start({ env, upstream })
    key = await gate.agent('worker-1')
  })
  after(async () => {
    await gate.gate.stop()
    await upstream.stop()
  })

  it('begins as what lies in the directory, which has no say from then on', async () => {
    const first = await liveOf(gate)
    const { status, body, text } = await put(gate, STRICT, first, { note: 'tighter' })
    expect(status, text).to.equal(200)
    expect(body).to.include({ source: 'database', changed: true, parent: first })
    expect(body.unconfirmed).to.deep.equal([])
    await restarted(BROKEN)
    expect(await liveOf(gate)).to.equal(body.revision)
    expect((await gate.act(key, UPDATE)).status).to.equal(403)
    const reload = await gate.call('POST', '/policy/reload', { body: {} })
    expect([reload.status, reload.body.changed]).to.deep.equal([200, false])
    const { publications } = (await gate.call('GET', '/policy/revisions')).body
    expect(publications).to.have.length(2)
    const back = await gate.call('POST', '/policy/rollback', {
      body: { revision: first, reason: 'drill' },
    })
    expect(back.status, back.text).to.equal(200)
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
  })

  it('is published by people other than its author, where the live one asks for them', async () => {
    const rule = `${GATE}publish: { approvals: { quorum: 2, roles: [admin, approver] } }\n`
    const asked = await put(gate, rule, await liveOf(gate))
    expect(asked.status, asked.text).to.equal(200)
    const base = await liveOf(gate)
    const held = await put(gate, STRICT, base, { note: 'why' })
    expect(held.status, held.text).to.equal(202)
    const { publish } = held.body
    expect(publish).to.include({ status: 'pending', base, author: 'tester', quorum: 2 })
    expect(await liveOf(gate)).to.equal(base)
    const at = `/policy/publishes/${publish.id}`
    const seen = (await gate.call('GET', at)).body
    expect(seen.diff.files[0].diff).to.include('-publish:')
    const vote = (who: string | undefined, choice = 'approve') =>
      gate.call('POST', `${at}/${choice}`, { body: {}, ...(who ? { key: who } : {}) })
    expect((await vote(undefined)).body.error.code).to.equal('forbidden') // its author
    const observer = await gate.key('observer', 'watcher')
    expect((await vote(observer)).body.error.code).to.equal('forbidden')
    const once = await vote(MAKER)
    expect([once.status, once.body.outcome]).to.deep.equal([200, null])
    expect((await vote(MAKER)).body.outcome).to.equal(null) // the same voice again
    // Who makes a colleague's key votes in the colleague's name.
    const made = await vote(await gate.key('approver', 'ada'))
    expect([made.status, made.body.error?.code]).to.deep.equal([403, 'forbidden'])
    const ada = { key: MAKER, body: { role: 'approver', name: 'ada' } }
    const last = await vote((await gate.call('POST', '/api/v1/keys', ada)).body.key)
    expect(last.status, last.text).to.equal(200)
    expect(last.body.publish).to.include({ status: 'published' })
    expect([await liveOf(gate), last.body.outcome.revision]).to.deep.equal(
      Array(2).fill(publish.revision),
    )
    expect((await gate.act(key, UPDATE)).status).to.equal(403)
    const { publications } = (await gate.call('GET', '/policy/revisions?limit=1')).body
    expect(publications[0]).to.include({ author: 'tester', note: 'why', source: 'api' })
    expect((await vote(MAKER)).body.error.code).to.equal('conflict')
  })

  it('a held publish can be denied, withdrawn, or overtaken', async () => {
    const rule = `${GATE}publish: { approvals: { quorum: 1, roles: [admin] } }\n`
    await put(gate, rule, await liveOf(gate))
    const base = await liveOf(gate)
    const hold = async () => (await put(gate, STRICT, base)).body.publish.id as string
    const call = (id: string, choice: string, who = MAKER) =>
      gate.call('POST', `/policy/publishes/${id}/${choice}`, { key: who, body: {} })
    const [denied, cancelled, overtaken] = [await hold(), await hold(), await hold()]
    // Nobody goes around the others by going back to what never was the policy.
    const never = (await put(gate, `${STRICT}# of nobody\n`, base)).body.publish
    expect((await call(never.id, 'deny')).status).to.equal(200)
    const back = await gate.call('POST', '/policy/rollback', {
      body: { revision: never.revision, reason: 'in a hurry' },
    })
    expect([back.status, back.body.error?.code], back.text).to.deep.equal([409, 'conflict'])
    expect((await call(denied, 'deny')).body.publish.status).to.equal('denied')
    expect((await call(cancelled, 'cancel')).body.publish.status).to.equal('cancelled')
    const winner = await put(gate, `${rule}# another\n`, base)
    expect((await call(winner.body.publish.id, 'approve')).status).to.equal(200)
    const late = await call(overtaken, 'approve')
    expect([late.status, late.body.error.code]).to.deep.equal([412, 'stale_revision'])
    const { body } = await gate.call('GET', `/policy/publishes/${overtaken}`)
    expect(body.status).to.equal('stale')
    const all = (await gate.call('GET', '/policy/publishes')).body.publishes
    expect(all.slice(0, 5).map((one: { status: string }) => one.status)).to.deep.equal([
      ...['published', 'denied', 'stale', 'cancelled', 'denied'],
    ])
  })
})

describe('a policy in one PostgreSQL for two gates', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let a: TestGate
  let b: TestGate
  let key: string
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    const databaseUrl = await server.createDatabase()
    const options = { databaseUrl, upstream, env }
    // Both start at once on an empty database, with other files in their directories: one of them is first.
    ;[a, b] = await Promise.all([
      TestGate.start({ ...options, env: { ...env, ONLY_OF_A: 'http://127.0.0.1:1' } }),
      TestGate.start({ ...options, policies: { 'gate.yaml': `${GATE}# another\n` } }),
    ])
    key = await a.agent('shared')
  })
  after(async () => {
    await a?.stop()
    await b?.stop()
    await upstream?.stop()
    server?.stop()
  })

  it('is the same on both from the start', async () => {
    expect(await liveOf(a)).to.equal(await liveOf(b))
    const { publications } = (await a.call('GET', '/policy/revisions')).body
    expect(publications).to.have.length(1)
  })

  it('is followed by both, and each decision meanwhile is by one revision that is on record', async () => {
    const answers: Answer[] = []
    const stop = new AbortController()
    const load = [a, b].flatMap((gate) =>
      Array.from({ length: 4 }, async () => {
        while (!stop.signal.aborted) answers.push(await heard(() => gate.act(key, UPDATE)))
      }),
    )
    const lenient = await liveOf(a)
    const allowed = new Map([[lenient, 200]])
    for (let round = 0; round < 6; round++) {
      const [from, to] = round % 2 ? [b, a] : [a, b]
      const text = round % 2 ? `${GATE}# round ${round}\n` : `${STRICT}# round ${round}\n`
      const { status, body, text: said } = await put(from, text, await liveOf(from))
      expect(status, said).to.equal(200)
      allowed.set(body.revision, round % 2 ? 200 : 403)
      await until('the other follows', async () => (await liveOf(to)) === body.revision)
    }
    const back = await b.call('POST', '/policy/rollback', {
      body: { revision: lenient, reason: 'drill' },
    })
    expect(back.status, back.text).to.equal(200)
    await until('a follows', async () => (await liveOf(a)) === lenient)
    stop.abort()
    await Promise.all(load)
    for (const { status, body } of answers) {
      expect(status).to.equal(allowed.get(body.revision ?? body.error.revision))
    }
    expect(
      new Set(answers.map(({ body }) => body.revision ?? body.error.revision)).size,
    ).to.be.above(2)
  })

  it('a reload is of what was published last, whoever published it', async () => {
    expect((await put(a, `${GATE}# first\n`, await liveOf(a))).status).to.equal(200)
    await until('b follows', async () => (await liveOf(a)) === (await liveOf(b)))
    expect((await put(b, `${GATE}# second\n`, await liveOf(b))).status).to.equal(200)
    await until('a follows', async () => (await liveOf(a)) === (await liveOf(b)))
    const { status, body } = await a.call('POST', '/policy/reload', { body: {} })
    expect([status, body.changed, body.revision]).to.deep.equal([200, false, await liveOf(b)])
    const byPath = await a.call('POST', '/policy/reload', { body: { path: 'policies' } })
    expect([byPath.status, byPath.body.error.code]).to.deep.equal([409, 'conflict'])
  })

  it('one that cannot load what is published says so, and decides by the last it could', async () => {
    const before = await liveOf(b)
    const tools = TOOLS.replace('upstreams:', `upstreams:\n  other: { base_url: '\${ONLY_OF_A}' }`)
    const { status, body, text } = await a.call('PUT', '/policy/files', {
      body: { files: { 'gate.yaml': GATE, 'tools.yaml': tools } },
      headers: { 'if-match': before },
    })
    expect(status, text).to.equal(200)
    expect(body.unconfirmed).to.have.length(1)
    await until('b says so', async () => (await b.call('GET', '/policy')).body.stale)
    expect((await b.call('GET', '/policy')).body.rejected.diagnostics[0].code).to.equal(
      'env_missing',
    )
    expect(await liveOf(b)).to.equal(before)
    // Also from b, which decides by it all the while.
    const back = await b.call('POST', '/policy/rollback', {
      body: { revision: before, reason: 'b has no such value' },
    })
    expect([back.status, back.body.changed], back.text).to.deep.equal([200, true])
    await until('a follows', async () => (await liveOf(a)) === before)
    await until('b is well', async () => !(await b.call('GET', '/policy')).body.stale)
  })

  it('one that missed a publication follows the next, whatever the one it stayed on must deny', async () => {
    const strict = { 'gate.yaml': DENIES, 'tools.yaml': TOOLS }
    const lenient = { 'gate.yaml': LENIENT, 'tools.yaml': TOOLS }
    const away = TOOLS.replace('upstreams:', `upstreams:\n  other: { base_url: '\${ONLY_OF_A}' }`)
    const publish = async (files: object) => {
      const { status, text } = await a.call('PUT', '/policy/files', {
        body: { files },
        headers: { 'if-match': await liveOf(a) },
      })
      expect(status, text).to.equal(200)
    }
    await publish({ ...strict, 'tests/must.yaml': MUST_NOT_DELETE })
    await until('b follows', async () => (await liveOf(a)) === (await liveOf(b)))
    await publish({ ...strict, 'tools.yaml': away }) // not for b
    await until('b says so', async () => (await b.call('GET', '/policy')).body.stale)
    await publish(lenient)
    await until('b follows', async () => (await liveOf(a)) === (await liveOf(b)))
    expect((await b.call('GET', '/policy')).body.stale).to.equal(false)
  })

  it('of two publishes from one base exactly one wins', async () => {
    const base = await liveOf(a)
    const both = await Promise.all([
      put(a, `${GATE}# of a\n`, base),
      put(b, `${GATE}# of b\n`, base),
    ])
    expect(both.map(({ status }) => status)).to.have.members([200, 412])
    await until('both agree', async () => (await liveOf(a)) === (await liveOf(b)))
    const won = both.find(({ status }) => status === 200)
    expect(await liveOf(a)).to.equal(won?.body.revision)
  })
})

const DELETES = / {2}- \{ roles: \[worker\], tools: \["items.delete"\].*/
const [LENIENT, DENIES] = ['allow', 'deny'].map((effect) =>
  GATE.replace(DELETES, `  - { roles: [worker], tools: ["items.delete"], effect: ${effect} }`),
) as [string, string]
const MUST_NOT_DELETE = `version: 1
subjects: { worker: { roles: [worker] } }
actions:
  delete: { tool: items.delete, args: { id: i-1 } }
must_deny: [{ name: nobody deletes, actions: [delete] }]
`

const BROKEN = GATE.replace('effect: allow', 'effect: alow')
