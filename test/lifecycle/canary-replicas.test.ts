import { expect } from 'chai'
import pg from 'pg'
import {
  canaryOf,
  decisionOf,
  ended,
  entriesOf,
  isInShare,
  liveOf,
  NEVER,
  revisionOf,
  start,
  started,
} from '../support/canaries.ts'
import { insertPublication } from '../../src/record/policy-revisions.ts'
import { diagnosticAt, wholeFile } from '../../src/sources/diagnostics.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { type Answer, heard, MAKER, TestGate, until } from '../support/gate.ts'
import { GATE, TOOLS } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }
const STRICT = GATE.replace('"items.update", ', '')
const env = { POLICY_SOURCE: 'database' }

const LOAD_FAILED = diagnosticAt(wholeFile('.'), 'error', 'load_failed', '')

const put = (gate: TestGate, text: string, base: string) =>
  gate.call('PUT', '/policy/files', {
    body: { files: { 'gate.yaml': text, 'tools.yaml': TOOLS } },
    headers: { 'if-match': `"${base}"` },
  })
const idOf = async (gate: TestGate, name: string): Promise<string> =>
  (await gate.call('GET', `/api/v1/agents/${name}`)).body.agent.id

describe('a canary of a policy that other people have to agree to', () => {
  let gate: TestGate
  let key: string
  const RULE = `${GATE}publish: { approvals: { quorum: 1, roles: [admin] } }\n`
  before(async () => {
    gate = await TestGate.start({ env })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    key = await gate.agent('worker-1')
  })
  after(() => gate.stop())

  it('is compared by its author alone, decides for nobody, and is promoted when they agree', async () => {
    const first = await liveOf(gate)
    const rule = await put(gate, RULE, first)
    expect(rule.status, rule.text).to.equal(200)
    const enforce = await start(gate, STRICT, { mode: 'enforce', percent: 1 })
    expect([enforce.status, enforce.body.error.code]).to.deep.equal([409, 'conflict'])
    expect(await canaryOf(gate)).to.equal(null)
    const { id, revision } = await started(gate, STRICT)
    expect((await gate.act(key, UPDATE)).status).to.equal(200)
    const promoted = await gate.call('POST', '/policy/canary/promote', { body: {} })
    expect(promoted.status, promoted.text).to.equal(202)
    const { publish } = promoted.body
    expect(publish).to.include({ status: 'pending', revision, author: 'tester' })
    expect([(await canaryOf(gate)).status, await liveOf(gate)]).to.deep.equal([
      ...['running', rule.body.revision],
    ])
    const at = `/policy/publishes/${publish.id}/approve`
    expect((await gate.call('POST', at, { body: {} })).status).to.equal(403) // its author
    const agreed = await gate.call('POST', at, { key: MAKER, body: {} })
    expect(agreed.status, agreed.text).to.equal(200)
    expect(await ended(gate, id)).to.include({ status: 'promoted' })
    expect(await liveOf(gate)).to.equal(revision)
    expect((await gate.act(key, UPDATE)).status).to.equal(403)
  })

  it('may decide where it did so before, as a rollback would', async () => {
    const { publications } = (await gate.call('GET', '/policy/revisions')).body
    const past = publications.at(-1).revision
    const rule = await put(gate, RULE, await liveOf(gate))
    expect(rule.status, rule.text).to.equal(200)
    const canary = await started(gate, '', { files: undefined, revision: past, mode: 'enforce' })
    expect(revisionOf(await gate.act(key, UPDATE))).to.equal(canary.revision)
  })
})

describe('a canary in one PostgreSQL for two gates', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let databaseUrl: string
  let upstream: TestUpstream
  let a: TestGate
  let b: TestGate
  const gates = () => [a, b]
  const NAMES = Array.from({ length: 8 }, (_, n) => `agent-${n}`)
  const keys = new Map<string, string>()
  const isSeen = (gate: TestGate, key: string, revision: string) =>
    until('the other one follows', async () => {
      return revisionOf(await heard(() => gate.act(key, UPDATE))) === revision
    })
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    databaseUrl = await server.createDatabase()
    a = await TestGate.start({
      databaseUrl,
      upstream,
      env: { ...env, ONLY_OF_A: 'http://127.0.0.1:1' },
    })
    b = await TestGate.start({ databaseUrl, upstream, env })
    for (const name of NAMES) keys.set(name, await a.agent(name))
  })
  after(async () => {
    await a?.stop()
    await b?.stop()
    await upstream?.stop()
    server?.stop()
  })

  it('puts an agent on the same side on both, and on one that starts later', async () => {
    const canary = await started(a, STRICT, { mode: 'enforce', percent: 40 })
    const sideOf = async (gate: TestGate, name: string) =>
      revisionOf(await heard(() => gate.act(keys.get(name) ?? '', UPDATE)))
    const wanted = new Map<string, string>()
    for (const name of NAMES) {
      const isCandidates = isInShare(canary, await idOf(a, name))
      wanted.set(name, isCandidates ? canary.revision : canary.base)
    }
    await until('b follows', async () => {
      for (const [name, revision] of wanted) {
        if ((await sideOf(b, name)) !== revision) return false
      }
      return true
    })
    const c = await TestGate.start({ databaseUrl, upstream, env })
    for (const [name, revision] of wanted) {
      for (const gate of [...gates(), c]) expect(await sideOf(gate, name)).to.equal(revision)
    }
    await c.stop()
    const over = await b.call('POST', '/policy/canary/abort', { body: { reason: 'seen' } })
    expect(over.status, over.text).to.equal(200)
    for (const name of NAMES) {
      await until('a is done', async () => (await sideOf(a, name)) === canary.base)
    }
  })

  it('counts what both decided, and ends on both when that is too much', async () => {
    const key = keys.get('agent-0') ?? ''
    const abort_when = { new_denials: 6 }
    const { id, revision, base } = await started(a, STRICT, { mode: 'enforce', abort_when })
    await isSeen(a, key, revision)
    await isSeen(b, key, revision)
    for (let n = 0; n < 4; n++) for (const gate of gates()) await heard(() => gate.act(key, UPDATE))
    const canary = await ended(a, id)
    expect([canary.status, canary.ended_because.code]).to.deep.equal(['aborted', 'new_denials'])
    await isSeen(a, key, base)
    await isSeen(b, key, base)
    const of = (await entriesOf(a, 'policy.canary')).filter(
      (one: { canary_id: string }) => one.canary_id === id,
    )
    expect(of.map(({ state }: { state: string }) => state)).to.deep.equal(['started', 'aborted'])
    const { alerts } = (await b.call('GET', '/api/v1/alerts?type=canary_aborted')).body
    expect(alerts).to.have.length(1)
  })

  it('begins, ends and is promoted under load: each answer is that of the revision it names', async () => {
    const base = await liveOf(a)
    const allowed = new Map([[base, 200]])
    const answers: Answer[] = []
    const stop = new AbortController()
    const load = gates().flatMap((gate) =>
      NAMES.slice(0, 4).map(async (name) => {
        const key = keys.get(name) ?? ''
        while (!stop.signal.aborted) answers.push(await heard(() => gate.act(key, UPDATE)))
      }),
    )
    for (const [round, gate] of [a, b, a].entries()) {
      const canary = await started(gate, `${STRICT}# ${round}\n`, {
        mode: 'enforce',
        agents: NAMES.slice(0, 2),
      })
      allowed.set(canary.revision, 403)
      const before = answers.length
      await until('it decides', () =>
        answers.slice(before).some((one) => revisionOf(one) === canary.revision),
      )
      const end = round === 2 ? 'promote' : 'abort'
      const over = await gate.call('POST', `/policy/canary/${end}`, { body: { reason: 'round' } })
      expect(over.status, over.text).to.equal(200)
    }
    const last = await liveOf(a)
    await until('b follows', async () => (await liveOf(b)) === last)
    stop.abort()
    await Promise.all(load)
    for (const one of answers) expect(one.status, one.text).to.equal(allowed.get(revisionOf(one)))
    expect((await put(a, GATE, last)).status).to.equal(200)
    await until('b follows', async () => (await liveOf(a)) === (await liveOf(b)))
  })

  it('of two that are begun at once one runs', async () => {
    const both = await Promise.all(gates().map((gate) => start(gate, STRICT)))
    expect(both.map(({ status }) => status)).to.have.members([201, 409])
    const [one] = both.filter(({ status }) => status === 201)
    // Another policy, published over the other gate, ends it for both.
    const published = await put(b, `${GATE}# another\n`, await liveOf(b))
    expect(published.status, published.text).to.equal(200)
    for (const gate of gates()) {
      expect((await ended(gate, one?.body.canary.id)).ended_because.code).to.equal('superseded')
    }
    await until('a follows', async () => (await liveOf(a)) === published.body.revision)
  })

  it('ends for all where one of them cannot load it', async () => {
    const tools = TOOLS.replace('upstreams:', `upstreams:\n  other: { base_url: '\${ONLY_OF_A}' }`)
    const files = { 'gate.yaml': STRICT, 'tools.yaml': tools }
    const { id } = await started(a, STRICT, { files, mode: 'enforce', abort_when: NEVER })
    const canary = await ended(a, id)
    expect([canary.status, canary.ended_because.code]).to.deep.equal(['aborted', 'unloadable'])
  })

  it('an abort is followed by who can write no counts, as is the next one', async () => {
    const key = keys.get('agent-0') ?? ''
    const rename = (from: string, to: string) =>
      a.gate.operations.write((tx) => tx.query(`alter table ${from} rename to ${to}`))
    const { revision, base } = await started(a, STRICT, { mode: 'enforce' })
    await isSeen(b, key, revision)
    await rename('policy_canary_counts', 'counts_elsewhere')
    try {
      await heard(() => b.act(key, UPDATE)) // something that cannot be written
      const over = await a.call('POST', '/policy/canary/abort', { body: { reason: 'drill' } })
      expect(over.status, over.text).to.equal(200)
      await isSeen(b, key, base)
    } finally {
      await rename('counts_elsewhere', 'policy_canary_counts')
    }
  })

  it('the next one begins on a gate that has not heard how the last one ended, and loses nothing of it', async () => {
    const key = keys.get('agent-0') ?? ''
    const { id, revision } = await started(a, STRICT, { mode: 'enforce' })
    await isSeen(b, key, revision)
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    const rowsOf = async (text: string) => (await client.query(text)).rows
    const countOf = async () =>
      Number(
        (
          await rowsOf(
            `select sum(n) as n from policy_canary_counts where slot = 0 and canary_id = '${id}'`,
          )
        )[0]?.n,
      )
    await until('all is counted', async () => (await canaryOf(b)).total !== null)
    const before = await countOf()
    let next: Promise<Answer> | undefined
    try {
      await client.query('begin')
      await client.query('lock table policy_canary_counts in share mode')
      // Something that waits to be written, so that nobody looks here for what runs; and something more.
      expect(revisionOf(await heard(() => b.act(key, UPDATE)))).to.equal(revision)
      await until('it waits', async () => {
        const waiting = 'select 1 from pg_locks where not granted and relation is not null'
        return (await rowsOf(waiting)).length > 0
      })
      expect(revisionOf(await heard(() => b.act(key, UPDATE)))).to.equal(revision)
      const over = await a.call('POST', '/policy/canary/abort', { body: { reason: 'drill' } })
      expect(over.status, over.text).to.equal(200)
      next = start(b, `${STRICT}# next\n`)
      await until('the next one runs', async () => (await canaryOf(a)).id !== id)
    } finally {
      await client.query('rollback')
    }
    expect((await next).status).to.equal(201)
    await until('nothing of the last one is lost', async () => (await countOf()) === before + 2)
    await client.end()
    await a.call('POST', '/policy/canary/abort', { body: { reason: 'seen' } })
  })

  it('ends when a gate publishes that knows of none', async () => {
    const end = async (revision: string, id: string, base: string) => {
      // As the version before publishes: nothing of what is on trial.
      await a.gate.operations.write((tx) =>
        insertPublication(tx, {
          ...{ revision, parent: base, author: 'older', source: 'api', note: '' },
          ...{ changed: [], tests: { must: 0, failed: 0 } },
        }),
      )
      const canary = await ended(a, id)
      for (const gate of gates()) {
        await until('it follows', async () => (await liveOf(gate)) === revision)
      }
      return [canary.status, canary.ended_because.code, canary.ended_by]
    }
    const first = await liveOf(a)
    const other = await put(a, `${GATE}# other\n`, first)
    expect(other.status, other.text).to.equal(200)
    const tried = await started(a, STRICT, { mode: 'enforce' })
    expect(await end(first, tried.id, tried.base)).to.deep.equal([
      ...['aborted', 'superseded', 'older'],
    ])
    // Also where what it publishes is what is on trial.
    const again = await started(a, STRICT, { mode: 'enforce' })
    expect(await end(again.revision, again.id, again.base)).to.deep.equal([
      ...['promoted', 'promoted', 'older'],
    ])
    expect((await put(a, GATE, again.revision)).status).to.equal(200)
    await until('b follows', async () => (await liveOf(a)) === (await liveOf(b)))
  })

  it('a promotion that is rolled back at once is over at once on both', async () => {
    const key = keys.get('agent-0') ?? ''
    const { revision, base } = await started(a, STRICT, { mode: 'enforce' })
    await isSeen(b, key, revision)
    const promoted = await a.call('POST', '/policy/canary/promote', { body: {} })
    expect(promoted.status, promoted.text).to.equal(200)
    const back = { revision: base, reason: 'drill' }
    const rolled = await b.call('POST', '/policy/rollback', { body: back })
    expect([rolled.status, rolled.body.unconfirmed], rolled.text).to.deep.equal([200, []])
    for (const gate of gates()) {
      expect(revisionOf(await heard(() => gate.act(key, UPDATE)))).to.equal(base)
    }
  })

  describe('where a load fails on one replica for another reason than the candidate', () => {
    /** Its next loads fail, so many: a thread that was out of memory, or a machine that was too busy. */
    async function withFailures(count: number, work: () => Promise<void>): Promise<void> {
      const { policies } = b.gate
      const prepare = policies.prepare.bind(policies)
      let failures = 0
      policies.prepare = async (...given) => {
        const loaded = await prepare(...given)
        if (failures++ >= count) return loaded
        if (loaded.ok) policies.retire(loaded.bundle)
        const one = { ...LOAD_FAILED, message: 'the load stopped: it took too long' }
        return { ok: false, diagnostics: [one] }
      }
      try {
        await work()
      } finally {
        policies.prepare = prepare
      }
    }

    it('is tried again while it only is compared', () =>
      withFailures(2, async () => {
        const { id } = await started(a, STRICT)
        const key = keys.get('agent-0') ?? ''
        await until('the other one compares', async () => {
          const answer = await heard(() => b.act(key, UPDATE))
          return (await decisionOf(b, answer))?.candidate !== undefined
        })
        expect((await canaryOf(a)).status).to.equal('running')
        const over = await a.call('POST', '/policy/canary/abort', { body: { reason: 'seen' } })
        expect(over.status, over.text).to.equal(200)
        expect((await ended(a, id)).ended_because.code).to.equal('person')
      }))

    it('ends for all where it decides, so that no agent is on two sides', () =>
      withFailures(1, async () => {
        const { id } = await started(a, STRICT, { mode: 'enforce' })
        const { status, ended_because: why } = await ended(a, id)
        expect([status, why.code]).to.deep.equal(['aborted', 'unloadable'])
        expect(why.message).to.contain('it took too long')
      }))
  })
})
