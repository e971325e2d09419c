import type { Json, JsonObject } from '../model/json.ts'
import type { StoredResult } from '../model/result.ts'
import { firstId } from '../lib/ids.ts'
import { boolArray, intArray, textArray } from '../store/arrays.ts'
import { columns } from '../store/columns.ts'
import type { Db, Tx } from '../store/tx.ts'
import { wipeHeldFiles } from './held-files.ts'
import { wipeHeld } from './held-requests.ts'

// Actions as they are stored: one row each, from the claim to the outcome. A row moves only by compare-and-set on state and fence, so
// that of two who would end an action one finds that it has ended. Many are written or read with one statement, as arrays.

export type ActionState =
  | 'held'
  | 'executing'
  | 'succeeded'
  | 'failed'
  | 'indeterminate'
  | 'denied'
  | 'expired'
  | 'cancelled'

/** An action as stored; the columns of table `actions` that callers read. */
export interface Action {
  readonly id: string
  readonly decisionId: string
  readonly agentId: string
  readonly agentName: string
  readonly keyId: string
  readonly tool: string
  readonly upstream: string
  readonly request: string
  readonly requestHash: string
  readonly targetHash: string
  readonly effect: 'allow' | 'deny' | 'require_approval'
  readonly state: ActionState
  readonly fence: number
  readonly replicaId: string
  readonly revision: string
  readonly explain: string
  readonly errorCode: string
  readonly errorMessage: string
  readonly result: string
  readonly reserved: string
  readonly idempotencyKey: string | null
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  /** When the agent got the outcome of an action that was held. */
  readonly collectedAt: Date | null
}

/** What is read back of an action that ends: not what it asked, nor why it was let, nor what came of it. */
export type EndedAction = Omit<Action, 'request' | 'explain' | 'result'>

export type NewAction = Omit<
  Action,
  'createdAt' | 'startedAt' | 'finishedAt' | 'collectedAt' | 'result'
> & {
  /** What it was decided by; it stays as it is, whatever becomes of the action. */
  readonly facts: string
}

/** What became of an executing action. */
export interface ActionOutcome {
  readonly id: string
  readonly fence: number
  readonly state: 'succeeded' | 'failed' | 'indeterminate'
  readonly errorCode: string
  readonly errorMessage: string
  readonly result: string
  /** Gives the idempotency key back, so that the same request may be tried again. */
  readonly freesIdempotencyKey: boolean
}

/** What a call means for its action. */
export interface CallOutcome {
  readonly outcome: Omit<ActionOutcome, 'id' | 'fence'>
  /** The whole answer, for the caller that waits; null when there is none. */
  readonly result: StoredResult | null
  readonly upstreamStatus: number | null
  /** What it really cost, where that is known apart from its charge; the rest is given back. */
  readonly spentMicros?: bigint
  /** For the record, beside the outcome. */
  readonly detail?: JsonObject
}

export interface ActionFilter {
  readonly agentId?: string | undefined
  readonly tool?: string | undefined
  readonly state?: string | undefined
  readonly effect?: string | undefined
  readonly upstream?: string | undefined
  readonly errorCode?: string | undefined
  readonly since?: Date | undefined
  readonly until?: Date | undefined
  /** Only ids before this one; ids sort by age. */
  readonly before?: string | undefined
  readonly limit: number
}

const NAMES = `id, decision_id, agent_id, agent_name, key_id, tool, upstream, request, request_hash, target_hash,
  effect, state, fence, replica_id, revision, explain, error_code, error_message, result, reserved,
  idempotency_key, created_at, started_at, finished_at, collected_at`
const COLUMNS = columns(NAMES)

export function insertActions(tx: Tx, actions: readonly NewAction[]): void {
  if (actions.length === 0) return
  tx.send(INSERT_ACTIONS, [
    ...NEW_TEXTS.map((name) => textArray(actions.map((action) => action[name]))),
    intArray(actions.map(({ fence }) => fence)),
  ])
}

/** Actions already recorded under these agents' idempotency keys, by `agent key`. */
export async function priorActions(
  tx: Tx,
  keys: readonly { readonly agentId: string; readonly key: string }[],
): Promise<Map<string, Action>> {
  if (keys.length === 0) return new Map()
  const rows = await tx.query<Action>(
    `select ${COLUMNS} from actions where (agent_id, idempotency_key) in
       (select * from unnest($1::text[], $2::text[]))`,
    [textArray(keys.map(({ agentId }) => agentId)), textArray(keys.map(({ key }) => key))],
  )
  return new Map(rows.map((row) => [`${row.agentId} ${row.idempotencyKey}`, row]))
}

/**
 * Held actions of these requests whose outcome the agent has not got yet, by `agent hash`: those that wait
 * or run, and those that ended a little while ago.
 */
export async function joinableActions(
  tx: Tx,
  requests: readonly { readonly agentId: string; readonly hash: string; readonly ttlMs: number }[],
): Promise<Map<string, Action>> {
  if (requests.length === 0) return new Map()
  const rows = await tx.query<Action>(
    `select ${columns(NAMES, 'a')} from unnest($1::text[], $2::text[], $3::int[]) as q (agent_id, hash, ttl_ms)
     join actions a on a.agent_id = q.agent_id and a.request_hash = q.hash
     where a.effect = 'require_approval' and a.collected_at is null and a.idempotency_key is null
       and (a.finished_at is null or a.finished_at > ledger_now() - q.ttl_ms * interval '1 ms')
     order by a.id`,
    [
      textArray(requests.map(({ agentId }) => agentId)),
      textArray(requests.map(({ hash }) => hash)),
      intArray(requests.map(({ ttlMs }) => ttlMs)),
    ],
  )
  return new Map(rows.map((row) => [`${row.agentId} ${row.requestHash}`, row]))
}

/** Remembers that the agent got the outcome: the same request asks for a new action from now on. */
export function markCollected(tx: Tx, ids: readonly string[]): void {
  if (ids.length === 0) return
  tx.send('update actions set collected_at = $2 where id = any($1) and collected_at is null', [
    textArray(ids),
    new Date(tx.nowMs),
  ])
}

/** Whether the action has ended, one way or another. */
export const isFinal = ({ state }: { readonly state: ActionState }): boolean =>
  state !== 'held' && state !== 'executing' && state !== 'indeterminate'

/**
 * Ends executing actions by compare-and-set on state and fence; returns the rows that moved. An
 * owner that was presumed dead may still replace `indeterminate` by what it knows.
 */
export async function finishActions(
  tx: Tx,
  outcomes: readonly ActionOutcome[],
): Promise<Map<string, EndedAction>> {
  const rows = await tx.query<EndedAction>(FINISH_ACTIONS, [
    textArray(outcomes.map(({ id }) => id)),
    intArray(outcomes.map(({ fence }) => fence)),
    textArray(outcomes.map(({ state }) => state)),
    textArray(outcomes.map(({ errorCode }) => errorCode)),
    textArray(outcomes.map(({ errorMessage }) => errorMessage)),
    textArray(outcomes.map(({ result }) => result)),
    boolArray(outcomes.map(({ freesIdempotencyKey }) => freesIdempotencyKey)),
  ])
  wipeEnded(tx, rows)
  return new Map(rows.map((row) => [row.id, row]))
}

// What was kept in clear so that it can run is of no more use when it cannot run again.
function wipeEnded(tx: Tx, rows: readonly EndedAction[]): void {
  const ended = rows.filter(
    ({ effect, state }) =>
      effect === 'require_approval' && state !== 'held' && state !== 'executing',
  )
  const ids = ended.map(({ id }) => id)
  wipeHeld(tx, ids)
  wipeHeldFiles(tx, ids)
}

/** Moves one action if it is still as expected; undefined when somebody else moved it first. */
export async function moveAction(
  tx: Tx,
  id: string,
  from: ActionState,
  to: ActionState,
  change: ActionChange = {},
): Promise<Action | undefined> {
  const [row] = await moveActions(tx, [id], from, to, change)
  return row
}

/** What else changes when an action moves. */
export interface ActionChange {
  readonly replicaId?: string
  readonly explain?: string
  readonly reserved?: string
  readonly revision?: string
  readonly errorCode?: string
  readonly errorMessage?: string
}

/** Moves those of several actions that are still as expected; answers the rows that moved. */
export async function moveActions(
  tx: Tx,
  ids: readonly string[],
  from: ActionState,
  to: ActionState,
  change: ActionChange = {},
): Promise<Action[]> {
  const rows = await tx.query<Action>(MOVE_ACTIONS, [
    ids,
    from,
    to,
    new Date(tx.nowMs),
    change.replicaId ?? null,
    change.explain ?? null,
    change.reserved ?? null,
    change.revision ?? null,
    change.errorCode ?? null,
    change.errorMessage ?? null,
  ])
  wipeEnded(tx, rows)
  return rows
}

/** Those of some actions that this replica has executing. */
export async function executingOn(
  tx: Tx,
  replicaId: string,
  ids: readonly string[],
): Promise<Action[]> {
  return tx.query<Action>(
    `select ${COLUMNS} from actions
     where id = any($1) and state = 'executing' and replica_id = $2 order by id`,
    [ids, replicaId],
  )
}

/** The actions of these ids, in no particular order. */
export async function findActions(db: Db, ids: readonly string[]): Promise<Action[]> {
  return db.query<Action>(`select ${COLUMNS} from actions where id = any($1)`, [ids])
}

export async function findAction(db: Db, id: string): Promise<Action | undefined> {
  const [row] = await db.query<Action>(`select ${COLUMNS} from actions where id = $1`, [id])
  return row
}

export async function listActions(db: Db, filter: ActionFilter): Promise<Action[]> {
  return db.query<Action>(
    `select ${COLUMNS} from actions where ${MATCHES} and ($11::text is null or id < $11) order by id desc limit $12`,
    [...matched(filter), filter.before ?? null, filter.limit],
  )
}

/** How many match, whatever page is asked for; beyond `max` nobody counts. */
export async function countActions(db: Db, filter: ActionFilter, max: number): Promise<number> {
  const [row] = await db.query<{ n: bigint }>(
    `select count(*) as n from (select 1 from actions where ${MATCHES} limit $11) as matching`,
    [...matched(filter), max],
  )
  return Number(row?.n ?? 0)
}

// Ids sort by age, though by the clock of whoever made them and a moment before the action was recorded: near enough to
// let the table's key find where to look.
const MATCHES = `($1::text is null or agent_id = $1) and ($2::text is null or tool = $2)
  and ($3::text is null or state = $3) and ($4::text is null or effect = $4)
  and ($5::text is null or upstream = $5) and ($6::text is null or error_code = $6)
  and ($7::timestamptz is null or (created_at >= $7 and id >= $8))
  and ($9::timestamptz is null or (created_at < $9 and id < $10))`
const NEAR_MS = 3_600_000

const matched = ({
  agentId,
  tool,
  state,
  effect,
  upstream,
  errorCode,
  ...within
}: ActionFilter) => [
  agentId ?? null,
  tool ?? null,
  state ?? null,
  effect ?? null,
  upstream ?? null,
  errorCode ?? null,
  within.since ?? null,
  within.since ? firstId('act', within.since.getTime() - NEAR_MS) : null,
  within.until ?? null,
  within.until ? firstId('act', within.until.getTime() + NEAR_MS) : null,
]

/** Actions that claim to execute on a replica whose lease ended `graceMs` ago: nobody knows more. */
export async function orphanedActions(
  tx: Tx,
  ownReplicaId: string,
  graceMs: number,
): Promise<Action[]> {
  return tx.query<Action>(
    `select ${COLUMNS} from actions a where state = 'executing' and replica_id <> $1
       and not exists (select 1 from replicas r
         where r.id = a.replica_id and r.lease_until > $2)
     order by id limit 500`,
    [ownReplicaId, new Date(tx.nowMs - graceMs)],
  )
}

export async function countOpenActions(db: Db): Promise<Record<string, number>> {
  const rows = await db.query<{ state: string; n: bigint }>(
    `select state, count(*) as n from actions where state = 'executing' group by state
     union all
     select state, count(*) from actions where state in ('held', 'indeterminate') group by state`,
  )
  return Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)]))
}

/** Stored JSON text, or null for the empty string. */
export function stored(text: string): Json {
  return text === '' ? null : (JSON.parse(text) as Json)
}

const NEW_TEXTS = [
  ...([
    'id',
    'decisionId',
    'agentId',
    'agentName',
    'keyId',
    'tool',
    'upstream',
    'request',
  ] as const),
  ...([
    'requestHash',
    'targetHash',
    'effect',
    'state',
    'replicaId',
    'revision',
    'explain',
  ] as const),
  ...(['errorCode', 'errorMessage', 'reserved', 'facts', 'idempotencyKey'] as const),
] as const

const NEW_COLUMNS = `id, decision_id, agent_id, agent_name, key_id, tool, upstream, request, request_hash, target_hash,
  effect, state, replica_id, revision, explain, error_code, error_message, reserved, facts, idempotency_key, fence`

const INSERT_ACTIONS = `insert into actions (${NEW_COLUMNS}, created_at, started_at, finished_at)
  select a.*, ledger_now(), case when a.state = 'executing' then ledger_now() end,
    case when a.state = 'denied' then ledger_now() end
  from unnest(${NEW_TEXTS.map((_, index) => `$${index + 1}::text[]`).join(', ')},
    $${NEW_TEXTS.length + 1}::int[]) as a (${NEW_COLUMNS})`

const ENDED = `id, decision_id, agent_id, agent_name, key_id, tool, upstream, request_hash, target_hash, effect,
  state, fence, replica_id, revision, error_code, error_message, reserved, idempotency_key, created_at,
  started_at, finished_at, collected_at`

// Travels with the lock: where that was not taken there is no `ledger_now()`, and nothing is done.
const FINISH_ACTIONS = `update actions a set state = o.state, error_code = o.error_code,
    error_message = o.error_message, result = o.result, finished_at = ledger_now(),
    idempotency_key = case when o.frees then null else a.idempotency_key end
  from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[])
    as o (id, fence, state, error_code, error_message, result, frees)
  where a.id = o.id and a.fence = o.fence and a.state in ('executing', 'indeterminate')
  returning ${columns(ENDED, 'a')}`

// Presumed dead is not proven dead: `indeterminate` keeps the fence, so that the owner may still report.
const MOVE_ACTIONS = `update actions set state = $3,
    fence = fence + case when $3 = 'indeterminate' then 0 else 1 end,
    started_at = case when $3 = 'executing' then $4 else started_at end,
    finished_at = case when $3 in ('executing', 'held') then finished_at else $4::timestamptz end,
    replica_id = coalesce($5, replica_id), explain = coalesce($6, explain),
    reserved = coalesce($7, reserved), revision = coalesce($8, revision),
    error_code = coalesce($9, error_code), error_message = coalesce($10, error_message)
  where id = any($1) and state = $2 returning ${COLUMNS}`

/** Whether actions execute whose replica's lease has run out. */
export async function hasOrphanedActions(db: Db): Promise<boolean> {
  const rows = await db.query(
    `select 1 from actions a where state = 'executing' and not exists
       (select 1 from replicas r where r.id = a.replica_id and r.lease_until > clock_timestamp())
     limit 1`,
  )
  return rows.length > 0
}
