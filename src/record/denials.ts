import { timeOf } from '../lib/ids.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Db } from '../store/tx.ts'

// What a question was answered with, found in the record by the decision's id. The id says when it was made, so that a minute
// around it is looked through, by time, and not the record.

/** Clocks of replicas differ, and an entry may wait for its batch. */
const AROUND_MS = 60_000

/** What a decision said, as far as it can be asked for. */
export interface RecordedDenial {
  /** '' where it cannot be asked for. */
  readonly boundHash: string
  readonly boundContext: readonly string[]
  readonly requestableUntil: string
  readonly targetHash: string
  readonly reasons: readonly Json[]
}

/** A decision on a question; undefined where there is none of this id. */
export async function decisionOnRecord(
  db: Db,
  decisionId: string,
): Promise<RecordedDenial | undefined> {
  const madeAt = timeOf('dec', decisionId)
  if (madeAt === undefined || !Number.isSafeInteger(madeAt) || madeAt > Date.now() + AROUND_MS) {
    return undefined
  }
  const rows = await db.query<{ body: string }>(
    `select body from audit_entries
     where at between $1 and $2 and kind = 'decision' and position($3 in body) > 0`,
    [new Date(madeAt - AROUND_MS), new Date(madeAt + AROUND_MS), decisionId],
  )
  const details = rows.map(({ body }) => JSON.parse(body) as JsonObject)
  const detail = details.find((one) => one['decision_id'] === decisionId)
  return detail && recordedDenial(detail)
}

function recordedDenial(detail: JsonObject): RecordedDenial {
  const text = (name: string) => (typeof detail[name] === 'string' ? detail[name] : '')
  return {
    boundHash: text('bound_hash'),
    boundContext: (detail['bound_context'] ?? []) as string[],
    requestableUntil: text('requestable_until'),
    targetHash: text('target_hash'),
    reasons: (detail['reasons'] ?? []) as Json[],
  }
}
