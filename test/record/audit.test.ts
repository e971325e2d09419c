import { execFileSync, spawnSync } from 'node:child_process'
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import type { Pool } from 'pg'
import { Store } from '../../src/store/store.ts'
import { createLogger } from '../../src/lib/log.ts'
import { scratch } from '../support/scratch.ts'
import { TestGate } from '../support/gate.ts'
import { reply } from '../support/upstream.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const CLI = path.join(ROOT, 'bin', 'portcullis.js')

/** Runs `audit verify` and answers its exit code and what it printed. */
function verify(file: string, dataDir: string, extra: string[] = []) {
  const key = path.join(dataDir, 'audit-public-key.pem')
  const args = [CLI, 'audit', 'verify', file, '--public-key', key, '--json', ...extra]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  return { status, verdict: JSON.parse(stdout) }
}

describe('the audit record', function () {
  this.timeout(600_000)
  let gate: TestGate
  let lines: string[]
  let dataDir: string
  before(async () => {
    gate = await TestGate.start()
    dataDir = gate.dataDir
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    const key = await gate.agent('worker-1')
    for (let n = 0; n < 8; n++) {
      await gate.act(key, {
        tool: 'items.update',
        args: { id: `i-${n}`, note: 'x' },
        reason: 'why not',
      })
    }
    await gate.act(key, { tool: 'items.nothing', args: {} })
    lines = (await gate.call('GET', '/audit/export')).text.trim().split('\n')
  })
  after(async () => {
    await gate.stop()
  })

  function tampered(change: (lines: string[]) => string[]): string {
    const file = path.join(scratch('export'), 'audit.jsonl')
    fs.writeFileSync(file, `${change([...lines]).join('\n')}\n`)
    return file
  }

  const entryAt = (seq: number): number =>
    lines.findIndex((line) => line.startsWith(`{"type":"entry","seq":${seq},`))

  it('exports who, what, why, when and the decision', () => {
    const entry = JSON.parse(JSON.parse(lines[entryAt(5)] ?? '').body)
    const decisions = lines
      .filter((line) => line.includes('"kind":"decision"'))
      .map((line) => JSON.parse(JSON.parse(line).body))
    expect(entry.seq).to.equal(5)
    expect(decisions[0]).to.include({ agent_name: 'worker-1', owner: 'tests', reason: 'why not' })
    expect(decisions[0]).to.include({ tool: 'items.update', effect: 'allow' })
    expect(decisions[0].args).to.deep.equal({ id: 'i-0', note: 'x' })
  })

  it('verifies as it is, with nothing but the public key: exit 0', () => {
    const { status, verdict } = verify(
      tampered((all) => all),
      dataDir,
    )
    expect(verdict.findings).to.deep.equal([])
    expect([status, verdict.integrity, verdict.completeness]).to.deep.equal([0, 'ok', 'ok'])
  })

  for (const column of [
    'at',
    'kind',
    'agent_id',
    'tool',
    'effect',
    'action_id',
    'body',
    'prev_hash',
    'hash',
  ]) {
    it(`names the entry when one byte of its ${column} is changed: exit 5`, () => {
      const at = lines.findIndex((line) => line.includes('"kind":"decision"'))
      const entry = JSON.parse(lines[at] ?? '')
      const text: string = entry[column]
      const last = text.at(-2) ?? ''
      entry[column] = `${text.slice(0, -2)}${last === '1' ? '2' : '1'}${text.slice(-1)}`
      const { status, verdict } = verify(
        tampered((all) => all.with(at, JSON.stringify(entry))),
        dataDir,
      )
      expect(status).to.equal(5)
      expect(verdict.findings.map(({ seq }: { seq: string }) => seq)).to.include(String(entry.seq))
      expect(verdict.integrity).to.equal('broken')
    })
  }

  it('names a deleted entry', () => {
    const { status, verdict } = verify(
      tampered((all) => all.toSpliced(entryAt(4), 1)),
      dataDir,
    )
    expect(status).to.equal(5)
    expect(verdict.findings[0]).to.include({ code: 'entry_missing', seq: '4' })
    expect(verdict.completeness).to.equal('broken')
  })

  it('names swapped entries', () => {
    const a = entryAt(4)
    const b = entryAt(5)
    const swap = (all: string[]) => all.with(a, lines[b] ?? '').with(b, lines[a] ?? '')
    const { status, verdict } = verify(tampered(swap), dataDir)
    expect(status).to.equal(5)
    expect(verdict.findings.map(({ seq }: { seq: string }) => seq)).to.include('4')
  })

  it('names a cut tail, because a checkpoint counts more', () => {
    const last = lines.findLastIndex((line) => line.startsWith('{"type":"entry"'))
    const { status, verdict } = verify(
      tampered((all) => all.toSpliced(last - 1, 2)),
      dataDir,
    )
    expect(status).to.equal(5)
    expect(verdict.findings.map(({ code }: { code: string }) => code)).to.include('tail_missing')
    expect(verdict.completeness).to.equal('broken')
  })

  it('names a cut tail with its checkpoints gone too, given the ones kept outside', () => {
    const cut = (all: string[]) => {
      const head = all.slice(0, entryAt(5))
      return [...head, JSON.stringify({ type: 'end', size: 4 })]
    }
    const file = tampered(cut)
    expect(verify(file, dataDir).verdict.completeness).to.equal('unknown')
    const outside = ['--checkpoints', path.join(dataDir, 'checkpoints.jsonl')]
    const { status, verdict } = verify(file, dataDir, outside)
    expect(status).to.equal(5)
    expect(verdict.findings.map(({ code }: { code: string }) => code)).to.include('tail_missing')
  })

  it('says that a file without its end was cut off', () => {
    const { status, verdict } = verify(
      tampered((all) => all.slice(0, -1)),
      dataDir,
    )
    expect(status).to.equal(5)
    expect(verdict.findings[0].code).to.equal('malformed')
  })

  it('does not believe checkpoints of another key', () => {
    const other = scratch('other')
    execFileSync('node', [
      '-e',
      `const c=require('crypto');require('fs').writeFileSync('${other}/audit-public-key.pem',
       c.generateKeyPairSync('ed25519').publicKey.export({type:'spki',format:'pem'}))`,
    ])
    const { status, verdict } = verify(
      tampered((all) => all),
      other,
    )
    expect([status, verdict.completeness]).to.deep.equal([5, 'unknown'])
  })

  it('finds a hash-consistent rewrite of everything, by the checkpoints outside', async () => {
    const rewritten = await rewriteHistory(lines)
    const outside = ['--checkpoints', path.join(dataDir, 'checkpoints.jsonl')]
    const { status, verdict } = verify(
      tampered(() => rewritten),
      dataDir,
      outside,
    )
    expect(status).to.equal(5)
    expect(verdict.findings.map(({ code }: { code: string }) => code)).to.include(
      'checkpoint_mismatch',
    )
  })

  it('refuses to change or delete rows in the database', async () => {
    const db = (sql: string) =>
      gate.gate.operations.note('test', {}, async (tx) => void (await tx.query(sql)))
    for (const sql of [
      "update audit_entries set tool = 'x' where seq = 1",
      'delete from audit_entries where seq = 1',
    ]) {
      let failed = false
      await db(sql).catch(() => {
        failed = true
      })
      expect(failed, sql).to.equal(true)
    }
    expect((await gate.call('GET', '/audit/verify')).body.integrity).to.equal('ok')
  })

  it('is verified by the gate too, and a database that was cut back is refused at the next start', async () => {
    const key = await gate.agent('worker-late')
    await gate.gate.stop()
    const log = createLogger('silent', null)
    const store = new Store({ databaseUrl: null, dataDir, log })
    await store.start()
    await cutTail(store.pool)
    await store.stop()
    const again = await TestGate.start({
      dataDir,
      policyDir: gate.policyDir,
      upstream: gate.upstream,
    })
    try {
      const refused = [
        await again.act(key, { tool: 'items.list', args: {} }),
        await again.call('POST', '/api/v1/agents', { body: { name: 'worker-later' } }),
      ]
      for (const { status, body } of refused) {
        expect([status, body.error.code]).to.deep.equal([503, 'audit_unavailable'])
      }
      expect((await again.call('GET', '/readyz', { key: null })).status).to.equal(503)
      const verdict = await again.call('GET', '/audit/verify')
      expect(
        verdict.body.integrity === 'broken' || verdict.body.completeness === 'broken',
      ).to.equal(true)
      await again.call('GET', '/audit/verify')
      const { body: alerts } = await again.call('GET', '/api/v1/alerts?type=audit_broken')
      // It takes no entry, so what tells is not stored: one alert, however often somebody looks.
      expect(alerts.alerts.map(({ id }: { id: string }) => id)).to.deep.equal(['alr_audit_broken'])
    } finally {
      await again.gate.stop()
    }
  })
})

async function cutTail(pool: Pool): Promise<void> {
  await pool.query('alter table audit_entries disable trigger audit_entries_append_only')
  await pool.query('delete from audit_entries where seq > (select max(seq) - 6 from audit_entries)')
  await pool.query(
    'delete from audit_checkpoints where size > (select max(seq) from audit_entries)',
  )
  await pool.query(
    `update ledger_head set audit_seq = e.seq, audit_hash = e.hash
     from (select seq, hash from audit_entries order by seq desc limit 1) e`,
  )
}

/** What a hostile owner of the database could do: other bodies, all hashes made anew. */
async function rewriteHistory(lines: readonly string[]): Promise<string[]> {
  const { entryHash, GENESIS_HASH } = await import('../../src/lib/chain.ts')
  let prevHash = GENESIS_HASH
  let head = ''
  return lines.flatMap((line) => {
    const one = JSON.parse(line)
    if (one.type === 'checkpoint') return []
    if (one.type !== 'entry') return [line]
    const body = one.body.replace('worker-1', 'worker-2')
    head = entryHash(prevHash, body)
    const entry = { ...one, body, prev_hash: prevHash, hash: head }
    prevHash = head
    return [JSON.stringify(entry)]
  })
}
