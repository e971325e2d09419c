import { LRUCache } from 'lru-cache'
import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { AgentFacts, AgentStatus } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import type { Db, Tx } from '../store/tx.ts'

export interface NewAgent {
  readonly name: string
  readonly owner: string
  readonly roles: readonly string[]
  readonly properties: JsonObject
}

interface AgentRow {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly roles: string[]
  readonly status: AgentStatus
  readonly status_reason: string
  readonly properties: string
  readonly created_at: Date
  readonly updated_at: Date
}

export interface Agent extends AgentFacts {
  readonly statusReason: string
  readonly createdAt: Date
  readonly updatedAt: Date
}

const COLUMNS = 'id, name, owner, roles, status, status_reason, properties, created_at, updated_at'

/** @throws GatewayError `conflict` when the name is taken. */
export async function createAgent(tx: Tx, agent: NewAgent): Promise<Agent> {
  const [row] = await tx.query<AgentRow>(
    `insert into agents (id, name, owner, roles, status, properties, created_at, updated_at)
     values ($1, $2, $3, $4, 'active', $5, $6, $6)
     on conflict (name) do nothing returning ${COLUMNS}`,
    [
      newId('agt', tx.nowMs),
      agent.name,
      agent.owner,
      agent.roles,
      canonicalJson(agent.properties),
      new Date(tx.nowMs),
    ],
  )
  if (!row) throw new GatewayError('conflict', `an agent named \`${agent.name}\` exists already`)
  return fromRow(row)
}

/** What is decided from may be this old; whether the agent may act at all, the ledger reads itself. */
const CACHE_TTL_MS = 900
const CACHE_MAX = 50_000

/** Agents by id, read at most once a second each: one look-up serves the actions of that second. */
export class AgentCache {
  readonly #cache: LRUCache<string, Agent>

  constructor(db: Db) {
    this.#cache = new LRUCache({
      max: CACHE_MAX,
      ttl: CACHE_TTL_MS,
      fetchMethod: (id) => findAgent(db, id),
    })
  }

  find(id: string): Promise<Agent | undefined> {
    return this.#cache.fetch(id)
  }
}

/** Looks an agent up by id, or by its unique name. */
export async function findAgent(db: Db, idOrName: string): Promise<Agent | undefined> {
  const [row] = await db.query<AgentRow>(
    `select ${COLUMNS} from agents where id = $1 or name = $1 order by (id = $1) desc limit 1`,
    [idOrName],
  )
  return row && fromRow(row)
}

export async function listAgents(db: Db, limit: number, after: string): Promise<Agent[]> {
  const rows = await db.query<AgentRow>(
    `select ${COLUMNS} from agents where id > $2 order by id limit $1`,
    [limit, after],
  )
  return rows.map(fromRow)
}

export async function agentStatuses(
  tx: Tx,
  ids: readonly string[],
): Promise<Map<string, AgentStatus>> {
  const rows = await tx.query<{ id: string; status: AgentStatus }>(
    'select id, status from agents where id = any($1)',
    [ids],
  )
  return new Map(rows.map(({ id, status }) => [id, status]))
}

/** Sets the status; undefined when the agent does not exist. */
export async function setAgentStatus(
  tx: Tx,
  id: string,
  status: AgentStatus,
  reason: string,
): Promise<Agent | undefined> {
  const [row] = await tx.query<AgentRow>(
    `update agents set status = $2, status_reason = $3, updated_at = $4 where id = $1
     returning ${COLUMNS}`,
    [id, status, reason, new Date(tx.nowMs)],
  )
  return row && fromRow(row)
}

function fromRow(row: AgentRow): Agent {
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    roles: row.roles,
    status: row.status,
    statusReason: row.status_reason,
    properties: JSON.parse(row.properties) as JsonObject,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
