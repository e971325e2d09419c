import { GatewayError } from '../errors.ts'
import type { Db } from '../store/tx.ts'

// Every list that takes an agent takes its id or its name, and finds what an agent that is gone has left behind. The
// agent of today comes first, then those that were deleted, then names that the record knows an agent by.

/**
 * The id of an agent that is or was on record, by id or by name.
 * @throws GatewayError `not_found`: an empty list would say that it did nothing
 */
export async function knownAgentId(db: Db, idOrName: string): Promise<string> {
  const [row] = await db.query<{ id: string }>(KNOWN, [idOrName])
  if (row) return row.id
  throw neverWas(idOrName)
}

const neverWas = (idOrName: string): GatewayError =>
  new GatewayError('not_found', `there never was an agent \`${idOrName.slice(0, 64)}\``)

/**
 * The same, with how it is or was called.
 * @throws GatewayError `not_found`, and for another agent than the caller's own in the same words as for none
 */
export async function knownAgentFor(
  db: Db,
  caller: { readonly agentId: string | null },
  idOrName: string,
): Promise<{ readonly id: string; readonly name: string }> {
  const id = await knownAgentId(db, idOrName)
  if (!sees(caller, id)) throw neverWas(idOrName)
  return { id, name: (await agentNames(db, [id])).get(id) ?? id }
}

/** Whose rows a list is about: an agent's own, whatever it asks for; else those of the agent that is named. */
export async function agentAsked(
  db: Db,
  caller: { readonly agentId: string | null },
  named: string | undefined,
): Promise<string | undefined> {
  return caller.agentId ?? (named === undefined ? undefined : knownAgentId(db, named))
}

/** An agent sees what is its own and learns nothing of its like; people see all. */
export const sees = (caller: { readonly agentId: string | null }, agentId: string): boolean =>
  caller.agentId === null || caller.agentId === agentId

/**
 * A row that belongs to an agent, for who asks for it by its id.
 * @throws GatewayError `not_found`, in the same words where there is none and where it is another agent's
 */
export function shownTo<Row extends { readonly agentId: string }>(
  caller: { readonly agentId: string | null },
  row: Row | undefined,
  noun: 'action' | 'approval' | 'plan' | 'run',
  id: string,
): Row {
  if (row && sees(caller, row.agentId)) return row
  throw new GatewayError('not_found', `there is no ${noun} \`${id.slice(0, 64)}\``)
}

/** @throws GatewayError `not_found`, in the same words as for an agent that is not there */
export function assertOwn(caller: { readonly agentId: string | null }, agentId: string): void {
  if (!sees(caller, agentId)) throw new GatewayError('not_found', 'there is no such agent')
}

/** How an agent is called by people. */
export interface KnownAgent {
  readonly id: string
  readonly name: string
  readonly owner: string
}

/** Agents of today and those that were deleted, by id. */
export async function knownAgents(
  db: Db,
  ids: readonly string[],
): Promise<ReadonlyMap<string, KnownAgent>> {
  const rows = await db.query<KnownAgent>(
    `select id, name, owner from former_agents where id = any($1)
     union all select id, name, owner from agents where id = any($1)`,
    [ids],
  )
  return new Map(rows.map((row) => [row.id, row]))
}

const KNOWN = `select id from (
    select id, 1 as rank from agents where id = $1
    union all select id, 2 from agents where name = $1
    union all select id, 3 from former_agents where id = $1
    union all (select id, 4 from former_agents where name = $1 order by deleted_at desc limit 1)
    union all (select agent_id, 5 from actions
      where agent_name = $1 and agent_name <> '' order by id desc limit 1)
    union all (select agent_id, 6 from audit_entries where agent_id = $1 and $1 <> '' limit 1)
  ) as known order by rank limit 1`

/** Names by id, of agents of today and of those that were deleted. */
export async function agentNames(
  db: Db,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map()
  const known = await knownAgents(db, ids)
  return new Map([...known].map(([id, { name }]) => [id, name]))
}

/** The newest names there are, to suggest one of. */
export async function newestNames(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db.query<{ name: string }>(
    'select name from agents order by id desc limit $1',
    [limit],
  )
  return rows.map(({ name }) => name)
}

export async function countAgents(db: Db): Promise<number> {
  const [row] = await db.query<{ n: bigint }>('select count(*) as n from agents')
  return Number(row?.n ?? 0)
}
