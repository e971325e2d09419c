import type { Agent, AgentProfile, NewAgent } from '../agents/agent.ts'
import {
  createAgentKeys,
  createKey,
  rotateKeys,
  revokeKey,
  type Caller,
  type KeyRing,
  type KeyRole,
} from '../agents/keys.ts'
import { nextStatus, type LifecycleAction } from '../agents/lifecycle.ts'
import {
  agentOf,
  createAgent,
  deleteAgent,
  findAgent,
  findAgentNamed,
  insertAgents,
  setAgentStatus,
  setInstances,
  updateAgent,
} from '../agents/registry.ts'
import { cancelOfAgent } from '../approvals/tasks.ts'
import { GatewayError } from '../errors.ts'
import { microsToText } from '../lib/money.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { AgentStatus } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import type { Tx } from '../record/ledger.ts'
import { approvalEntry, endHeld } from './approvals.ts'

// People's changes of agents and keys, each one write of a ledger batch together with its entry. Caches of
// keys are cleared once the batch is durable and not before, or a look-up in between would read the old key
// into them again.

/** Puts what happened to the registry on record. */
export function registryEntry(kind: string, agentId: string, detail: JsonObject): AuditDraft {
  return { kind, agentId, tool: '', effect: '', actionId: '', detail }
}

/** Makes an agent with its first key. @throws GatewayError `conflict` when the name is taken */
export async function registerAgent(
  tx: Tx,
  agent: NewAgent,
  caller: Caller,
): Promise<{ agent: Agent; key: string }> {
  const created = await createAgent(tx, agent)
  const { key } = await createKey(tx, {
    role: 'agent',
    name: created.name,
    agentId: created.id,
    issuedBy: caller.name,
  })
  tx.append(registryEntry('agent.created', created.id, described(created, caller)))
  return { agent: created, key }
}

export interface Imported {
  readonly agent: Agent
  /** Only when keys were asked for. */
  readonly key: string | null
}

/**
 * Makes many agents or none.
 * @throws GatewayError `conflict` with the rows whose names are taken
 */
export async function importAgents(
  tx: Tx,
  agents: readonly NewAgent[],
  withKeys: boolean,
  source: JsonObject,
  caller: Caller,
): Promise<Imported[]> {
  const created = await insertAgents(tx, agents)
  if (created.length < agents.length) throw await taken(tx, agents, created)
  const keys = withKeys ? await createAgentKeys(tx, created, caller.name) : []
  for (const agent of created) {
    tx.append(registryEntry('agent.created', agent.id, described(agent, caller)))
  }
  const detail = { ...source, agents: created.length, actor: caller.name }
  tx.append(registryEntry('agents.imported', '', detail))
  return created.map((agent, at) => ({ agent, key: keys[at] ?? null }))
}

async function taken(
  tx: Tx,
  agents: readonly NewAgent[],
  created: readonly Agent[],
): Promise<GatewayError> {
  const made = new Set(created.map(({ name }) => name))
  const rows: JsonObject[] = []
  for (const [index, { name }] of agents.entries()) {
    if (made.has(name) || !(await findAgentNamed(tx, name))) continue
    rows.push({
      row: index + 1,
      field: 'name',
      message: `an agent named \`${name}\` exists already`,
    })
    if (rows.length === 100) break
  }
  return new GatewayError('conflict', 'names are taken; nothing was imported', {
    details: { rows },
  })
}

/** What may be changed of an agent; what is not given stays. */
export type AgentChange = Partial<AgentProfile> & {
  readonly name?: string
  /** Of the newer manifest that brings the change. */
  readonly manifestHash?: string
}

/** @throws GatewayError `not_found`, `conflict` when the new name is taken */
export async function changeAgent(
  tx: Tx,
  idOrName: string,
  change: AgentChange,
  caller: Caller,
): Promise<Agent> {
  const agent = await agentOf(tx, idOrName)
  if (agent.manifestHash !== '' && change.manifestHash === undefined) {
    const message = 'the agent is registered from a signed manifest; a newer one may change it'
    throw new GatewayError('conflict', message)
  }
  const name = change.name ?? agent.name
  if (name !== agent.name && (await findAgentNamed(tx, name))) {
    throw new GatewayError('conflict', `an agent named \`${name}\` exists already`)
  }
  const updated = await updateAgent(tx, agent.id, { ...agent, ...change, name })
  if (!updated) throw new Error('an agent vanished inside a batch')
  const before = described(agent, caller)
  const after = described(updated, caller)
  const changed = Object.keys(after).filter(
    (key) => JSON.stringify(after[key]) !== JSON.stringify(before[key]),
  )
  tx.append(registryEntry('agent.updated', agent.id, { ...after, changed }))
  return updated
}

/** Removes an agent, its keys and what of it waits for an approval. The record keeps what it did. */
export async function unregisterAgent(
  tx: Tx,
  idOrName: string,
  keyRing: KeyRing,
  caller: Caller,
): Promise<void> {
  const agent = await agentOf(tx, idOrName)
  for (const approval of await cancelOfAgent(tx, agent.id)) {
    tx.append(approvalEntry('approval.cancelled', approval, { actor: caller.name }))
    await endHeld(tx, approval, 'cancelled', 'the agent was unregistered')
  }
  await deleteAgent(tx, agent.id)
  tx.append(registryEntry('agent.deleted', agent.id, described(agent, caller)))
  tx.afterCommit(() => keyRing.clear())
}

/** A lifecycle action; the agent as it is after it. @throws GatewayError `not_found`, `conflict` */
export async function liveAgent(
  tx: Tx,
  idOrName: string,
  asked: {
    readonly action: LifecycleAction
    readonly instances?: number | undefined
    readonly reason?: string | undefined
  },
  caller: Caller,
): Promise<Agent> {
  const agent = await agentOf(tx, idOrName)
  const to = nextStatus(asked.action, agent.status)
  if (to === undefined) {
    throw new GatewayError('conflict', `the agent is ${agent.status}: it cannot ${asked.action}`)
  }
  if (asked.action === 'scale') return scaleAgent(tx, agent, asked.instances, caller)
  return moveAgent(tx, agent, to, asked.action, asked.reason ?? '', caller)
}

const PAST: Readonly<Record<string, string>> = {
  start: 'started',
  stop: 'stopped',
  restart: 'restarted',
  pause: 'paused',
  resume: 'resumed',
  retire: 'retired',
}

async function moveAgent(
  tx: Tx,
  agent: Agent,
  to: AgentStatus,
  action: string,
  reason: string,
  caller: Caller,
): Promise<Agent> {
  if (to === agent.status && action !== 'restart') return agent
  const moved = await setAgentStatus(tx, agent.id, to, reason)
  if (!moved) throw new Error('an agent vanished inside a batch')
  const detail = { from: agent.status, to, reason, actor: caller.name, agent_name: agent.name }
  tx.append(registryEntry(`agent.${PAST[action] ?? action}`, agent.id, detail))
  return moved
}

async function scaleAgent(
  tx: Tx,
  agent: Agent,
  instances: number | undefined,
  caller: Caller,
): Promise<Agent> {
  if (instances === undefined) {
    throw new GatewayError('invalid_request', '`scale` needs `instances`')
  }
  const scaled = await setInstances(tx, agent.id, instances)
  if (!scaled) throw new Error('an agent vanished inside a batch')
  const detail = { from: agent.instances, to: instances, actor: caller.name }
  tx.append(registryEntry('agent.scaled', agent.id, { ...detail, agent_name: agent.name }))
  return scaled
}

/**
 * Marks an agent as active and puts it on record each time, as agents do that start a task. An agent
 * may say so of itself, which never lifts a pause or a stop.
 */
export async function activateAgent(tx: Tx, idOrName: string, caller: Caller): Promise<Agent> {
  const agent = await agentOf(tx, idOrName)
  const mayLift = caller.role === 'operator' || caller.role === 'admin'
  const to = mayLift
    ? nextStatus('restart', agent.status)
    : nextStatus('start', agent.status === 'stopped' ? 'retired' : agent.status)
  if (to === undefined) {
    throw new GatewayError('conflict', `the agent is ${agent.status}: it cannot be activated`)
  }
  const moved = await setAgentStatus(tx, agent.id, to, '')
  if (!moved) throw new Error('an agent vanished inside a batch')
  const detail = { from: agent.status, to, actor: caller.name, agent_name: agent.name }
  tx.append(registryEntry('agent.activated', agent.id, detail))
  return moved
}

export async function createApiKey(
  tx: Tx,
  key: { readonly role: KeyRole; readonly name: string; readonly agent: string | null },
  caller: Caller,
): Promise<{ id: string; key: string }> {
  const agentId = await agentOfKey(tx, key)
  const issuedBy = caller.name
  const created = await createKey(tx, { role: key.role, name: key.name, agentId, issuedBy })
  const detail = { key_id: created.id, role: key.role, name: key.name, actor: caller.name }
  tx.append(registryEntry('key.created', agentId ?? '', detail))
  return created
}

/** @throws GatewayError `not_found` when there is no such live key */
export async function revokeApiKey(
  tx: Tx,
  id: string,
  keyRing: KeyRing,
  caller: Caller,
): Promise<void> {
  const key = await revokeKey(tx, id)
  if (!key) throw new GatewayError('not_found', `there is no live key \`${id}\``)
  const detail = { key_id: id, role: key.role, name: key.name, actor: caller.name }
  tx.append(registryEntry('key.revoked', key.agentId ?? '', detail))
  tx.afterCommit(() => keyRing.clear())
}

export interface Rotated {
  readonly id: string
  readonly key: string
  readonly role: KeyRole
  readonly name: string
  /** When the keys it replaces stop working. */
  readonly oldExpireAt: Date
}

/**
 * Replaces keys by a new one of the same role, name and agent. The old ones go on working for
 * `overlapMs`, so that whoever uses them can change over without a gap.
 * @throws GatewayError `not_found` when there is nothing to replace
 */
export async function rotateApiKey(
  tx: Tx,
  which: { readonly id: string } | { readonly agentId: string },
  overlapMs: number,
  keyRing: KeyRing,
  caller: Caller,
): Promise<Rotated> {
  const oldExpireAt = new Date(tx.nowMs + overlapMs)
  const old = await rotateKeys(tx, which, oldExpireAt)
  const [first] = old
  if (!first) throw new GatewayError('not_found', 'there is no live key to rotate')
  const { role, name, agentId } = first
  const created = await createKey(tx, { role, name, agentId, issuedBy: caller.name })
  const detail = {
    key_id: created.id,
    replaces: old.map(({ id }) => id),
    old_expire_at: oldExpireAt.toISOString(),
    role,
    name,
    actor: caller.name,
  }
  tx.append(registryEntry('key.rotated', agentId ?? '', detail))
  tx.afterCommit(() => keyRing.clear())
  return { ...created, role, name, oldExpireAt }
}

async function agentOfKey(
  tx: Tx,
  key: { readonly role: KeyRole; readonly agent: string | null },
): Promise<string | null> {
  if (key.role !== 'agent') {
    if (key.agent === null) return null
    throw new GatewayError('invalid_request', '`agent` goes with keys of role `agent` only')
  }
  const agent = key.agent === null ? undefined : await findAgent(tx, key.agent)
  if (agent) return agent.id
  throw new GatewayError('invalid_request', 'a key of role `agent` names an existing agent')
}

/** What the record says of an agent. */
export function described(agent: Agent, caller: Caller): JsonObject {
  const micros = (value: bigint | null) => (value === null ? null : microsToText(value))
  return {
    name: agent.name,
    owner: agent.owner,
    roles: [...agent.roles],
    status: agent.status,
    profile: agent.profile,
    version: agent.version,
    category: agent.category,
    specialist: agent.specialist,
    tags: [...agent.tags],
    monthly_budget: micros(agent.monthlyBudget),
    per_action_limit: micros(agent.perActionLimit),
    instances: agent.instances,
    template: agent.template,
    manifest_hash: agent.manifestHash,
    actor: caller.name,
    key_id: caller.keyId,
  }
}
