import type { Response } from 'express'
import { csvLine } from '../../lib/csv-writer.ts'
import type { AuditEntry } from '../../model/audit.ts'
import type { JsonObject } from '../../model/json.ts'
import { readTimeline } from '../../record/audit.ts'
import type { Db } from '../../store/tx.ts'
import { drained } from '../edge/drained.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { params } from '../edge/validate.ts'
import { AUDIT_QUERY, auditFilter, type AuditQuery } from './audit-filter.ts'

const CHUNK = 1_000
const QUERY = params<AuditQuery>(AUDIT_QUERY)

/** Members of the hashed body, each a column; what else is in it is in the last one. */
const COLUMNS = [
  ...['seq', 'at', 'kind', 'agent_id', 'agent_name', 'tool', 'effect', 'action_id', 'state'],
  ...['actor', 'reason', 'error', 'message'],
]

/** `GET /audit/timeline.csv`: the part of the record that the filters name, for a spreadsheet. */
export function auditCsvEndpoints(parts: PartsOf<'db'>): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('audit', parts)
  endpoints.stream(
    'get',
    '/audit/timeline.csv',
    {
      summary: 'The entries of `/audit/timeline` as CSV, all of them, newest first',
      description:
        "Nothing can be verified by it: `/audit/export` is for that. A cell that a spreadsheet would take for a formula begins with `'`.",
      roles: READERS,
      query: QUERY,
      media: 'text/csv',
      answer: { type: 'string' },
      errors: ['not_found'],
    },
    async ({ res, query }) => {
      const filter = await auditFilter(db, query)
      res.setHeader('Content-Type', 'text/csv; charset=utf-8; header=present')
      res.setHeader('Content-Disposition', 'attachment; filename="audit.csv"')
      await written(res, csvLine([...COLUMNS, 'hash', 'body']))
      await rows(db, filter, res)
      res.end()
    },
  )
  return endpoints
}

async function rows(
  db: Db,
  filter: Awaited<ReturnType<typeof auditFilter>>,
  res: Response,
): Promise<void> {
  for (let before: bigint | null = null; !res.destroyed; ) {
    const entries: AuditEntry[] = await readTimeline(db, { ...filter, before, limit: CHUNK })
    const last = entries.at(-1)
    if (!last) return
    await written(res, entries.map(rowOf).join(''))
    before = last.seq
  }
}

function rowOf({ body, hash }: AuditEntry): string {
  const members = JSON.parse(body) as JsonObject
  return csvLine([...COLUMNS.map((name) => textOf(members[name])), hash, body])
}

function textOf(value: JsonObject[string] | undefined): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

async function written(res: Response, text: string): Promise<void> {
  if (!res.write(text) && !res.destroyed) await drained(res)
}
