import type { KillScope } from '../../control/kill-switch.ts'
import type { EngagedSwitch } from '../../store/tx.ts'
import { agentNames } from '../../agents/known.ts'
import { Endpoints, Reply } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ANYONE, OPERATORS } from '../edge/roles.ts'
import { neededReason, REASON, type ReasonBody } from './reason.ts'
import { always, ANY, AT, BOOLEAN, list, MAYBE_STRING, STRING } from '../edge/schemas.ts'
import { NAME, object, shape } from '../edge/validate.ts'

interface KillBody extends ReasonBody {
  readonly engaged: boolean
  readonly scope?: Partial<Record<'agent' | 'tool' | 'upstream', string>>
}

const KILL = shape<KillBody>(
  object(
    {
      engaged: { type: 'boolean' },
      scope: object({ agent: NAME, tool: NAME, upstream: NAME }),
      ...REASON,
    },
    ['engaged'],
  ),
)

const SCOPE = always(
  { agent: MAYBE_STRING, agent_id: STRING, tool: MAYBE_STRING, upstream: MAYBE_STRING },
  ['agent_id'],
)
const SWITCHED = always(
  {
    engaged: BOOLEAN,
    scope: SCOPE,
    covers: ANY,
    reason: STRING,
    actor: STRING,
    recorded: BOOLEAN,
    unconfirmed: list(STRING),
  },
  ['covers', 'recorded', 'unconfirmed'],
)

/**
 * `GET /kill-switch` and `PUT /kill-switch`, which is the same however often it is sent. An `Idempotency-Key`
 * changes nothing here: an answer of yesterday must not stand in for a switch that is to be thrown today.
 */
export function killSwitchEndpoints(parts: PartsOf<'db' | 'killState' | 'replica'>): Endpoints {
  const { db, operations, killState, replica } = parts
  const endpoints = new Endpoints('kill switch', parts)

  endpoints.on(
    'get',
    '/kill-switch',
    {
      answer: always({
        engaged: BOOLEAN,
        known: BOOLEAN,
        switches: list(always({ scope: SCOPE, reason: STRING, actor: STRING, engaged_at: AT })),
      }),
      summary: 'Which kill switches are engaged',
      roles: ANYONE,
    },
    async () => {
      await replica.beat()
      const names = await agentNames(db, agentsIn(killState.rows))
      return {
        engaged: killState.rows.some((row) => row.agent + row.tool + row.upstream === ''),
        known: killState.isKnown,
        switches: killState.rows.map((row) => switchJson(row, names)),
      }
    },
  )

  endpoints.on(
    'put',
    '/kill-switch',
    {
      answer: SWITCHED,
      summary: 'Engage or release the kill switch for everything, an agent, a tool or an upstream',
      description: '200 once no further effect can start anywhere.',
      roles: OPERATORS,
      body: KILL,
      also: {
        202: { means: 'engaged, and the named replicas have not confirmed', answer: SWITCHED },
      },
      errors: ['not_found', 'no_such_scope'],
    },
    async ({ body: { engaged, scope, ...why }, caller: { name: actor } }) => {
      const reason = neededReason(why)
      const where = toScope(scope)
      if (!engaged) {
        await operations.releaseKill(where, reason, actor)
        await replica.beat()
        return { engaged: false, scope: where, reason, actor }
      }
      const { unconfirmed, recorded, covers, ...engagement } = await operations.engageKill(
        where,
        reason,
        actor,
      )
      await replica.beat()
      const isProven = recorded && unconfirmed.length === 0
      const { agent: agentId } = engagement.scope
      const body = {
        engaged: true,
        scope: { ...where, ...(agentId === null ? {} : { agent_id: agentId }) },
        covers,
        reason,
        actor,
        recorded,
        unconfirmed,
      }
      return new Reply(isProven ? 200 : 202, body)
    },
  )

  return endpoints
}

function toScope(scope: KillBody['scope'] = {}): KillScope {
  return { agent: scope.agent ?? null, tool: scope.tool ?? null, upstream: scope.upstream ?? null }
}

const agentsIn = (rows: readonly EngagedSwitch[]): string[] =>
  rows.flatMap(({ agent }) => (agent === '' ? [] : [agent]))

// Shown by the name it has today; held by the id.
function switchJson(row: EngagedSwitch, names: ReadonlyMap<string, string>) {
  const agent = names.get(row.agent) ?? (row.agent || null)
  return {
    scope: {
      agent,
      ...(row.agent === '' ? {} : { agent_id: row.agent }),
      tool: row.tool || null,
      upstream: row.upstream || null,
    },
    reason: row.reason,
    actor: row.actor,
    engaged_at: row.engagedAt.toISOString(),
  }
}
