import type { Json, JsonObject } from '../model/json.ts'
import type { StoredResult } from '../model/result.ts'
import type { Db, Tx } from '../store/tx.ts'
import { wipeHeldFiles } from './held-files.ts'
import { wipeHeld } from './held-requests.ts'

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
export interface ActionRow {
  readonly id: string
  readonly decision_id: string
  readonly agent_id: string
  readonly agent_name: string
  readonly key_id: string
  readonly tool: string
  readonly upstream: string
  readonly request: string
  readonly request_hash: string
  readonly target_hash: string
  readonly effect: 'allow' | 'deny' | 'require_approval'
  readonly state: ActionState
  readonly fence: number
  readonly replica_id: string
  readonly revision: string
  readonly explain: string
  readonly error_code: string
  readonly error_message: string
  readonly result: string
  readonly reserved: string
  readonly idempotency_key: string | null
  readonly created_at: Date
  readonly started_at: Date | null
  readonly finished_at: Date | null
  /** When the agent got the outcome of an action that was held. */
  readonly collected_at: Date | null
}

export type NewAction = Omit<
  ActionRow,
  'created_at' | 'started_at' | 'finished_at' | 'collected_at' | 'result'
>

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
  /** What it really cost, where that is known apart from the reservation; the rest is given back. */
  readonly spentMicros?: bigint
  /** For the record, beside the outcome. */
  readonly detail?: JsonObject
}

export interface ActionFilter {
  readonly agentId?: string | undefined
  readonly tool?: string | undefined
  readonly state?: string | undefined
  /** Only ids before this one; ids sort by age. */
  readonly before?: string | undefined
  readonly limit: number
}

const COLUMNS = `id, decision_id, agent_id, agent_name, key_id, tool, upstream, request, request_hash, target_hash,
  effect, state, fence, replica_id, revision, explain, error_code, error_message, result, reserved,
  idempotency_key, created_at, started_at, finished_at, collected_at`

export async function insertActions(tx: Tx, actions: readonly NewAction[]): Promise<void> {
  if (actions.length === 0) return
  await tx.query(INSERT_ACTIONS, [JSON.stringify(actions), new Date(tx.nowMs)])
}

/** Actions already recorded under these agents' idempotency keys, by `agent key`. */
export async function priorActions(
  tx: Tx,
  keys: readonly { readonly agentId: string; readonly key: string }[],
): Promise<Map<string, ActionRow>> {
  if (keys.length === 0) return new Map()
  const rows = await tx.query<ActionRow>(
    `select ${COLUMNS} from actions where (agent_id, idempotency_key) in
       (select * from unnest($1::text[], $2::text[]))`,
    [keys.map(({ agentId }) => agentId), keys.map(({ key }) => key)],
  )
  return new Map(rows.map((row) => [`${row.agent_id} ${row.idempotency_key}`, row]))
}

/**
 * Held actions of these requests whose outcome the agent has not got yet, by `agent hash`: those that wait
 * or run, and those that ended a little while ago.
 */
export async function joinableActions(
  tx: Tx,
  requests: readonly { readonly agentId: string; readonly hash: string; readonly ttlMs: number }[],
): Promise<Map<string, ActionRow>> {
  if (requests.length === 0) return new Map()
  const rows = await tx.query<ActionRow>(
    `select ${COLUMNS.split(/,\s*/)
      .map((name) => `a.${name}`)
      .join(', ')}
     from unnest($1::text[], $2::text[], $3::timestamptz[]) as q (agent_id, hash, since)
     join actions a on a.agent_id = q.agent_id and a.request_hash = q.hash
     where a.effect = 'require_approval' and a.collected_at is null and a.idempotency_key is null
       and (a.finished_at is null or a.finished_at > q.since)
     order by a.id`,
    [
      requests.map(({ agentId }) => agentId),
      requests.map(({ hash }) => hash),
      requests.map(({ ttlMs }) => new Date(tx.nowMs - ttlMs)),
    ],
  )
  return new Map(rows.map((row) => [`${row.agent_id} ${row.request_hash}`, row]))
}

/** Remembers that the agent got the outcome: the same request asks for a new action from now on. */
export async function markCollected(tx: Tx, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await tx.query(
    'update actions set collected_at = $2 where id = any($1) and collected_at is null',
    [ids, new Date(tx.nowMs)],
  )
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
): Promise<Map<string, ActionRow>> {
  const rows = await tx.query<ActionRow>(FINISH_ACTIONS, [
    JSON.stringify(outcomes),
    new Date(tx.nowMs),
  ])
  await wipeEnded(tx, rows)
  return new Map(rows.map((row) => [row.id, row]))
}

// What was kept in clear so that it can run is of no more use when it cannot run again.
async function wipeEnded(tx: Tx, rows: readonly ActionRow[]): Promise<void> {
  const ended = rows.filter(
    ({ effect, state }) =>
      effect === 'require_approval' && state !== 'held' && state !== 'executing',
  )
  const ids = ended.map(({ id }) => id)
  await wipeHeld(tx, ids)
  await wipeHeldFiles(tx, ids)
}

/** Moves one action if it is still as expected; undefined when somebody else moved it first. */
export async function moveAction(
  tx: Tx,
  id: string,
  from: ActionState,
  to: ActionState,
  change: ActionChange = {},
): Promise<ActionRow | undefined> {
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
): Promise<ActionRow[]> {
  const rows = await tx.query<ActionRow>(MOVE_ACTIONS, [
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
  await wipeEnded(tx, rows)
  return rows
}

/** Those of some actions that this replica has executing. */
export async function executingOn(
  tx: Tx,
  replicaId: string,
  ids: readonly string[],
): Promise<ActionRow[]> {
  return tx.query<ActionRow>(
    `select ${COLUMNS} from actions
     where id = any($1) and state = 'executing' and replica_id = $2 order by id`,
    [ids, replicaId],
  )
}

/** The actions of these ids, in no particular order. */
export async function findActions(db: Db, ids: readonly string[]): Promise<ActionRow[]> {
  return db.query<ActionRow>(`select ${COLUMNS} from actions where id = any($1)`, [ids])
}

export async function findAction(db: Db, id: string): Promise<ActionRow | undefined> {
  const [row] = await db.query<ActionRow>(`select ${COLUMNS} from actions where id = $1`, [id])
  return row
}

export async function listActions(db: Db, filter: ActionFilter): Promise<ActionRow[]> {
  return db.query<ActionRow>(
    `select ${COLUMNS} from actions
     where ($1::text is null or agent_id = $1) and ($2::text is null or tool = $2)
       and ($3::text is null or state = $3) and ($4::text is null or id < $4)
     order by id desc limit $5`,
    [
      filter.agentId ?? null,
      filter.tool ?? null,
      filter.state ?? null,
      filter.before ?? null,
      filter.limit,
    ],
  )
}

/** Actions that claim to execute on a replica whose lease ended `graceMs` ago: nobody knows more. */
export async function orphanedActions(
  tx: Tx,
  ownReplicaId: string,
  graceMs: number,
): Promise<ActionRow[]> {
  return tx.query<ActionRow>(
    `select ${COLUMNS} from actions a where state = 'executing' and replica_id <> $1
       and not exists (select 1 from replicas r
         where r.id = a.replica_id and r.lease_until > $2)
     order by id limit 500`,
    [ownReplicaId, new Date(tx.nowMs - graceMs)],
  )
}

export async function countOpenActions(db: Db): Promise<Record<string, number>> {
  const rows = await db.query<{ state: string; n: bigint }>(
    `select state, count(*) as n from actions
     where state in ('held', 'executing', 'indeterminate') group by state`,
  )
  return Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)]))
}

/** Stored JSON text, or null for the empty string. */
export function stored(text: string): Json {
  return text === '' ? null : (JSON.parse(text) as Json)
}

const INSERT_ACTIONS = `insert into actions (id, decision_id, agent_id, agent_name, key_id, tool, upstream, request,
    request_hash, target_hash, effect, state, fence, replica_id, revision, explain, error_code,
    error_message, reserved, idempotency_key, created_at, started_at, finished_at)
  select a.id, a.decision_id, a.agent_id, a.agent_name, a.key_id, a.tool, a.upstream, a.request, a.request_hash,
    a.target_hash, a.effect, a.state, a.fence, a.replica_id, a.revision, a.explain, a.error_code,
    a.error_message, a.reserved, a.idempotency_key, $2,
    case when a.state = 'executing' then $2::timestamptz end,
    case when a.state = 'denied' then $2::timestamptz end
  from json_to_recordset($1::json) as a (id text, decision_id text, agent_id text, agent_name text, key_id text,
    tool text, upstream text, request text, request_hash text, target_hash text, effect text,
    state text, fence int, replica_id text, revision text, explain text, error_code text,
    error_message text, reserved text, idempotency_key text)`

const FINISH_ACTIONS = `update actions a set state = o.state, error_code = o."errorCode",
    error_message = o."errorMessage", result = o.result, finished_at = $2,
    idempotency_key = case when o."freesIdempotencyKey" then null else a.idempotency_key end
  from json_to_recordset($1::json) as o (id text, fence int, state text, "errorCode" text,
    "errorMessage" text, result text, "freesIdempotencyKey" boolean)
  where a.id = o.id and a.fence = o.fence and a.state in ('executing', 'indeterminate')
  returning ${COLUMNS.split(/,\s*/)
    .map((name) => `a.${name}`)
    .join(', ')}`

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
