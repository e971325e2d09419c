import { Router } from 'express'
import { listKeys, type KeyRole, type KeyRow } from '../../agents/keys.ts'
import { findAgent, listAgents, type Agent } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { bodyObject, callerOf, idParam } from '../context.ts'
import { allow, strictBody } from '../edge.ts'
import type { HttpParts } from '../parts.ts'
import { Query } from '../query.ts'
import { NAME, object, shape } from '../validate.ts'

const checkAgent = shape<{
  name: string
  roles?: string[]
  owner?: string
  properties?: JsonObject
}>(
  object(
    {
      name: NAME,
      roles: { type: 'array', items: NAME, maxItems: 50, uniqueItems: true },
      owner: NAME,
      properties: { type: 'object' },
    },
    ['name'],
  ),
)

const checkKey = shape<{ role: KeyRole; name: string; agent?: string }>(
  object(
    {
      role: { enum: ['agent', 'observer', 'approver', 'operator', 'admin'] },
      name: NAME,
      agent: NAME,
    },
    ['role', 'name'],
  ),
)

/** `/api/v1/agents` and `/api/v1/keys`. */
export function registryRoutes({ db, operations }: HttpParts): Router {
  const router = Router({ caseSensitive: true })
  const readers = allow('observer', 'approver', 'operator', 'admin')
  const admins = allow('admin')

  router.post('/api/v1/agents', admins, strictBody, async (req, res) => {
    const { name, roles = [], owner = '', properties = {} } = checkAgent(bodyObject(req))
    const created = await operations.createAgent({ name, roles, owner, properties }, callerOf(req))
    res.status(201).json({ agent: agentJson(created.agent), api_key: created.key })
  })

  router.get('/api/v1/agents', readers, async (req, res) => {
    const query = new Query(req, ['limit', 'cursor'])
    const limit = query.limit()
    const agents = await listAgents(db, limit, query.text('cursor') ?? '')
    const next = agents.length === limit ? (agents.at(-1)?.id ?? null) : null
    res.json({ agents: agents.map(agentJson), next_cursor: next })
  })

  router.get('/api/v1/agents/:id', readers, async (req, res) => {
    const id = idParam(req)
    const agent = await findAgent(db, id)
    if (!agent) throw new GatewayError('not_found', `there is no agent \`${id.slice(0, 64)}\``)
    res.json({ agent: agentJson(agent) })
  })

  router.post('/api/v1/keys', admins, strictBody, async (req, res) => {
    const { role, name, agent = null } = checkKey(bodyObject(req))
    const created = await operations.createKey({ role, name, agent }, callerOf(req))
    res.status(201).json({ id: created.id, role, name, key: created.key })
  })

  router.get('/api/v1/keys', admins, async (req, res) => {
    new Query(req, [])
    res.json({ keys: (await listKeys(db)).map(keyJson) })
  })

  router.delete('/api/v1/keys/:id', admins, async (req, res) => {
    await operations.revokeKey(idParam(req), callerOf(req))
    res.status(204).end()
  })

  return router
}

function agentJson(agent: Agent) {
  return {
    id: agent.id,
    name: agent.name,
    owner: agent.owner,
    roles: agent.roles,
    status: agent.status,
    ...(agent.statusReason === '' ? {} : { status_reason: agent.statusReason }),
    properties: agent.properties,
    created_at: agent.createdAt.toISOString(),
    updated_at: agent.updatedAt.toISOString(),
  }
}

function keyJson(row: KeyRow) {
  return {
    id: row.id,
    role: row.role,
    name: row.name,
    agent: row.agent_id,
    created_at: row.created_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }
}
