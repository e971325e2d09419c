import { LRUCache } from 'lru-cache'
import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import type { AgentStatus } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import { textArray } from '../store/arrays.ts'
import type { LookedUp, RegistryEpoch } from '../store/registry-epoch.ts'
import type { Db, Tx } from '../store/tx.ts'
import type { Agent, AgentProfile, NewAgent } from './agent.ts'

// Agents, and what the ledger reads of them. Every statement on their table is here. Lists go by id, and ids by age, so no page shows
// one twice. What is cached of an agent is valid for one epoch of the registry, which each write moves.

export interface AgentFilter {
  readonly role?: string | undefined
  readonly category?: string | undefined
  readonly specialist?: string | undefined
  readonly status?: string | undefined
  readonly tag?: string | undefined
  readonly owner?: string | undefined
  /** Found in the name, the description or the id, whatever the case. */
  readonly text?: string | undefined
  /** Only ids after this one; ids sort by age. */
  readonly after?: string | undefined
  readonly limit: number
}

/** What the ledger reads of an agent before it lets an action of it start. */
export interface AgentState {
  readonly id: string
  readonly status: AgentStatus
  readonly monthlyBudget: bigint | null
  readonly perActionLimit: bigint | null
  readonly thresholds: readonly number[]
  readonly instances: number | null
  /** Its actions under way; counted only where `instances` bounds them. */
  readonly executing: number
}

/** @throws GatewayError `conflict` when the name is taken. */
export async function createAgent(tx: Tx, agent: NewAgent): Promise<Agent> {
  const [created] = await insertAgents(tx, [agent])
  if (created) return created
  throw new GatewayError('conflict', `an agent named \`${agent.name}\` exists already`)
}

/** Inserts all whose names are free, in order; answers those it inserted. */
export async function insertAgents(tx: Tx, agents: readonly NewAgent[]): Promise<Agent[]> {
  const rows = agents.map((agent) => ({
    ...columnsOf(agent),
    id: newId('agt', tx.nowMs),
    name: agent.name,
    status: agent.status,
    template: agent.template,
    manifest_hash: agent.manifestHash,
  }))
  const inserted = await tx.query<AgentRow>(INSERT_AGENTS, [
    JSON.stringify(rows),
    new Date(tx.nowMs),
  ])
  return inserted.map(agentFromRow)
}

/** Replaces what somebody decides about an agent; undefined when there is none of this id. */
export async function updateAgent(
  tx: Tx,
  id: string,
  change: AgentProfile & { readonly name: string; readonly manifestHash: string },
): Promise<Agent | undefined> {
  const row = { ...columnsOf(change), id, name: change.name, manifest_hash: change.manifestHash }
  const [updated] = await tx.query<AgentRow>(UPDATE_AGENT, [
    JSON.stringify(row),
    new Date(tx.nowMs),
  ])
  return updated && agentFromRow(updated)
}

/** Removes an agent and its keys. Its actions and entries stay on record, and are found by its name. */
export async function deleteAgent(tx: Tx, id: string): Promise<void> {
  await tx.query(
    `with gone as (delete from agents where id = $1 returning id, name, owner)
     insert into former_agents select id, name, owner, $2 from gone`,
    [id, new Date(tx.nowMs)],
  )
}

const CACHE_MAX = 50_000
/** However little changes. */
const CACHE_TTL_MS = 600_000

interface Known extends LookedUp {
  readonly agent: Agent | undefined
}

/**
 * Agents by id, read once for as long as none has changed. What is decided from may be a second old; whether the
 * agent may act at all, the ledger reads itself.
 */
export class AgentCache {
  readonly #cache: LRUCache<string, Known>
  readonly #registry: RegistryEpoch

  constructor(db: Db, registry: RegistryEpoch) {
    this.#registry = registry
    this.#cache = new LRUCache({
      max: CACHE_MAX,
      ttl: CACHE_TTL_MS,
      fetchMethod: (id) => lookUp(db, id, registry.nowMs),
      ignoreFetchAbort: true, // who waits for a look-up that is forgotten still gets its answer
    })
  }

  async find(id: string): Promise<Agent | undefined> {
    const known = this.#cache.get(id)
    if (known && this.#registry.holds(known)) return known.agent
    return (await this.#cache.fetch(id, { forceRefresh: true }))?.agent
  }

  /** The agent that a caller is. @throws GatewayError `forbidden` for people, `unauthenticated` when it is gone */
  async acting(caller: { readonly role: string; readonly agentId: string | null }): Promise<Agent> {
    if (caller.role !== 'agent' || !caller.agentId) {
      throw new GatewayError('forbidden', 'only an agent key can act')
    }
    const agent = await this.find(caller.agentId)
    if (!agent) throw new GatewayError('unauthenticated', 'the agent of this key is gone')
    return agent
  }

  /** The agent has changed: the next look-up reads it anew. */
  forget(id: string): void {
    this.#cache.delete(id)
  }
}

async function lookUp(db: Db, id: string, askedAtMs: number): Promise<Known> {
  const [row] = await db.query<AgentRow & { epoch: bigint }>(
    `select ${AGENT_COLUMNS}, (select n from registry_epoch) as epoch from agents
     where id = $1 or name = $1 order by (id = $1) desc limit 1`,
    [id],
  )
  return { agent: row && agentFromRow(row), askedAtMs, epoch: row?.epoch ?? null }
}

/** Looks an agent up by id, or by its unique name. */
export async function findAgent(db: Db, idOrName: string): Promise<Agent | undefined> {
  const [row] = await db.query<AgentRow>(
    `select ${AGENT_COLUMNS} from agents where id = $1 or name = $1 order by (id = $1) desc limit 1`,
    [idOrName],
  )
  return row && agentFromRow(row)
}

/** @throws GatewayError `not_found` */
export async function agentOf(db: Db, idOrName: string): Promise<Agent> {
  const agent = await findAgent(db, idOrName)
  if (agent) return agent
  throw new GatewayError('not_found', `there is no agent \`${idOrName.slice(0, 64)}\``)
}

export async function findAgentNamed(db: Db, name: string): Promise<Agent | undefined> {
  const [row] = await db.query<AgentRow>(`select ${AGENT_COLUMNS} from agents where name = $1`, [
    name,
  ])
  return row && agentFromRow(row)
}

export async function listAgents(db: Db, filter: AgentFilter): Promise<Agent[]> {
  const where = ['id > $2']
  const values: unknown[] = [filter.limit, filter.after ?? '']
  const add = (condition: string, value: unknown) => {
    values.push(value)
    where.push(condition.replaceAll('?', `$${values.length}`))
  }
  if (filter.role !== undefined) add('roles @> ?', [filter.role])
  if (filter.tag !== undefined) add('tags @> ?', [filter.tag])
  if (filter.category !== undefined) add(`category = ? and category <> ''`, filter.category)
  if (filter.specialist !== undefined) add('specialist = ?', filter.specialist)
  if (filter.status !== undefined) add('status = ?', filter.status)
  if (filter.owner !== undefined) add('owner = ?', filter.owner)
  if (filter.text !== undefined) {
    add('search like lower(?)', `%${likeText(filter.text)}%`)
  }
  const rows = await db.query<AgentRow>(
    `select ${AGENT_COLUMNS} from agents where ${where.join(' and ')} order by id limit $1`,
    values,
  )
  return rows.map(agentFromRow)
}

const likeText = (text: string): string => text.replaceAll(/[\\%_]/g, (char) => `\\${char}`)

export interface AgentStats {
  readonly total: number
  readonly by_status: Readonly<Record<string, number>>
  readonly by_role: Readonly<Record<string, number>>
  readonly by_category: Readonly<Record<string, number>>
  readonly by_owner: Readonly<Record<string, number>>
  readonly specialists: number
  readonly budgeted: number
}

const STATS_GROUPS_MAX = 100

/** Counts over all agents; of each grouping the largest hundred. */
export async function agentStats(db: Db): Promise<AgentStats> {
  const rows = await db.query<{ kind: string; value: string; n: bigint }>(AGENT_STATS, [
    STATS_GROUPS_MAX,
  ])
  const group = (kind: string) =>
    Object.fromEntries(
      rows.filter((row) => row.kind === kind).map(({ value, n }) => [value, Number(n)]),
    )
  const count = (kind: string) => Number(rows.find((row) => row.kind === kind)?.n ?? 0)
  return {
    total: count('total'),
    by_status: group('status'),
    by_role: group('role'),
    by_category: group('category'),
    by_owner: group('owner'),
    specialists: count('specialists'),
    budgeted: count('budgeted'),
  }
}

export async function agentStates(
  tx: Tx,
  ids: readonly string[],
): Promise<Map<string, AgentState>> {
  const rows = await tx.query<AgentState>(AGENT_STATES, [textArray(ids)])
  return new Map(rows.map((row) => [row.id, row]))
}

/** Sets the status; undefined when the agent does not exist. */
export async function setAgentStatus(
  tx: Tx,
  id: string,
  status: AgentStatus,
  reason: string,
): Promise<Agent | undefined> {
  const [row] = await tx.query<AgentRow>(
    `update agents set status = $2, status_reason = $3, updated_at = $4,
       started_at = case when $2 <> 'active' then null
         when status = 'active' then coalesce(started_at, $4) else $4 end
     where id = $1 returning ${AGENT_COLUMNS}`,
    [id, status, reason, new Date(tx.nowMs)],
  )
  return row && agentFromRow(row)
}

/** Sets how many of its actions may be under way at once. */
export async function setInstances(
  tx: Tx,
  id: string,
  instances: number,
): Promise<Agent | undefined> {
  const [row] = await tx.query<AgentRow>(
    `update agents set instances = $2, updated_at = $3 where id = $1 returning ${AGENT_COLUMNS}`,
    [id, instances, new Date(tx.nowMs)],
  )
  return row && agentFromRow(row)
}

function columnsOf(agent: AgentProfile) {
  return {
    owner: agent.owner,
    roles: agent.roles,
    properties: canonicalJson(agent.properties),
    description: agent.description,
    category: agent.category,
    specialist: agent.specialist,
    version: agent.version,
    tags: agent.tags,
    profile: agent.profile,
    instances: agent.instances,
    monthly_budget: agent.monthlyBudget?.toString() ?? null,
    per_action_limit: agent.perActionLimit?.toString() ?? null,
    thresholds: agent.thresholds,
  }
}

const RECORD = `(id text, name text, owner text, roles text[], status text, properties text,
  description text, category text, specialist text, version text, tags text[], profile text,
  template text, manifest_hash text, instances int, monthly_budget bigint, per_action_limit bigint,
  thresholds int[])`

/** A row of table `agents`. */
interface AgentRow {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly roles: string[]
  readonly status: AgentStatus
  readonly status_reason: string
  readonly properties: string
  readonly description: string
  readonly category: string
  readonly specialist: string
  readonly version: string
  readonly tags: string[]
  readonly profile: string
  readonly template: string
  readonly manifest_hash: string
  readonly instances: number | null
  readonly monthly_budget: bigint | null
  readonly per_action_limit: bigint | null
  readonly thresholds: number[]
  readonly started_at: Date | null
  readonly created_at: Date
  readonly updated_at: Date
}

const AGENT_COLUMNS = `id, name, owner, roles, status, status_reason, properties, description,
  category, specialist, version, tags, profile, template, manifest_hash, instances, monthly_budget,
  per_action_limit, thresholds, started_at, created_at, updated_at`

function agentFromRow(row: AgentRow): Agent {
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    roles: row.roles,
    status: row.status,
    statusReason: row.status_reason,
    properties: JSON.parse(row.properties) as JsonObject,
    description: row.description,
    category: row.category,
    specialist: row.specialist,
    version: row.version,
    tags: row.tags,
    profile: row.profile,
    template: row.template,
    manifestHash: row.manifest_hash,
    instances: row.instances,
    monthlyBudget: row.monthly_budget,
    perActionLimit: row.per_action_limit,
    thresholds: row.thresholds,
    startedAt: row.started_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

const INSERT_AGENTS = `insert into agents (id, name, owner, roles, status, properties, description,
    category, specialist, version, tags, profile, template, manifest_hash, instances, monthly_budget,
    per_action_limit, thresholds, started_at, created_at, updated_at)
  select a.id, a.name, a.owner, a.roles, a.status, a.properties, a.description, a.category,
    a.specialist, a.version, a.tags, a.profile, a.template, a.manifest_hash, a.instances,
    a.monthly_budget, a.per_action_limit, a.thresholds,
    case when a.status = 'active' then $2::timestamptz end, $2, $2
  from json_to_recordset($1::json) as a ${RECORD}
  on conflict (name) do nothing returning ${AGENT_COLUMNS}`

const UPDATE_AGENT = `update agents set name = a.name, owner = a.owner, roles = a.roles,
    properties = a.properties, description = a.description, category = a.category,
    specialist = a.specialist, version = a.version, tags = a.tags, profile = a.profile,
    manifest_hash = a.manifest_hash, instances = a.instances, monthly_budget = a.monthly_budget,
    per_action_limit = a.per_action_limit, thresholds = a.thresholds, updated_at = $2
  from json_to_record($1::json) as a ${RECORD}
  where agents.id = a.id
  returning ${AGENT_COLUMNS.split(/,\s*/)
    .map((name) => `agents.${name}`)
    .join(', ')}`

const AGENT_STATES = `select id, status, monthly_budget as "monthlyBudget",
    per_action_limit as "perActionLimit", thresholds, instances,
    case when instances is null then 0 else (select count(*)::int from actions
      where actions.agent_id = agents.id and state = 'executing') end as executing
  from agents where id = any($1)`

const AGENT_STATS = `with kinds as (
    select 'total' as kind, '' as value, count(*) as n from agents
    union all select 'specialists', '', count(*) from agents where specialist not in ('', 'false')
    union all select 'budgeted', '', count(*) from agents where monthly_budget is not null
    union all select 'status', status, count(*) from agents group by status
    union all select 'category', category, count(*) from agents where category <> '' group by category
    union all select 'owner', owner, count(*) from agents where owner <> '' group by owner
    union all select 'role', role, count(*) from agents, unnest(roles) as role group by role
  ), ranked as (
    select kind, value, n, row_number() over (partition by kind order by n desc, value) as rank
    from kinds
  )
  select kind, value, n from ranked where rank <= $1`

/** For how long active agents have been active, in seconds. */
export async function agentUptime(db: Db): Promise<{ longest: number; mean: number }> {
  const [row] = await db.query<{ longest: number | null; mean: number | null }>(
    `select max(extract(epoch from clock_timestamp() - started_at))::float8 as longest,
       avg(extract(epoch from clock_timestamp() - started_at))::float8 as mean
     from agents where status = 'active' and started_at is not null`,
  )
  return { longest: row?.longest ?? 0, mean: row?.mean ?? 0 }
}
