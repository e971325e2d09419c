import { knownAgentFor, sees, shownTo } from '../../agents/known.ts'
import type { Agent } from '../../agents/agent.ts'
import type { Caller } from '../../agents/keys.ts'
import { findAgent } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Scenario } from '../../rehearsal/rehearsal.ts'
import { SCENARIO_ACTIONS_MAX } from '../../rehearsal/sandbox.ts'
import { findRun, listRuns, type SandboxRun } from '../../record/sandbox-runs.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, ANYONE } from '../edge/roles.ts'
import { always, AT, INTEGER, list, MAYBE_AT, MAYBE_STRING, page, STRING } from '../edge/schemas.ts'
import {
  MONEY,
  NAME,
  object,
  PAGE,
  nextCursor,
  PAGE_DEFAULT,
  params,
  shape,
  TEXT,
  TIME,
  OPEN,
} from '../edge/validate.ts'

const EFFECT = { enum: ['allow', 'deny', 'require_approval'] }
const RUN = shape<{ scenario: Scenario }>(
  object(
    {
      scenario: object(
        {
          name: NAME,
          at: { ...TIME, description: 'when it plays; now, unless it says' },
          facts: { ...OPEN, description: 'answers of look-ups, by name' },
          state: {
            type: 'object',
            additionalProperties: MONEY,
            description: 'what counters begin at, by guard id',
          },
          actions: {
            type: 'array',
            minItems: 1,
            maxItems: SCENARIO_ACTIONS_MAX,
            items: object(
              {
                tool: NAME,
                args: OPEN,
                resource: object({ type: NAME, id: NAME }, ['type', 'id']),
                context: OPEN,
                reason: TEXT,
                cost: MONEY,
                facts: OPEN,
                expect: object({ effect: EFFECT, decision: EFFECT, reason: NAME }),
              },
              ['tool'],
            ),
          },
        },
        ['actions'],
      ),
    },
    ['scenario'],
  ),
)

const RUN_ANSWER = always(
  {
    run_id: STRING,
    agent: STRING,
    name: STRING,
    status: { enum: ['queued', 'running', 'passed', 'failed', 'error'] },
    error: STRING,
    steps: list(OPEN),
    revision: MAYBE_STRING,
    requested_by: STRING,
    attempts: INTEGER,
    created_at: AT,
    started_at: MAYBE_AT,
    finished_at: MAYBE_AT,
  },
  ['error'],
)

const LIST = params<{ limit?: number; cursor?: string }>(PAGE)

/** Sandbox runs: a scenario played for an agent, with no effect anywhere. */
export function sandboxEndpoints(parts: PartsOf<'db' | 'sandbox'>): Endpoints {
  const { db, sandbox } = parts
  const endpoints = new Endpoints('sandbox', parts)

  endpoints.write(
    'post',
    '/api/v1/agents/:id/sandbox/run',
    {
      summary: 'Queue a scenario to be played for an agent through the live policy',
      description:
        'No upstream call, no action, no budget: counters live as long as the run. Look-ups are answered ' +
        'by the `facts` of the scenario; one that is missing denies, as it would in life.',
      roles: ACTORS,
      body: RUN,
      status: 202,
      answer: always({ ok: { const: true }, run_id: STRING, status: { const: 'queued' } }),
      errors: ['not_found', 'payload_too_large', 'rate_limited', 'audit_unavailable'],
    },
    async ({ id, body, caller }) => sandbox.queue(await visible(id, caller), body.scenario, caller),
  )

  endpoints.on(
    'get',
    '/api/v1/agents/:id/sandbox/runs',
    {
      summary: 'List the sandbox runs of an agent, newest first',
      roles: ANYONE,
      query: LIST,
      answer: page('runs', RUN_ANSWER),
      errors: ['not_found'],
    },
    async ({ id, caller, query: { limit = PAGE_DEFAULT, cursor = null } }) => {
      const agent = await knownAgentFor(db, caller, id)
      const runs = await listRuns(db, { agentId: agent.id, before: cursor, limit })
      return { runs: runs.map((run) => runJson(run, caller)), next_cursor: nextCursor(runs, limit) }
    },
  )

  endpoints.on(
    'get',
    '/api/v1/sandbox/runs/:id',
    {
      summary: 'Read a sandbox run, step by step',
      roles: ANYONE,
      answer: RUN_ANSWER,
      errors: ['not_found'],
    },
    async ({ id, caller }) => runJson(shownTo(caller, await findRun(db, id), 'run', id), caller),
  )

  /** The agent, unless another one asks: an agent learns nothing of its like. */
  async function visible(id: string, caller: Caller): Promise<Agent> {
    const agent = await findAgent(db, id)
    if (agent && sees(caller, agent.id)) return agent
    throw new GatewayError('not_found', `there is no agent \`${id.slice(0, 64)}\``)
  }

  return endpoints
}

function runJson(run: SandboxRun, { role }: Caller): JsonObject {
  const steps = JSON.parse(run.steps) as JsonObject[]
  return {
    run_id: run.id,
    agent: run.agentId,
    name: run.name,
    status: run.status,
    ...(run.error === '' ? {} : { error: run.error }),
    steps: role === 'agent' ? steps.map(withoutPlaces) : steps,
    revision: run.revision === '' ? null : run.revision,
    requested_by: run.requestedBy,
    attempts: run.attempts,
    created_at: run.createdAt.toISOString(),
    started_at: run.startedAt?.toISOString() ?? null,
    finished_at: run.finishedAt?.toISOString() ?? null,
  }
}

// As with `explain`: an agent is told the rule, not where in the policy it stands or what shadows do.
function withoutPlaces({ tool, effect, reasons, expected, met }: JsonObject): JsonObject {
  const told = (reasons as JsonObject[]).map(({ code, message, source }) => ({
    code: code ?? '',
    message: message ?? '',
    source: source ?? '',
  }))
  return {
    tool: tool ?? '',
    effect: effect ?? '',
    reasons: told,
    expected: expected ?? null,
    met: met ?? null,
  }
}
