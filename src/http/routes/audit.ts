import { Router, type Response } from 'express'
import { AuditVerifier } from '../../lib/audit-verify.ts'
import type { AuditEntry, Checkpoint } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import {
  latestCheckpoint,
  readAuditKeys,
  readCheckpoints,
  readEntriesAfter,
  readHead,
  readTimeline,
} from '../../record/audit.ts'
import { allow } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { Query } from '../query.ts'
import { drained } from '../drained.ts'

const PAGE = 1_000

/** `GET /audit/timeline`, `/verify`, `/checkpoint`, `/export`. */
export function auditRoutes({ db, checkpoints }: HttpParts): Router {
  const router = Router({ caseSensitive: true })
  const readers = allow('observer', 'approver', 'operator', 'admin')

  router.get('/audit/timeline', readers, async (req, res) => {
    const query = new Query(req, [
      'agent',
      'tool',
      'decision',
      'kind',
      'action',
      'since',
      'until',
      'limit',
      'cursor',
    ])
    const limit = query.limit()
    const cursor = query.integer('cursor', 0, Number.MAX_SAFE_INTEGER)
    const entries = await readTimeline(db, {
      agentId: await agentId(db, query.text('agent')),
      tool: query.text('tool'),
      effect: query.oneOf('decision', ['allow', 'deny', 'require_approval']),
      kind: query.text('kind'),
      actionId: query.text('action'),
      since: query.date('since'),
      until: query.date('until'),
      before: cursor === null ? null : BigInt(cursor),
      limit,
    })
    const last = entries.at(-1)
    res.json({
      entries: entries.map(entryJson),
      next_cursor: entries.length === limit && last ? String(last.seq) : null,
    })
  })

  router.get('/audit/verify', readers, async (req, res) => {
    new Query(req, [])
    // What was written in the last second may not be signed yet; if signing fails, the verdict says so.
    await checkpoints.checkpoint().catch(() => {})
    res.json(await verifyDatabase(db, checkpoints.publicKeyPem, checkpoints.keptOutside()))
  })

  router.get('/audit/checkpoint', readers, async (req, res) => {
    new Query(req, [])
    await checkpoints.checkpoint()
    const checkpoint = await latestCheckpoint(db)
    res.json({
      checkpoint: checkpoint ? checkpointJson(checkpoint) : null,
      public_key: checkpoints.publicKeyPem,
      keys: await readAuditKeys(db),
    })
  })

  router.get('/audit/export', readers, async (req, res) => {
    new Query(req, [])
    await checkpoints.checkpoint()
    await exportRecord(db, res)
  })

  return router
}

type Db = HttpParts['db']

async function agentId(db: Db, idOrName: string | null): Promise<string | null> {
  if (idOrName === null) return null
  const [row] = await db.query<{ id: string }>('select id from agents where name = $1', [idOrName])
  return row?.id ?? idOrName
}

async function verifyDatabase(db: Db, publicKey: string, outside: readonly Checkpoint[]) {
  const verifier = new AuditVerifier([publicKey], [...outside, ...(await readCheckpoints(db, 0n))])
  let seq = 0n
  for (;;) {
    const entries = await readEntriesAfter(db, seq, PAGE)
    if (entries.length === 0) break
    for (const entry of entries) verifier.entry(entry)
    seq = entries.at(-1)?.seq ?? seq
  }
  const { signedSize, ...verdict } = verifier.finish()
  return { ...verdict, signed_size: signedSize }
}

/** Newline-delimited JSON: a head line, every entry, every checkpoint, and an end line. */
async function exportRecord(db: Db, res: Response): Promise<void> {
  const { size, head } = await readHead(db)
  res.setHeader('Content-Type', 'application/x-ndjson')
  const keys = await readAuditKeys(db)
  await writeLine(res, {
    type: 'head',
    format: 'portcullis-audit/v1',
    size: Number(size),
    head,
    keys,
  })
  let seq = 0n
  while (seq < size) {
    const entries = (await readEntriesAfter(db, seq, PAGE)).filter((one) => one.seq <= size)
    if (entries.length === 0) break
    for (const entry of entries) await writeLine(res, exportedEntry(entry))
    seq = entries.at(-1)?.seq ?? seq
  }
  for (const checkpoint of await readCheckpoints(db, 0n)) {
    if (checkpoint.size <= size) {
      await writeLine(res, { type: 'checkpoint', ...checkpointJson(checkpoint) })
    }
  }
  res.end(`${JSON.stringify({ type: 'end', size: Number(size) })}\n`)
}

async function writeLine(res: Response, line: JsonObject): Promise<void> {
  if (!res.write(`${JSON.stringify(line)}\n`) && !res.destroyed) await drained(res)
}

function exportedEntry(entry: AuditEntry): JsonObject {
  return {
    type: 'entry',
    seq: Number(entry.seq),
    at: entry.at,
    kind: entry.kind,
    agent_id: entry.agentId,
    tool: entry.tool,
    effect: entry.effect,
    action_id: entry.actionId,
    body: entry.body,
    prev_hash: entry.prevHash,
    hash: entry.hash,
  }
}

/** An entry for readers: the hashed body opened, with its place in the chain. */
export function entryJson(entry: AuditEntry): JsonObject {
  const body = JSON.parse(entry.body) as JsonObject
  return { ...body, hash: entry.hash, prev_hash: entry.prevHash }
}

function checkpointJson(checkpoint: Checkpoint): JsonObject {
  const { size, head, at, keyId, signature } = checkpoint
  return { size: Number(size), head, at, key_id: keyId, signature }
}
