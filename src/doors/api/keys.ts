import { listKeys, type KeyRole, type ApiKey } from '../../agents/keys.ts'
import { agentOf } from '../../agents/registry.ts'
import type { JsonObject } from '../../model/json.ts'
import {
  createApiKey,
  revokeApiKey,
  rotateApiKey,
  type Rotated,
} from '../../operations/registry.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ADMINS, ALL_ROLES } from '../edge/roles.ts'
import { always, AT, list, MAYBE_AT, MAYBE_STRING, SHOWN_KEY, STRING } from '../edge/schemas.ts'
import { NAME, object, params, shape } from '../edge/validate.ts'
import { assertOwn, knownAgentId } from '../../agents/known.ts'

const OVERLAP_S_DEFAULT = 3_600
const OVERLAP_S_MAX = 30 * 86_400

const CREATE = shape<{ role: KeyRole; name: string; agent?: string }>(
  object({ role: { enum: [...ALL_ROLES] }, name: NAME, agent: NAME }, ['role', 'name']),
)
const ROTATE = shape<{ overlap_s?: number }>(
  object({
    overlap_s: {
      type: 'integer',
      minimum: 0,
      maximum: OVERLAP_S_MAX,
      description: `how long the old key goes on working; default ${OVERLAP_S_DEFAULT}`,
    },
  }),
)

const ROLE = { enum: [...ALL_ROLES] }
const ROTATED = always({ id: STRING, role: ROLE, name: STRING, key: SHOWN_KEY, old_expire_at: AT })

/** `/api/v1/keys` and the keys of an agent. */
export function keyEndpoints(parts: PartsOf<'db' | 'keyRing' | 'keyUses'>): Endpoints {
  const { db, keyRing, keyUses } = parts
  const endpoints = new Endpoints('keys', parts)

  endpoints.write(
    'post',
    '/api/v1/keys',
    {
      answer: always({ id: STRING, role: ROLE, name: STRING, key: SHOWN_KEY }),
      summary: 'Create an API key; it is shown this once',
      roles: ADMINS,
      body: CREATE,
      status: 201,
    },
    ({ body: { role, name, agent = null }, caller }) =>
      async (tx) => {
        const created = await createApiKey(tx, { role, name, agent }, caller)
        return { id: created.id, role, name, key: created.key }
      },
  )

  endpoints.on(
    'get',
    '/api/v1/keys',
    {
      summary: 'List API keys, and when each was used last',
      roles: ADMINS,
      query: params<{ agent?: string }>({ agent: { ...NAME, description: 'an id or a name' } }),
      errors: ['not_found'],
      answer: always({
        keys: list(
          always({
            id: STRING,
            role: ROLE,
            name: STRING,
            agent: MAYBE_STRING,
            issued_by: MAYBE_STRING,
            created_at: AT,
            revoked_at: MAYBE_AT,
            expires_at: MAYBE_AT,
            last_used_at: {
              ...MAYBE_AT,
              description: 'by now; a gate tells its peers once a minute',
            },
          }),
        ),
      }),
    },
    async ({ query: { agent } }) => {
      const keys = await listKeys(db, agent === undefined ? agent : await knownAgentId(db, agent))
      const used = await keyUses.lastOf(keys.map(({ id }) => id))
      return { keys: keys.map((key) => keyJson(key, used.get(key.id))) }
    },
  )

  endpoints.write(
    'delete',
    '/api/v1/keys/:id',
    {
      summary: 'Revoke an API key: refused everywhere within a second',
      roles: ADMINS,
      status: 204,
      errors: ['not_found'],
    },
    ({ id, caller }) =>
      async (tx) => {
        await revokeApiKey(tx, id, keyRing, caller)
        return undefined
      },
  )

  endpoints.write(
    'post',
    '/api/v1/keys/:id/rotate',
    {
      answer: ROTATED,
      summary: 'Replace an API key by a new one; the old one works on for a while',
      roles: ADMINS,
      body: ROTATE,
      status: 201,
      errors: ['not_found'],
    },
    ({ id, body, caller }) =>
      async (tx) => {
        const overlapMs = (body.overlap_s ?? OVERLAP_S_DEFAULT) * 1000
        return rotatedJson(await rotateApiKey(tx, { id }, overlapMs, keyRing, caller))
      },
  )

  endpoints.write(
    'post',
    '/api/v1/agents/:id/keys/rotate',
    {
      answer: ROTATED,
      summary: 'Replace all keys of an agent by a new one; an agent may do so itself',
      roles: ACTORS,
      body: ROTATE,
      status: 201,
      errors: ['not_found'],
    },
    ({ id, body, caller }) =>
      async (tx) => {
        const agent = await agentOf(tx, id)
        assertOwn(caller, agent.id)
        const overlapMs = (body.overlap_s ?? OVERLAP_S_DEFAULT) * 1000
        const which = { agentId: agent.id }
        return rotatedJson(await rotateApiKey(tx, which, overlapMs, keyRing, caller))
      },
  )

  return endpoints
}

function rotatedJson({ id, key, role, name, oldExpireAt }: Rotated): JsonObject {
  return { id, role, name, key, old_expire_at: oldExpireAt.toISOString() }
}

function keyJson(key: ApiKey, usedAt: Date | undefined): JsonObject {
  return {
    id: key.id,
    role: key.role,
    name: key.name,
    agent: key.agentId,
    issued_by: key.issuedBy || null,
    created_at: key.createdAt.toISOString(),
    revoked_at: key.revokedAt?.toISOString() ?? null,
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used_at: usedAt?.toISOString() ?? null,
  }
}
