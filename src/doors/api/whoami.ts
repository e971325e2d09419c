import { findAgent } from '../../agents/registry.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ALL_ROLES } from '../edge/roles.ts'
import { always, STRING } from '../edge/schemas.ts'

const AGENT = always({ id: STRING, name: STRING, status: STRING, owner: STRING })

/** `GET /whoami`: whose key this is. */
export function whoamiEndpoints(parts: PartsOf<'db'>): Endpoints {
  return new Endpoints('keys', parts).on(
    'get',
    '/whoami',
    {
      answer: always({
        key_id: STRING,
        name: STRING,
        role: { enum: [...ALL_ROLES] },
        agent: { anyOf: [AGENT, { type: 'null' }] },
      }),
      summary: 'Whose key this is: its name, its role, and the agent it acts as',
      roles: ALL_ROLES,
    },
    async ({ caller: { keyId, name, role, agentId } }) => {
      const agent = agentId === null ? undefined : await findAgent(parts.db, agentId)
      return {
        key_id: keyId,
        name,
        role,
        agent: agent
          ? { id: agent.id, name: agent.name, status: agent.status, owner: agent.owner }
          : null,
      }
    },
  )
}
