import { newId } from '../lib/ids.ts'
import type { Change } from '../model/canary.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'

// Policies on trial. A row is written in the ledger batch that says so on record; what is counted of one is not worth a
// batch: each replica adds what it has counted now and then, in slots of time by the clock of the database, which all of
// them share.

export const CANARY_STATUSES = ['running', 'promoted', 'aborted', 'expired'] as const
export type CanaryStatus = (typeof CANARY_STATUSES)[number]

/** Why one ended, beside the words of whoever ended it. */
export const CANARY_ENDS = [
  ...(['promoted', 'person', 'superseded', 'until', 'unloadable'] as const),
  ...(['errors', 'deny_rate_x', 'new_denials', 'unplayable', 'late'] as const),
] as const
export type CanaryEnd = (typeof CANARY_ENDS)[number]

/** When one ends by itself, by what the last five minutes had; null: not for this. */
export interface AbortWhen {
  readonly errors: number | null
  /** As many times as many denials as the live policy has of the same decisions. */
  readonly denyRateX: number | null
  readonly newDenials: number | null
  /** Decisions about which one of the two could not be asked. */
  readonly unplayable: number | null
  /** Decisions in which the one that does not decide did not get its turn in time: each waited for it. */
  readonly late: number | null
}

export interface PolicyCanary {
  readonly id: string
  readonly revision: string
  readonly base: string
  readonly mode: 'compare' | 'enforce'
  readonly percent: number
  /** Ids; null: any. */
  readonly agents: readonly string[] | null
  readonly roles: readonly string[] | null
  readonly abortWhen: AbortWhen
  readonly author: string
  readonly note: string
  readonly status: CanaryStatus
  readonly startedAt: Date
  readonly untilAt: Date
  readonly endedAt: Date | null
  readonly endedBy: string
  readonly endCode: CanaryEnd | ''
  readonly endReason: string
}

type Terms = Pick<PolicyCanary, 'agents' | 'roles' | 'abortWhen'>
type CanaryRow = Omit<PolicyCanary, keyof Terms> & { readonly terms: string }

const COLUMNS = columns(
  'id, revision, base, mode, percent, terms, author, note, status, started_at, until_at, ended_at, ended_by, end_code, end_reason',
)

const NOT_GIVEN = { unplayable: null, late: null }

function canary({ terms, ...row }: CanaryRow): PolicyCanary {
  const said = JSON.parse(terms) as Terms
  // Rows of before they could be given have none of these.
  return {
    ...row,
    ...said,
    abortWhen: { ...NOT_GIVEN, ...said.abortWhen },
  }
}

export type NewCanary = Terms &
  Pick<PolicyCanary, 'revision' | 'base' | 'mode' | 'percent' | 'author' | 'note' | 'untilAt'>

/** Begins one; the caller knows that none runs. */
export async function insertCanary(tx: Tx, made: NewCanary): Promise<PolicyCanary> {
  const { revision, base, mode, percent, author, note, untilAt, ...terms } = made
  const rows = await tx.query<CanaryRow>(
    `insert into policy_canaries
       (id, revision, base, mode, percent, terms, author, note, status, started_at, until_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9, $10) returning ${COLUMNS}`,
    [
      ...[newId('cnr', tx.nowMs), revision, base, mode, percent, JSON.stringify(terms)],
      ...[author, note, new Date(tx.nowMs), untilAt],
    ],
  )
  const [row] = rows.map(canary)
  if (!row) throw new Error('a canary was not inserted')
  return row
}

/** The one that began last, which is the only one that may run; undefined before the first. */
export async function lastCanary(db: Db): Promise<PolicyCanary | undefined> {
  const rows = await db.query<CanaryRow>(
    `select ${COLUMNS} from policy_canaries order by (status = 'running') desc, started_at desc, id desc limit 1`,
  )
  return rows.map(canary)[0]
}

/** The one that runs. */
export async function runningCanary(db: Db): Promise<PolicyCanary | undefined> {
  const last = await lastCanary(db)
  return last?.status === 'running' ? last : undefined
}

/** How one ended. */
export interface CanaryEnding {
  readonly status: Exclude<CanaryStatus, 'running'>
  readonly code: CanaryEnd
  readonly by: string
  readonly reason: string
}

/** Ends one that runs; undefined where it does not. */
export async function endCanary(
  tx: Tx,
  id: string,
  { status, code, by, reason }: CanaryEnding,
): Promise<PolicyCanary | undefined> {
  const rows = await tx.query<CanaryRow>(
    `update policy_canaries set status = $2, ended_at = $3, ended_by = $4, end_code = $5, end_reason = $6
     where id = $1 and status = 'running' returning ${COLUMNS}`,
    [id, status, new Date(tx.nowMs), by, code, reason],
  )
  return rows.map(canary)[0]
}

/** What was counted of one change. */
export interface CanaryCount {
  readonly change: Change
  readonly n: number
  readonly deniedLive: number
  readonly deniedByCandidate: number
  readonly newlyDenied: number
}

const SLOT_S = 10
const WINDOW_S = 300
const SLOT = `(extract(epoch from clock_timestamp()) / ${SLOT_S})::bigint`

/** Adds what was counted since the last time, to the slot of now and to the whole. */
export async function addCanaryCounts(
  db: Db,
  id: string,
  counts: readonly CanaryCount[],
): Promise<void> {
  // In one order, so that two replicas do not wait for each other.
  const sorted = counts.toSorted((a, b) => (a.change < b.change ? -1 : 1))
  await db.query(
    `insert into policy_canary_counts as c
       (canary_id, slot, change, n, denied_live, denied_by_candidate, newly_denied)
     select $1, slot, change, n, live, candidate, newly
     from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
       as given (change, n, live, candidate, newly), unnest(array[0, ${SLOT}]) as slots (slot)
     order by slot, change
     on conflict (canary_id, slot, change) do update set n = c.n + excluded.n,
       denied_live = c.denied_live + excluded.denied_live,
       denied_by_candidate = c.denied_by_candidate + excluded.denied_by_candidate,
       newly_denied = c.newly_denied + excluded.newly_denied`,
    [
      id,
      sorted.map(({ change }) => change),
      sorted.map(({ n }) => n),
      sorted.map(({ deniedLive }) => deniedLive),
      sorted.map(({ deniedByCandidate }) => deniedByCandidate),
      sorted.map(({ newlyDenied }) => newlyDenied),
    ],
  )
}

/** What was counted of a canary by all replicas: in all, and in the last five minutes. */
export interface CanaryStanding {
  readonly total: readonly CanaryCount[]
  readonly recent: readonly CanaryCount[]
}

/** Whether the time of one is over, by the clock of the database. */
export async function isCanaryOver(db: Db, id: string): Promise<boolean> {
  const rows = await db.query<{ readonly over: boolean }>(
    'select until_at <= clock_timestamp() as over from policy_canaries where id = $1',
    [id],
  )
  return rows.some(({ over }) => over)
}

export async function canaryStanding(db: Db, id: string): Promise<CanaryStanding> {
  const counted = await db.query<CanaryCount & { readonly isTotal: boolean }>(
    `select change, slot = 0 as "isTotal", sum(n)::float8 as n,
       sum(denied_live)::float8 as "deniedLive",
       sum(denied_by_candidate)::float8 as "deniedByCandidate",
       sum(newly_denied)::float8 as "newlyDenied"
     from policy_canary_counts
     where canary_id = $1 and (slot = 0 or slot > ${SLOT} - ${WINDOW_S / SLOT_S})
     group by change, slot = 0`,
    [id],
  )
  return {
    total: counted.filter(({ isTotal }) => isTotal),
    recent: counted.filter(({ isTotal }) => !isTotal),
  }
}

/** Forgets slots that no window reaches any more. */
export async function sweepCanaryCounts(db: Db): Promise<void> {
  await db.query(
    `delete from policy_canary_counts where slot > 0 and slot < ${SLOT} - ${(2 * WINDOW_S) / SLOT_S}`,
  )
}
