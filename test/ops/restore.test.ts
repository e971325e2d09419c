import { execFileSync, spawn } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { ADMIN, TestGate } from '../support/gate.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const BIN = path.resolve(import.meta.dirname, '..', '..', 'bin', 'portcullis.js')

/** A command that has not ended by then never will: the test fails by what it said. */
const HUNG_MS = 120_000

// The drill of docs/operations.md: what is restored elsewhere verifies and goes on, and is refused when a part is older.

interface Place {
  readonly dataDir: string
  readonly databaseUrl?: string
}

function cli(args: readonly string[], { dataDir, databaseUrl }: Place) {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: scratch('cwd'),
    env: {
      PATH: process.env['PATH'],
      DATA_DIR: dataDir,
      POLICY_DIR: path.resolve(BIN, '..', '..', 'policies'),
      DEMO: 'off',
      PORT: '0',
      LOG_FILE: '',
      LOG_LEVEL: 'silent',
      ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}),
    },
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const hung = setTimeout(() => child.kill('SIGKILL'), HUNG_MS)
  return new Promise<{ status: number | null; text: string }>((resolve) => {
    child.once('close', (status) => {
      clearTimeout(hung)
      resolve({ status, text })
    })
  })
}

describe('a backup', function () {
  this.timeout(600_000)
  let upstream: TestUpstream
  before(async () => {
    upstream = await TestUpstream.start()
  })
  after(() => upstream.stop())
  beforeEach(() => {
    upstream.effects.length = 0
    upstream.behave = (_, res) => reply(res, 200, { done: true })
  })

  const start = (place: Place) => TestGate.start({ ...place, upstream })
  const update = (note: string) => ({ tool: 'items.update', args: { id: '1', note } })
  const keyed = (note: string) => ({ 'idempotency-key': note.replaceAll(' ', '-') })
  /** Ids of actions, by their notes. */
  const ids = new Map<string, string>()

  async function acted(gate: TestGate, key: string, notes: readonly string[]): Promise<void> {
    for (const note of notes) {
      const { status, text, body } = await gate.act(key, update(note), keyed(note))
      expect(status, text).to.equal(200)
      ids.set(note, body.action_id)
    }
    await gate.call('GET', '/audit/checkpoint') // signed, as a second later it is anyway
  }

  /** Verifies here and offline, replays what was answered, carries out what is new. */
  async function goesOn(place: Place, key: string, done: string): Promise<void> {
    const gate = await start(place)
    const { body } = await gate.call('GET', '/audit/verify')
    expect([body.integrity, body.completeness, body.findings]).to.deep.equal(['ok', 'ok', []])
    const before = upstream.effects.length
    const again = await gate.act(key, update(done), keyed(done))
    expect([again.status, again.body.action_id]).to.deep.equal([200, ids.get(done)])
    expect(upstream.effects.length, 'nothing ran twice').to.equal(before)
    await acted(gate, key, [`${done} and on`])
    expect(upstream.effects.length).to.equal(before + 1)
    const file = path.join(scratch('export'), 'audit.jsonl')
    fs.writeFileSync(file, (await gate.call('GET', '/audit/export')).text)
    await gate.stop()
    const publicKey = path.join(place.dataDir, 'audit-public-key.pem')
    const outside = path.join(place.dataDir, 'checkpoints.jsonl')
    const args = ['audit', 'verify', file, '--public-key', publicKey, '--checkpoints', outside]
    const { status, text } = await cli(args, place)
    expect(status, text).to.equal(0)
  }

  /** Closed for effects, with a way out that is said; open again once somebody takes it. */
  async function refusesUntilAccepted(place: Place, key: string): Promise<void> {
    const refused = await start(place)
    const { status, body } = await refused.act(key, update('late'))
    expect([status, body.error.code]).to.deep.equal([503, 'audit_unavailable'])
    expect(body.error.message).to.include('accept-loss')
    expect((await refused.call('GET', '/readyz')).status).to.equal(503)
    const told = (await refused.call('GET', '/metrics')).text
    expect(told).to.match(/^portcullis_audit_broken 1$/m)
    const { alerts, open } = (await refused.call('GET', '/api/v1/alerts?type=audit_broken')).body
    expect(alerts.map(({ message }: { message: string }) => message)[0]).to.include('accept-loss')
    expect(open).to.be.at.least(1)
    const seen = await refused.call('POST', `/api/v1/alerts/${alerts[0].id}/acknowledge`)
    expect([seen.status, seen.body.error.code]).to.deep.equal([503, 'audit_unavailable'])
    const made = await refused.call('POST', '/api/v1/agents', { body: { name: 'late' } })
    expect([made.status, made.body.error.code]).to.deep.equal([503, 'audit_unavailable'])
    const stop = { engaged: true, scope: {}, reason: 'to be safe' }
    const killed = await refused.call('PUT', '/kill-switch', { body: stop })
    expect([killed.status, killed.body.recorded]).to.deep.equal([202, false])
    await refused.stop()
    const args = ['audit', 'accept-loss', '--reason', 'the disk died']
    const accepted = await cli(args, place)
    expect(accepted.status, accepted.text).to.equal(0)
    const gate = await start(place)
    await acted(gate, key, ['after the loss'])
    const verdict = (await gate.call('GET', '/audit/verify')).body
    const found = JSON.stringify(verdict.findings)
    expect([verdict.integrity, verdict.completeness], found).to.deep.equal(['ok', 'ok'])
    expect(verdict.losses.map(({ reason }: { reason: string }) => reason)).to.deep.equal([
      'the disk died',
    ])
    await gate.stop()
  }

  describe('of a gate with the embedded database', () => {
    let key: string
    let [early, late] = ['', '']
    before(async () => {
      const dataDir = scratch('data')
      const first = await start({ dataDir })
      key = await first.agent('worker')
      await acted(first, key, ['one', 'two'])
      await first.stop()
      early = copied(dataDir)
      const second = await start({ dataDir })
      await second.call('GET', '/audit/checkpoint') // signed before it did anything, as on a slow machine it is
      await acted(second, key, ['three'])
      await second.stop()
      late = copied(dataDir)
    })

    const copied = (from: string): string => {
      const to = scratch('elsewhere')
      fs.cpSync(from, to, { recursive: true })
      return to
    }

    it('restored elsewhere verifies, knows what was done, and goes on', async () => {
      await goesOn({ dataDir: copied(late) }, key, 'three')
    })

    it('whose checkpoints are older than its database is whole: the record descends from them', async () => {
      const dataDir = copied(late)
      fs.copyFileSync(
        path.join(early, 'checkpoints.jsonl'),
        path.join(dataDir, 'checkpoints.jsonl'),
      )
      await goesOn({ dataDir }, key, 'three')
    })

    it('whose database is older than its checkpoints is refused until somebody accepts the loss', async () => {
      const dataDir = copied(late)
      fs.rmSync(path.join(dataDir, 'db'), { recursive: true })
      fs.cpSync(path.join(early, 'db'), path.join(dataDir, 'db'), { recursive: true })
      await refusesUntilAccepted({ dataDir }, key)
    })

    it('without its signing key is refused, and says which file to restore', async () => {
      const dataDir = copied(late)
      fs.rmSync(path.join(dataDir, 'audit-signing-key.pem'))
      const error = await start({ dataDir }).then(
        () => undefined,
        (one: Error) => one,
      )
      expect(error?.message).to.include('restore audit-signing-key.pem')
    })
  })

  describe('of a gate on PostgreSQL', () => {
    let server: PostgresServer
    let bin: string
    before(async function () {
      const found = postgresBin()
      if (!found) {
        console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
        this.skip()
      }
      bin = found
      server = await PostgresServer.start()
    })
    after(() => server?.stop())

    const dump = (databaseUrl: string): string => {
      const file = path.join(scratch('dump'), 'gate.dump')
      execFileSync(path.join(bin, 'pg_dump'), ['-Fc', '-f', file, databaseUrl])
      return file
    }
    const restored = async (file: string): Promise<string> => {
      const databaseUrl = await server.createDatabase()
      execFileSync(path.join(bin, 'pg_restore'), ['--exit-on-error', '-d', databaseUrl, file])
      return databaseUrl
    }
    const copied = (from: string): string => {
      const to = scratch('elsewhere')
      fs.cpSync(from, to, { recursive: true })
      return to
    }

    it('taken while it runs, the data directory first, goes on elsewhere; an older dump beside newer checkpoints is refused', async () => {
      const here = { dataDir: scratch('data'), databaseUrl: await server.createDatabase() }
      const gate = await start(here)
      const key = await gate.agent('worker')
      await acted(gate, key, ['one'])
      const older = dump(here.databaseUrl)
      await acted(gate, key, ['two'])
      const dataDir = copied(here.dataDir)
      await acted(gate, key, ['three'])
      const newer = dump(here.databaseUrl)
      await goesOn({ dataDir: copied(dataDir), databaseUrl: await restored(newer) }, key, 'three')
      await refusesUntilAccepted({ dataDir, databaseUrl: await restored(older) }, key)
      expect((await gate.call('GET', '/readyz', { key: ADMIN })).status).to.equal(200)
      await gate.stop()
    })

    it('is the way back to an older gate, which refuses what a newer one has worked on', async () => {
      const here = { dataDir: scratch('data'), databaseUrl: await server.createDatabase() }
      await (await start(here)).stop()
      const before = dump(here.databaseUrl)
      const psql = (statement: string) =>
        execFileSync(path.join(bin, 'psql'), ['-qtA', '-d', here.databaseUrl, '-c', statement])
      psql(`insert into schema_migrations (name, hash) values ('999_later.sql', 'x')`)
      const refused = await cli(['start'], here)
      expect(refused.status).to.equal(1)
      expect(refused.text.trim().split('\n')).to.have.length(1)
      expect(refused.text).to.include('999_later.sql').and.include('restore the backup')
      // Nothing of it stays open: a refused process would not end before its connections do.
      const error = await start(here).then(
        () => undefined,
        (one: Error) => one,
      )
      expect(error?.message).to.include('999_later.sql')
      const open = `select count(*) from pg_stat_activity where application_name like 'portcullis%'`
      expect(psql(open).toString().trim()).to.equal('0')
      const back = await start({ ...here, databaseUrl: await restored(before) })
      expect((await back.call('GET', '/readyz')).status).to.equal(200)
      await back.stop()
    })
  })
})
