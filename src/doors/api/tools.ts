import { agentOf } from '../../agents/registry.ts'
import { agentAsked } from '../../agents/known.ts'
import { GatewayError } from '../../errors.ts'
import type { Tool, Upstream } from '../../model/tool.ts'
import { toolsFor } from '../../operations/tools.ts'
import { isWorking, type UpstreamState } from '../../telemetry/upstream-health.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ACTORS, OPERATORS } from '../edge/roles.ts'
import { always, AT, INTEGER, list, NUMBER, OUTLOOK, STRING } from '../edge/schemas.ts'
import { NAME, OPEN, params } from '../edge/validate.ts'

const TOOLS = always({
  tools: list(
    always({
      name: STRING,
      description: STRING,
      args: { ...OPEN, description: 'JSON Schema of the args' },
      effect: { enum: ['read', 'write', 'irreversible'] },
      upstream: STRING,
      method: STRING,
      path: STRING,
      may: OUTLOOK,
    }),
  ),
})
const MAYBE_INTEGER = { type: ['integer', 'null'] } as const
const LATENCY = always({ last: NUMBER, mean: NUMBER, max: NUMBER })
const LAST = always({
  at: AT,
  result: { enum: ['answered', 'not_sent', 'unknown'] },
  status: MAYBE_INTEGER,
})
const UPSTREAMS = always({
  upstreams: list(
    always({
      name: STRING,
      protocol: STRING,
      base_url: STRING,
      health: { enum: ['ok', 'failing', 'unknown'] },
      calls: INTEGER,
      answered: INTEGER,
      not_sent: INTEGER,
      unknown: INTEGER,
      latency_ms: { anyOf: [LATENCY, { type: 'null' }] },
      last: { anyOf: [LAST, { type: 'null' }] },
    }),
  ),
})
const ASKED = params<{ agent?: string }>({
  agent: { ...NAME, description: 'whose view it is; for operators, an agent has its own' },
})

/** `GET /tools`: what an agent can do; `GET /upstreams`: how those that are called are doing. */
export function toolEndpoints(parts: PartsOf<'db' | 'metrics'>): Endpoints {
  const { db, metrics, policies } = parts
  const endpoints = new Endpoints('tools', parts)

  endpoints.on(
    'get',
    '/tools',
    {
      summary: 'The tools there are, and what rules say of an agent that would use them',
      description:
        'Bounds that each call is held against (rates, budgets, texts) are not part of it: `POST /act` with ' +
        '`dry_run` answers for one call.',
      roles: ACTORS,
      query: ASKED,
      errors: ['not_found', 'invalid_request'],
      answer: TOOLS,
    },
    async ({ caller, query: { agent: named } }) => {
      const id = await agentAsked(db, caller, named)
      if (id === undefined) throw new GatewayError('invalid_request', 'name an `agent`')
      const all = toolsFor(await agentOf(db, id), policies.current)
      return { tools: all.map(({ tool, may }) => ({ ...toolJson(tool), may })) }
    },
  )

  endpoints.on(
    'get',
    '/upstreams',
    {
      summary: 'How upstreams have done since this replica started, from the calls it made',
      roles: OPERATORS,
      answer: UPSTREAMS,
    },
    () => {
      const all = [...policies.current.upstreams.values()]
      return { upstreams: all.map((one) => upstreamJson(one, metrics.upstreams.of(one.name))) }
    },
  )

  return endpoints
}

const toolJson = ({
  name,
  description,
  argsSchema,
  effectClass,
  upstream,
  method,
  path,
}: Tool) => ({
  name,
  description,
  args: argsSchema,
  effect: effectClass,
  upstream,
  method,
  path,
})

function upstreamJson({ name, protocol, baseUrl }: Upstream, state: UpstreamState | undefined) {
  const works = isWorking(state)
  return {
    name,
    protocol,
    base_url: baseUrl,
    health: works === null ? 'unknown' : works ? 'ok' : 'failing',
    calls: state?.calls ?? 0,
    answered: state?.answered ?? 0,
    not_sent: state?.notSent ?? 0,
    unknown: state?.unknown ?? 0,
    latency_ms: state ? latencyJson(state) : null,
    last: state ? lastJson(state) : null,
  }
}

const latencyJson = ({ last, secondsMean, secondsMax }: UpstreamState) => ({
  last: milliseconds(last.seconds),
  mean: milliseconds(secondsMean),
  max: milliseconds(secondsMax),
})

const lastJson = ({ last: { atMs, result, status } }: UpstreamState) => ({
  at: new Date(atMs).toISOString(),
  result,
  status,
})

const milliseconds = (seconds: number): number => Math.round(seconds * 1_000_000) / 1000
