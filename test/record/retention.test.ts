import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { canonicalJson } from '../../src/lib/canonical.ts'
import { entryHash, GENESIS_HASH } from '../../src/lib/chain.ts'
import { createLogger } from '../../src/lib/log.ts'
import { createPartition, partitions, weekOf } from '../../src/record/retention.ts'
import { Store } from '../../src/store/store.ts'
import type { Db } from '../../src/store/tx.ts'
import { entriesIn } from '../support/audit-export.ts'
import { postgresBin, PostgresServer, prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { TestGate } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const DAY_MS = 86_400_000
const UPDATE = { tool: 'items.update', args: { id: 'i-1', note: 'n' } }

describe('retention of the audit record', () => {
  let gate: TestGate
  const now = Date.now()
  // Three weeks beyond 90 days, then one that is not: five entries each.
  const weeks = [140, 133, 126, 60].map((days) => weekOf(now - days * DAY_MS))
  before(async () => {
    const dataDir = scratch('retention')
    await prepareEmbedded(dataDir)
    await fill({ dataDir }, weeks)
    gate = await TestGate.start({ dataDir })
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
  })
  after(() => gate.stop())

  const seqs = async (): Promise<number[]> => {
    const { text } = await gate.call('GET', '/audit/export')
    return entriesIn(text).map(({ seq }) => Number(seq))
  }
  const verify = async (change: (lines: string[]) => string[] = (lines) => lines) => {
    const { text } = await gate.call('GET', '/audit/export')
    const file = path.join(gate.dataDir, 'export.jsonl')
    fs.writeFileSync(file, `${change(text.trim().split('\n')).join('\n')}\n`)
    const key = path.join(gate.dataDir, 'audit-public-key.pem')
    const { status, stdout } = spawnSync(
      process.execPath,
      ['bin/portcullis.js', 'audit', 'verify', file, '--public-key', key, '--json'],
      { cwd: ROOT, encoding: 'utf8' },
    )
    return { status, verdict: JSON.parse(stdout) }
  }

  it('drops the weeks that are old enough at the start, and says so on the record', async () => {
    const kept = await seqs()
    expect(kept[0]).to.equal(16)
    const { body } = await gate.call('GET', '/audit/timeline?kind=audit.archived')
    expect(body.entries.map(({ up_to: upTo }: { up_to: number }) => upTo)).to.deep.equal([
      15, 10, 5,
    ])
    expect(body.entries[0].kept_days).to.equal(90)
  })

  it('leaves a chain that verifies from where it begins, here and far from the gate', async () => {
    const agent = await gate.agent('later')
    await gate.act(agent, UPDATE)
    const { body } = await gate.call('GET', '/audit/verify')
    expect(body).to.include({ integrity: 'ok', completeness: 'ok', archived_size: '15' })
    const { status, verdict } = await verify()
    expect([status, verdict.integrity, verdict.completeness]).to.deep.equal([0, 'ok', 'ok'])
    expect(verdict.archivedSize).to.equal('15')
  })

  it('shows a beginning that somebody else removed, or a statement that was forged', async () => {
    const isEntry = (line: string, seq: number) => line.includes(`"type":"entry","seq":${seq},`)
    const cut = await verify((lines) => lines.filter((line) => !isEntry(line, 16)))
    expect([cut.status, cut.verdict.completeness]).to.deep.equal([5, 'broken'])
    const unsigned = await verify((lines) => lines.filter((line) => !line.includes('"archive"')))
    expect([unsigned.status, unsigned.verdict.completeness]).to.deep.equal([5, 'broken'])
    // A checkpoint signs the same members under another name, and must not pass for an archive.
    const borrowed = await verify((lines) => {
      const checkpoint = lines.findLast((line) => line.includes('"checkpoint"')) ?? ''
      const { size } = JSON.parse(checkpoint)
      const forged = checkpoint.replace('"checkpoint"', '"archive"')
      return lines
        .filter((line) => !line.includes('"entry"') || JSON.parse(line).seq > size)
        .concat(forged)
    })
    expect(borrowed.verdict.archivedSize).to.equal('0')
  })

  it('keeps the statements outside the database as well', () => {
    const text = fs.readFileSync(path.join(gate.dataDir, 'archives.jsonl'), 'utf8')
    const sizes = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).size)
    expect(sizes).to.deep.equal([5, 10, 15])
  })

  it('has tables for this week and the next ones', async () => {
    const tables = await gate.gate.operations.write((tx) => partitions(tx))
    const covered = (ms: number) => tables.some(({ fromMs, toMs }) => fromMs <= ms && ms < toMs)
    for (const days of [0, 7, 14, 21]) expect(covered(Date.now() + days * DAY_MS)).to.equal(true)
  })

  it('starts again on what is left', async () => {
    const { dataDir, policyDir, upstream } = gate
    await gate.gate.stop()
    gate = await TestGate.start({ dataDir, policyDir, upstream })
    const { body } = await gate.call('GET', '/readyz')
    expect(body.ready).to.equal(true)
    expect((await gate.call('GET', '/audit/verify')).body.integrity).to.equal('ok')
  })

  it('is done once by replicas that start together', async function () {
    this.timeout(600_000)
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    const server = await PostgresServer.start()
    const databaseUrl = await server.createDatabase()
    await fill({ dataDir: scratch('retention'), databaseUrl }, weeks)
    const options = { databaseUrl, upstream: gate.upstream }
    const both = await Promise.all([TestGate.start(options), TestGate.start(options)])
    try {
      const { body } = await both[0].call('GET', '/audit/timeline?kind=audit.archived')
      const dropped = body.entries.map(({ up_to: upTo }: { up_to: number }) => upTo)
      expect(dropped).to.deep.equal([15, 10, 5])
    } finally {
      for (const one of both) await one.stop()
      server.stop()
    }
  })

  it('takes over what was recorded while no week was made for it', async () => {
    const dataDir = scratch('rest')
    await prepareEmbedded(dataDir)
    const store = new Store({ databaseUrl: null, dataDir, log: createLogger('silent', null) })
    await store.start()
    await insert(dbOf(store), chain([now - 15 * DAY_MS, now - 1_000]))
    await store.stop()
    const options = { dataDir, upstream: gate.upstream }
    for (let starts = 0; starts < 2; starts++) {
      const late = await TestGate.start(options)
      const { body } = await late.call('GET', '/audit/verify')
      expect(body).to.include({ integrity: 'ok' })
      const [weeks, rest] = await late.gate.operations.write(async (tx) => [
        await partitions(tx),
        await tx.query('select 1 from audit_entries_rest limit 1'),
      ])
      expect(weeks[0]?.fromMs).to.equal(weekOf(now - 15 * DAY_MS).fromMs)
      expect(rest).to.deep.equal([])
      const tried = late.gate.operations.write((tx) => tx.query('truncate audit_entries_rest'))
      expect(await tried.catch(() => 'refused')).to.equal('refused')
      await late.gate.stop()
    }
  })

  it('cuts an existing record into weeks without losing a row', async () => {
    // What migration 6 finds on a gate that ran before it: one plain table with entries.
    const dataDir = scratch('upgrade')
    await prepareEmbedded(dataDir)
    const store = new Store({ databaseUrl: null, dataDir, log: createLogger('silent', null) })
    await store.start()
    const db = dbOf(store)
    await db.query('drop table audit_entries')
    const migrations = path.join(ROOT, 'src', 'store', 'migrations')
    const first = fs.readFileSync(path.join(migrations, '001_gate.sql'), 'utf8')
    const table = /create table audit_entries [\s\S]+?(?=create function)/.exec(first)?.[0] ?? ''
    await store.pool.query(table)
    await store.pool.query(
      `create trigger audit_entries_append_only before update or delete on audit_entries
       for each row execute function audit_entries_append_only()`,
    )
    await insert(db, chain([now - 3 * DAY_MS, now - DAY_MS]))
    await store.pool.query('drop table audit_archives')
    await store.pool.query(
      fs.readFileSync(path.join(migrations, '006_audit_partitions.sql'), 'utf8'),
    )
    await store.stop()
    const upgraded = await TestGate.start({ dataDir })
    try {
      const { body } = await upgraded.call('GET', '/audit/verify')
      expect(body).to.include({ integrity: 'ok' })
      expect(body.entries).to.be.greaterThan(2)
    } finally {
      await upgraded.stop()
    }
  })
})

interface Row {
  readonly seq: number
  readonly at: string
  readonly body: string
  readonly prevHash: string
  readonly hash: string
}

/** Entries as the ledger would have chained them at these times. */
function chain(times: readonly number[]): Row[] {
  const rows: Row[] = []
  for (const [index, ms] of times.entries()) {
    const [seq, at] = [index + 1, new Date(ms).toISOString()]
    const prevHash = rows.at(-1)?.hash ?? GENESIS_HASH
    const columns = { kind: 'test', agent_id: '', tool: '', effect: '', action_id: '' }
    const body = canonicalJson({ seq, at, ...columns })
    rows.push({ seq, at, body, prevHash, hash: entryHash(prevHash, body) })
  }
  return rows
}

async function insert(db: Db, rows: readonly Row[]): Promise<void> {
  for (const { seq, at, body, prevHash, hash } of rows) {
    await db.query(
      `insert into audit_entries (seq, at, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
       values ($1, $2, 'test', '', '', '', '', $3, $4, $5)`,
      [seq, at, body, prevHash, hash],
    )
  }
  const last = rows.at(-1)
  await db.query('update ledger_head set audit_seq = $1, audit_hash = $2', [last?.seq, last?.hash])
}

function dbOf(store: Store): Db {
  return {
    query: async <T>(text: string, values: readonly unknown[] = []) =>
      (await store.pool.query(text, values as unknown[])).rows as T[],
  }
}

async function fill(
  where: { readonly dataDir: string; readonly databaseUrl?: string },
  weeks: readonly { table: string; fromMs: number; toMs: number }[],
): Promise<void> {
  const { dataDir, databaseUrl = null } = where
  const store = new Store({ databaseUrl, dataDir, log: createLogger('silent', null) })
  await store.start()
  const db = dbOf(store)
  for (const week of weeks) await createPartition(db, week)
  const hours = [1, 2, 3, 4, 5]
  await insert(db, chain(weeks.flatMap(({ fromMs }) => hours.map((h) => fromMs + h * 3_600_000))))
  await store.stop()
}
