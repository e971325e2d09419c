import { timeOf } from '../lib/ids.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Db } from '../store/tx.ts'

// What a question was answered with, found in the record by the decision's id. The id says when it was made, so that the time
// around it is looked through, and not the record: first what is nearly always enough, since a busy gate decides tens of
// thousands of times a minute.

/** Clocks of replicas differ, and an entry may wait for its batch. */
const AROUND_MS = [1_000, 60_000] as const
const AROUND_MS_MAX = AROUND_MS[1]

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
  if (
    madeAt === undefined ||
    !Number.isSafeInteger(madeAt) ||
    madeAt > Date.now() + AROUND_MS_MAX
  ) {
    return undefined
  }
  for (const aroundMs of AROUND_MS) {
    const detail = await decisionAround(db, decisionId, madeAt, aroundMs)
    if (detail) return recordedDenial(detail)
  }
  return undefined
}

async function decisionAround(
  db: Db,
  decisionId: string,
  madeAt: number,
  aroundMs: number,
): Promise<JsonObject | undefined> {
  const rows = await db.query<{ body: string }>(
    `select body from audit_entries
     where at between $1 and $2 and kind = 'decision' and position($3 in body) > 0`,
    [new Date(madeAt - aroundMs), new Date(madeAt + aroundMs), decisionId],
  )
  const details = rows.map(({ body }) => JSON.parse(body) as JsonObject)
  return details.find((one) => one['decision_id'] === decisionId)
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
