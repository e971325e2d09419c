import type { Response } from 'express'
import {
  checkpointJson,
  endLine,
  entryLine,
  headLine,
  statementLine,
} from '../../lib/audit-export.ts'
import { AuditVerifier, type AuditFinding } from '../../lib/audit-verify.ts'
import { lossDetail } from '../../lib/loss.ts'
import { GatewayError } from '../../errors.ts'
import type { AuditEntry, Checkpoint } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { listAlerts, raiseAlert } from '../../record/alerts.ts'
import {
  latestCheckpoint,
  listCheckpoints,
  type AuditKey,
  readAuditKeys,
  readCheckpoints,
  readEntriesAfter,
  readEntry,
  readHead,
  readTimeline,
} from '../../record/audit.ts'
import { readArchives } from '../../record/retention.ts'
import { Endpoints } from '../edge/endpoints.ts'
import { drained } from '../edge/drained.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  BOOLEAN,
  CHECKPOINT_ANSWER,
  ENTRY_ANSWER,
  INTEGER,
  list,
  page,
  STRING,
} from '../edge/schemas.ts'
import { PAGE, PAGE_DEFAULT, params } from '../edge/validate.ts'
import { AUDIT_QUERY, auditFilter, type AuditQuery } from './audit-filter.ts'

const CHUNK = 1_000
const TIMELINE = params<AuditQuery & { limit?: number; cursor?: number }>({
  ...AUDIT_QUERY,
  limit: PAGE.limit,
  cursor: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
})

const CHECKPOINTS = params<{ limit?: number; cursor?: number }>({
  limit: PAGE.limit,
  cursor: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
})

/** `GET /audit/timeline`, `/entries/{seq}`, `/checkpoints`, `/verify`, `/checkpoint`, `/export`. */
export function auditEndpoints(parts: PartsOf<'db' | 'checkpoints' | 'floor'>): Endpoints {
  const { db, checkpoints } = parts
  const endpoints = new Endpoints('audit', parts)

  endpoints.on(
    'get',
    '/audit/timeline',
    {
      answer: page('entries', ENTRY_ANSWER),
      summary: 'Who did what, why, when, and who approved; newest first',
      roles: READERS,
      query: TIMELINE,
      errors: ['not_found'],
    },
    async ({ query }) => {
      const { limit = PAGE_DEFAULT, cursor } = query
      const before = cursor === undefined ? null : BigInt(cursor)
      const entries = await readTimeline(db, { ...(await auditFilter(db, query)), before, limit })
      const last = entries.at(-1)
      return {
        entries: entries.map(entryJson),
        next_cursor: entries.length === limit && last ? String(last.seq) : null,
      }
    },
  )

  endpoints.on(
    'get',
    '/audit/entries/:seq',
    {
      answer: ENTRY_ANSWER,
      summary: 'One entry of the record, by its number',
      roles: READERS,
      errors: ['not_found'],
    },
    async (asked) => {
      const seq = asked.param('seq')
      const entry = /^[1-9]\d{0,17}$/.test(seq) ? await readEntry(db, BigInt(seq)) : undefined
      if (entry) return entryJson(entry)
      throw new GatewayError('not_found', 'the record has no such entry, or not any more')
    },
  )

  endpoints.on(
    'get',
    '/audit/checkpoints',
    {
      answer: page('checkpoints', CHECKPOINT_ANSWER),
      summary: 'Signed heads of the record, newest first',
      roles: READERS,
      query: CHECKPOINTS,
    },
    async ({ query: { limit = PAGE_DEFAULT, cursor } }) => {
      const before = cursor === undefined ? null : BigInt(cursor)
      const rows = await listCheckpoints(db, before, limit)
      const last = rows.at(-1)
      return {
        checkpoints: rows.map(checkpointJson),
        next_cursor: rows.length === limit && last ? String(last.size) : null,
      }
    },
  )

  endpoints.on(
    'get',
    '/audit/verify',
    {
      answer: always({
        integrity: { enum: ['ok', 'broken'] },
        completeness: { enum: ['ok', 'broken', 'unknown'] },
        entries: INTEGER,
        head: STRING,
        checkpoints: INTEGER,
        signed_size: STRING,
        archived_size: STRING,
        losses: list(
          always({
            lost_size: INTEGER,
            lost_head: STRING,
            size: INTEGER,
            head: STRING,
            accepted_at: AT,
            reason: STRING,
            key_id: STRING,
            signature: STRING,
            verified: BOOLEAN,
          }),
        ),
        findings: list(always({ code: STRING, seq: STRING, message: STRING })),
      }),
      summary: 'Whether the record is whole and complete: two verdicts',
      roles: READERS,
    },
    async () => {
      // What was written in the last second may not be signed yet; if signing fails, the verdict says so.
      await checkpoints.checkpoint().catch(() => {})
      const verdict = await verifyDatabase(db, checkpoints.publicKeyPem, checkpoints.keptOutside())
      const [first] = verdict.findings
      const isBroken = verdict.integrity === 'broken' || verdict.completeness === 'broken'
      if (isBroken && first) await alertBroken(parts, first)
      return verdict
    },
  )

  endpoints.on(
    'get',
    '/audit/checkpoint',
    {
      answer: always({
        checkpoint: { anyOf: [CHECKPOINT_ANSWER, { type: 'null' }] },
        public_key: STRING,
        keys: list(always({ key_id: STRING, public_key: STRING })),
      }),
      summary: 'The newest signed checkpoint, and the keys to check it by',
      roles: READERS,
    },
    async () => {
      await checkpoints.checkpoint()
      const checkpoint = await latestCheckpoint(db)
      return {
        checkpoint: checkpoint ? checkpointJson(checkpoint) : null,
        public_key: checkpoints.publicKeyPem,
        keys: (await readAuditKeys(db)).map(keyJson),
      }
    },
  )

  endpoints.stream(
    'get',
    '/audit/export',
    {
      summary: 'The whole record as newline-delimited JSON, for `portcullis audit verify`',
      roles: READERS,
      media: 'application/x-ndjson',
    },
    async ({ res }) => {
      await checkpoints.checkpoint()
      await exportRecord(db, res)
    },
  )

  return endpoints
}

type Db = HttpParts['db']

const ALERT_AGAIN_MS = 3_600_000

/** One alert an hour for each way the record can be broken, however often somebody looks. */
async function alertBroken(
  { operations, floor }: Pick<HttpParts, 'operations' | 'floor'>,
  finding: AuditFinding,
): Promise<void> {
  if (floor.broken) return // it takes no entry, and is among the open alerts as long as that lasts
  const { code, seq } = finding
  await operations.write(async (tx) => {
    const filter = { agent: null, type: 'audit_broken', before: null, limit: PAGE_DEFAULT }
    const known = await listAlerts(tx, filter)
    const isTold = known.some(
      ({ details, at }) =>
        (JSON.parse(details) as JsonObject)['code'] === code &&
        at.getTime() > tx.nowMs - ALERT_AGAIN_MS,
    )
    if (isTold) return
    const message = `the audit record is broken: entry ${seq} ${finding.message}`
    raiseAlert(tx, 'audit_broken', '', message, { code, seq })
  })
}

const keyJson = ({ keyId, publicKey }: AuditKey) => ({ key_id: keyId, public_key: publicKey })

async function verifyDatabase(db: Db, publicKey: string, outside: readonly Checkpoint[]) {
  const checkpoints = [...outside, ...(await readCheckpoints(db, 0n))]
  const verifier = new AuditVerifier([publicKey], checkpoints, await readArchives(db))
  let seq = 0n
  for (;;) {
    const entries = await readEntriesAfter(db, seq, CHUNK)
    if (entries.length === 0) break
    for (const entry of entries) verifier.entry(entry)
    seq = entries.at(-1)?.seq ?? seq
  }
  const { signedSize, archivedSize, losses, ...verdict } = verifier.finish()
  return {
    ...verdict,
    signed_size: signedSize,
    archived_size: archivedSize,
    losses: losses.map((one) => ({ ...lossDetail(one), verified: one.verified })),
  }
}

/** Newline-delimited JSON: a head line, every entry, every checkpoint, and an end line. */
async function exportRecord(db: Db, res: Response): Promise<void> {
  const { size, head } = await readHead(db)
  res.setHeader('Content-Type', 'application/x-ndjson')
  await writeLine(res, headLine(size, head, (await readAuditKeys(db)).map(keyJson)))
  let seq = 0n
  while (seq < size) {
    const entries = (await readEntriesAfter(db, seq, CHUNK)).filter((one) => one.seq <= size)
    if (entries.length === 0) break
    for (const entry of entries) await writeLine(res, entryLine(entry))
    seq = entries.at(-1)?.seq ?? seq
  }
  for (const checkpoint of await readCheckpoints(db, 0n)) {
    if (checkpoint.size <= size) {
      await writeLine(res, statementLine('checkpoint', checkpoint))
    }
  }
  for (const archive of await readArchives(db)) {
    await writeLine(res, statementLine('archive', archive))
  }
  res.end(`${JSON.stringify(endLine(size))}\n`)
}

async function writeLine(res: Response, line: JsonObject): Promise<void> {
  if (!res.write(`${JSON.stringify(line)}\n`) && !res.destroyed) await drained(res)
}

/** An entry for readers: the hashed body opened, with its place in the chain. */
export function entryJson(entry: AuditEntry): JsonObject {
  const body = JSON.parse(entry.body) as JsonObject
  return { ...body, hash: entry.hash, prev_hash: entry.prevHash }
}
