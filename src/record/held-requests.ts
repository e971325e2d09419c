import type { Db, Tx } from '../store/tx.ts'

/** The clear request of a held action, sealed. It is there for as long as the action may still run. */
export interface HeldRequest {
  readonly actionId: string
  readonly sealed: string
}

export function keepHeld(tx: Tx, requests: readonly HeldRequest[]): void {
  if (requests.length === 0) return
  tx.send(
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

export function wipeHeld(tx: Tx, actionIds: readonly string[]): void {
  if (actionIds.length === 0) return
  tx.send('delete from held_requests where action_id = any($1)', [actionIds])
}
