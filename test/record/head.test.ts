import { spawn } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { AuditVerifier } from '../../src/lib/audit-verify.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { ADMIN, TestGate, until } from '../support/gate.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const CLI = path.join(ROOT, 'bin', 'portcullis.js')
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

/** Runs the command line beside this process, whose gates have to go on meanwhile. */
function run(args: string[], cwd: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result = { status: -1, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()))
  return new Promise<typeof result>((resolve) => {
    child.on('close', (status) => resolve({ ...result, status: status ?? -1 }))
  })
}

/** What a restored backup is: everything as it was then. */
const SNAPSHOT = ['actions', 'audit_entries', 'audit_checkpoints', 'ledger_head']

describe('a record that was rolled back', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let alerts: TestUpstream
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    alerts = await TestUpstream.start()
  })
  after(async () => {
    await upstream?.stop()
    await alerts?.stop()
    server?.stop()
  })
  beforeEach(() => {
    upstream.effects.length = 0
    upstream.behave = (_effect, res) => reply(res, 200, {})
    alerts.behave = (_effect, res) => reply(res, 200, {})
    alerts.effects.length = 0
  })

  interface Bench {
    readonly gates: TestGate[]
    readonly key: string
    readonly databaseUrl: string
    readonly sql: (text: string) => Promise<void>
  }

  async function bench(count: number): Promise<Bench> {
    const databaseUrl = await server.createDatabase()
    const env = { ALERT_WEBHOOK_URL: `${alerts.url}/alerts`, WEBHOOK_SECRET: 'secret' }
    const start = () => TestGate.start({ databaseUrl, upstream, env })
    const first = await start()
    const gates = [first]
    while (gates.length < count) gates.push(await start())
    const key = await first.agent('worker')
    const sql = async (text: string) => {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      await client.query(text)
      await client.end()
    }
    return { gates, key, databaseUrl, sql }
  }

  const save = (one: Bench) =>
    one.sql(SNAPSHOT.map((name) => `create table saved_${name} as table ${name};`).join('\n'))

  const restore = (one: Bench) =>
    one.sql(`begin;
      set session_replication_role = replica;
      lock table ledger_head in exclusive mode;
      ${SNAPSHOT.map((name) => `delete from ${name}; insert into ${name} table saved_${name};`).join('\n')}
      commit`)

  const signedSizes = (gate: TestGate) =>
    fs
      .readFileSync(path.join(gate.dataDir, 'checkpoints.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => Number(JSON.parse(line).size))

  const sign = (gate: TestGate) => gate.call('GET', '/audit/checkpoint')
  const cli = (dataDir: string, databaseUrl: string, ...args: string[]) =>
    run(['audit', ...args], scratch('cli'), { DATA_DIR: dataDir, DATABASE_URL: databaseUrl })

  it('runs nothing again: every replica closes, alerts, is not ready and never signs the shorter head', async () => {
    const one = await bench(2)
    const [a, b] = one.gates as [TestGate, TestGate]
    await save(one)
    for (let n = 0; n < 5; n++) {
      const { status } = await a.act(one.key, UPDATE, { 'idempotency-key': `k-${n}` })
      expect(status).to.equal(200)
    }
    await Promise.all([sign(a), sign(b)])
    const sizes = [a, b].map(signedSizes)
    await restore(one)
    const again = []
    for (let n = 0; n < 5; n++) {
      const gate = n % 2 ? a : b
      again.push(await gate.act(one.key, UPDATE, { 'idempotency-key': `k-${n}` }))
    }
    expect(again.map(({ status }) => status)).to.deep.equal([503, 503, 503, 503, 503])
    expect(upstream.effects).to.have.length(5)
    for (const gate of [a, b]) {
      await until('it is not ready', async () => {
        const { status, body } = await gate.call('GET', '/readyz', { key: null })
        const audit = body.checks.find(({ name }: { name: string }) => name === 'audit')
        return status === 503 && !audit.ready
      })
      const { text } = await gate.call('GET', '/metrics', { key: null })
      expect(text).to.match(/^portcullis_audit_broken 1$/m)
      expect((await sign(gate)).status).to.not.equal(200)
    }
    expect([a, b].map(signedSizes)).to.deep.equal(sizes)
    await until('both alerted', () => alerts.effects.length >= 2)
    expect(alerts.effects[0]?.body).to.include('alert.audit_broken').and.include('rolled back')
    await a.stop()
    await b.stop()
  })

  it('is not believed either when it has grown beyond the head that was known', async () => {
    const one = await bench(1)
    const [a] = one.gates as [TestGate]
    await save(one)
    expect((await a.act(one.key, UPDATE)).status).to.equal(200)
    await restore(one)
    await one.sql(`set session_replication_role = replica;
      insert into audit_entries select s, now(), 'forged', '', '', '', '', '{}', '', 'f' || s
        from generate_series((select audit_seq + 1 from ledger_head),
          (select audit_seq + 50 from ledger_head)) s;
      update ledger_head set audit_hash = 'f' || (audit_seq + 50), audit_seq = audit_seq + 50`)
    const { status, body } = await a.act(one.key, UPDATE)
    expect([status, body.error.code]).to.deep.equal([503, 'audit_unavailable'])
    expect(upstream.effects).to.have.length(1)
    await a.stop()
  })

  it('dates its entries after the wait for the lock, not before it', async () => {
    const one = await bench(1)
    const [a] = one.gates as [TestGate]
    await a.act(one.key, UPDATE)
    const holder = new pg.Client({ connectionString: one.databaseUrl })
    await holder.connect()
    const watcher = new pg.Client({ connectionString: one.databaseUrl })
    await watcher.connect()
    await holder.query('begin; select 1 from ledger_head for update')
    const acted = a.act(one.key, UPDATE)
    await until('it waits for the lock', async () => {
      const { rows } = await watcher.query('select 1 from pg_locks where not granted')
      return rows.length > 0
    })
    const { rows } = await watcher.query<{ now: Date }>('select clock_timestamp() as now')
    await holder.query('rollback')
    await acted
    const { body } = await a.call('GET', '/audit/timeline?kind=decision&limit=1')
    const at = Date.parse(body.entries[0].at)
    expect(at).to.be.at.least(Math.floor((rows[0]?.now ?? new Date(Number.NaN)).getTime()))
    await Promise.all([holder.end(), watcher.end()])
    await a.stop()
  })

  it('can be accepted as a loss, on record and shown by every verification from then on', async () => {
    const one = await bench(1)
    const [a] = one.gates as [TestGate]
    await save(one)
    for (let n = 0; n < 3; n++) await a.act(one.key, UPDATE)
    await sign(a)
    const running = await cli(a.dataDir, one.databaseUrl, 'accept-loss', '--reason', 'backup')
    expect([running.status, running.stderr]).to.satisfy(
      ([status, text]: [number, string]) => status === 1 && text.includes('is running'),
    )
    await restore(one)
    await a.stop()

    const options = { databaseUrl: one.databaseUrl, dataDir: a.dataDir, upstream }
    const refused = await TestGate.start(options)
    const answer = await refused.act(one.key, UPDATE)
    expect([answer.status, answer.body.error.message]).to.satisfy(
      ([status, text]: [number, string]) => status === 503 && text.includes('accept-loss'),
    )
    await refused.stop()

    const accepted = await cli(
      a.dataDir,
      one.databaseUrl,
      'accept-loss',
      '--reason',
      'disk of db-1 died',
    )
    expect([accepted.status, accepted.stderr]).to.deep.equal([
      0,
      accepted.stderr.includes('entries are gone') ? accepted.stderr : 'says how many',
    ])
    const twice = await cli(a.dataDir, one.databaseUrl, 'accept-loss', '--reason', 'again')
    expect(twice.status).to.equal(2)

    const again = await TestGate.start(options)
    expect((await again.act(one.key, UPDATE)).status).to.equal(200)
    const { body } = await again.call('GET', '/audit/verify')
    expect([body.integrity, body.completeness]).to.deep.equal(['ok', 'ok'])
    expect(body.losses).to.have.length(1)
    expect(body.losses[0].reason).to.equal('disk of db-1 died')
    const file = path.join(scratch('export'), 'audit.jsonl')
    fs.writeFileSync(file, (await again.call('GET', '/audit/export')).text)
    const args = ['--public-key', path.join(a.dataDir, 'audit-public-key.pem')]
    const outside = ['--checkpoints', path.join(a.dataDir, 'checkpoints.jsonl')]
    const verified = await cli(a.dataDir, one.databaseUrl, 'verify', file, ...args, ...outside)
    expect(verified.status, verified.stderr).to.equal(0)
    expect(verified.stdout).to.match(/accepted loss entries \d+ to \d+ .*disk of db-1 died/)

    // Nobody without the key can say so in its place: with another reason the signature fails.
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replaceAll('db-1', 'db-2'))
    const forged = await cli(
      a.dataDir,
      one.databaseUrl,
      'verify',
      file,
      ...args,
      ...outside,
      '--json',
    )
    expect(forged.status).to.equal(5)
    expect(forged.stdout).to.include('loss_signature')
    await again.stop()
  })

  it('is accepted as lost by each gate, also by one whose turn comes when the record has grown beyond it', async () => {
    const one = await bench(2)
    const [a, b] = one.gates as [TestGate, TestGate]
    await save(one)
    for (let n = 0; n < 5; n++) await a.act(one.key, UPDATE)
    await Promise.all([sign(a), sign(b)])
    await restore(one)
    await Promise.all([a.stop(), b.stop()])
    const accept = (gate: TestGate, reason: string) =>
      cli(gate.dataDir, one.databaseUrl, 'accept-loss', '--reason', reason)
    const at = (gate: TestGate) => ({
      databaseUrl: one.databaseUrl,
      dataDir: gate.dataDir,
      upstream,
    })
    expect((await accept(a, 'the disk of db-1 died')).status).to.equal(0)
    const alone = await TestGate.start(at(a))
    for (let n = 0; n < 15; n++) expect((await alone.act(one.key, UPDATE)).status).to.equal(200)
    await sign(alone)
    const closed = await TestGate.start(at(b))
    expect((await closed.act(one.key, UPDATE)).status).to.equal(503)
    await Promise.all([alone.stop(), closed.stop()])

    const second = await accept(b, 'so gate-1 says too')
    expect([second.status, second.stderr]).to.satisfy(
      ([status, text]: [number, string]) => status === 0 && text.includes('entries are gone'),
    )
    const gates = await Promise.all([TestGate.start(at(a)), TestGate.start(at(b))])
    for (const gate of gates) {
      expect((await gate.act(one.key, UPDATE)).status).to.equal(200)
      const { body } = await gate.call('GET', '/audit/verify')
      expect([body.integrity, body.completeness, body.findings]).to.deep.equal(['ok', 'ok', []])
      expect(body.losses.map(({ reason }: { reason: string }) => reason)).to.deep.equal([
        'the disk of db-1 died',
        'so gate-1 says too',
      ])
      expect(body.losses.filter(({ verified }: { verified: boolean }) => verified)).to.have.length(
        1,
      )
    }

    // With the keys and the checkpoints of both, everything holds; and what was signed since is still covered.
    const file = path.join(scratch('export'), 'audit.jsonl')
    fs.writeFileSync(file, (await gates[0].call('GET', '/audit/export')).text)
    await Promise.all(gates.map((gate) => gate.stop()))
    const given = gates.flatMap(({ dataDir }) => [
      ...['--public-key', path.join(dataDir, 'audit-public-key.pem')],
      ...['--checkpoints', path.join(dataDir, 'checkpoints.jsonl')],
    ])
    const verified = await cli(a.dataDir, one.databaseUrl, 'verify', file, ...given)
    expect(verified.status, verified.stdout).to.equal(0)
    const kept = fs
      .readFileSync(path.join(a.dataDir, 'checkpoints.jsonl'), 'utf8')
      .trim()
      .split('\n')
    const grown = JSON.parse(kept.at(-1) ?? '{}').size
    const lines = fs.readFileSync(file, 'utf8').split('\n')
    const cut = lines.filter((line) => !(JSON.parse(line || '{}').seq >= grown))
    fs.writeFileSync(file, cut.join('\n'))
    const shorter = await cli(a.dataDir, one.databaseUrl, 'verify', file, ...given, '--json')
    expect([shorter.status, JSON.parse(shorter.stdout).completeness]).to.deep.equal([5, 'broken'])
  })

  it('refuses to be written by a gate without its key, until somebody says on record why', async () => {
    const one = await bench(1)
    const [a] = one.gates as [TestGate]
    await a.act(one.key, UPDATE)
    await sign(a)
    await a.stop()
    fs.rmSync(path.join(a.dataDir, 'audit-signing-key.pem'))
    const options = { databaseUrl: one.databaseUrl, dataDir: a.dataDir, upstream }
    const refused = await TestGate.start(options).catch((error: { code?: string }) => error.code)
    expect(refused).to.equal('AUDIT_KEY_LOST')
    const started = await run(['start'], ROOT, {
      DATA_DIR: a.dataDir,
      DATABASE_URL: one.databaseUrl,
      DEMO: 'off',
      PORT: '0',
      API_TOKENS: `admin:t:${ADMIN}`,
    })
    expect(started.status).to.equal(1)
    expect(started.stderr).to.include('audit new-key --reason').and.not.include('checkpoints.ts')

    const made = await cli(
      a.dataDir,
      one.databaseUrl,
      'new-key',
      '--reason',
      'the disk of gate-1 died',
    )
    expect(made.status, made.stderr).to.equal(0)
    const again = await TestGate.start(options)
    expect((await again.act(one.key, UPDATE)).status).to.equal(200)
    const { body } = await again.call('GET', '/audit/timeline?kind=audit.key_replaced')
    expect(body.entries[0]).to.include({ reason: 'the disk of gate-1 died' })
    const verdict = (await again.call('GET', '/audit/verify')).body
    expect([verdict.integrity, verdict.completeness]).to.deep.equal(['ok', 'ok'])
    await again.stop()
  })

  it('is found rolled back by a checkpoint of the key before, too', async () => {
    const one = await bench(1)
    const [a] = one.gates as [TestGate]
    await save(one)
    for (let n = 0; n < 3; n++) await a.act(one.key, UPDATE)
    await sign(a)
    await a.stop()
    await restore(one)
    fs.rmSync(path.join(a.dataDir, 'audit-signing-key.pem'))
    expect((await cli(a.dataDir, one.databaseUrl, 'new-key', '--reason', 'lost')).status).to.equal(
      0,
    )
    const options = { databaseUrl: one.databaseUrl, dataDir: a.dataDir, upstream }
    const again = await TestGate.start(options)
    expect((await again.act(one.key, UPDATE)).status).to.equal(503)
    const verdict = (await again.call('GET', '/audit/verify')).body
    expect(verdict.completeness).to.equal('broken')
    await again.stop()
  })
})

describe('the append-only record', () => {
  it('refuses TRUNCATE, of the whole and of each week', async function () {
    this.timeout(600_000)
    const gate = await TestGate.start()
    const weeks = await gate.gate.operations.write((tx) =>
      tx.query<{ name: string }>(
        `select inhrelid::regclass::text as name from pg_inherits
         where inhparent = 'audit_entries'::regclass`,
      ),
    )
    const tables = ['audit_entries', ...weeks.map(({ name }) => name)]
    expect(tables.length).to.be.greaterThan(3)
    for (const table of tables) {
      const tried = gate.gate.operations.write((tx) => tx.query(`truncate ${table}`))
      expect(await tried.catch(() => 'refused'), table).to.equal('refused')
    }
    await gate.stop()
  })

  it('shows a cut tail however many other things are wrong', () => {
    const verifier = new AuditVerifier([], [])
    for (let n = 0; n < 150; n++) verifier.malformed(`line ${n}`, 'not JSON')
    const { findings } = verifier.finish()
    expect(findings).to.have.length(100)
    expect(findings.at(-1)?.code).to.equal('no_checkpoint')
  })
})
