import { listAgents } from '../../agents/registry.ts'
import { findApproval } from '../../approvals/tasks.ts'
import { findAction } from '../../record/actions.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import { always, list, STRING } from '../edge/schemas.ts'
import { NAME, params } from '../edge/validate.ts'

const OF_A_TYPE_MAX = 10

const QUERY = params<{ q: string }>(
  {
    q: {
      ...NAME,
      description: 'id of an action or approval, part of the name of an agent or tool, or an owner',
    },
  },
  ['q'],
)

interface Found {
  readonly type: 'action' | 'approval' | 'agent' | 'tool'
  readonly id: string
  readonly title: string
  /** The state of an action or approval, the owner of an agent, the upstream of a tool. */
  readonly detail: string
}

/** `GET /search`: what somebody may mean by a few letters, for a page that leads there. */
export function searchEndpoints(parts: PartsOf<'db'>): Endpoints {
  const { db } = parts
  const endpoints = new Endpoints('search', parts)
  endpoints.on(
    'get',
    '/search',
    {
      answer: always({
        results: list(
          always({
            type: { enum: ['action', 'approval', 'agent', 'tool'] },
            id: { ...STRING, description: 'of a tool, its name' },
            title: STRING,
            detail: {
              ...STRING,
              description: 'state of an action or approval, owner of an agent, upstream of a tool',
            },
          }),
        ),
      }),
      summary: 'Find actions and approvals by id, agents and tools by a part of their names',
      roles: READERS,
      query: QUERY,
    },
    async ({ query: { q } }) => {
      const text = q.trim()
      const [byId, agents] = await Promise.all([ofId(text), agentsOf(text)])
      return { results: [...byId, ...agents, ...tools(text)].map((one) => ({ ...one })) }
    },
  )

  async function ofId(id: string): Promise<Found[]> {
    const [action, approval] = await Promise.all([
      id.startsWith('act_') ? findAction(db, id) : undefined,
      id.startsWith('apr_') ? findApproval(db, id) : undefined,
    ])
    return [
      ...(action
        ? [{ type: 'action' as const, id, title: action.tool, detail: action.state }]
        : []),
      ...(approval
        ? [{ type: 'approval' as const, id, title: approval.tool, detail: approval.status }]
        : []),
    ]
  }

  async function agentsOf(text: string): Promise<Found[]> {
    if (text === '') return []
    const [named, owned] = await Promise.all([
      listAgents(db, { text, limit: OF_A_TYPE_MAX }),
      listAgents(db, { owner: text, limit: OF_A_TYPE_MAX }),
    ])
    const agents = new Map([...named, ...owned].map((agent) => [agent.id, agent]))
    return [...agents.values()]
      .slice(0, OF_A_TYPE_MAX)
      .map(({ id, name, owner }) => ({ type: 'agent', id, title: name, detail: owner }))
  }

  function tools(text: string): Found[] {
    if (text === '') return []
    const part = text.toLowerCase()
    return [...parts.policies.current.tools.values()]
      .filter(({ name }) => name.toLowerCase().includes(part))
      .slice(0, OF_A_TYPE_MAX)
      .map(({ name, upstream }) => ({ type: 'tool', id: name, title: name, detail: upstream }))
  }

  return endpoints
}
