import type { Db, Tx } from '../store/tx.ts'

/** The clear request of a held action, sealed. It is there for as long as the action may still run. */
export interface HeldRequest {
  readonly actionId: string
  readonly sealed: string
}

export async function keepHeld(tx: Tx, requests: readonly HeldRequest[]): Promise<void> {
  if (requests.length === 0) return
  await tx.query(
    `insert into held_requests (action_id, sealed)
     select * from unnest($1::text[], $2::text[])`,
    [requests.map((one) => one.actionId), requests.map(({ sealed }) => sealed)],
  )
}

/** The sealed requests of these actions, by action. */
export async function heldRequests(
  db: Db,
  actionIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (actionIds.length === 0) return new Map()
  const rows = await db.query<HeldRequest>(
    'select action_id as "actionId", sealed from held_requests where action_id = any($1)',
    [actionIds],
  )
  return new Map(rows.map((row) => [row.actionId, row.sealed]))
}

export async function wipeHeld(tx: Tx, actionIds: readonly string[]): Promise<void> {
  if (actionIds.length === 0) return
  await tx.query('delete from held_requests where action_id = any($1)', [actionIds])
}
