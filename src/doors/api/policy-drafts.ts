import { agentOf } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import { microsFromText } from '../../lib/money.ts'
import type { AgentFacts, AgentStatus } from '../../model/facts.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Resource } from '../../model/request.ts'
import { formatFiles } from '../../lifecycle/format.ts'
import { invalid } from '../../lifecycle/publisher.ts'
import { givenFiles, type SentFile } from '../../lifecycle/sent-files.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { OPERATORS } from '../edge/roles.ts'
import { always, INTEGER, list, NUMBER, OUTLOOK, REASONS, STRING } from '../edge/schemas.ts'
import { NAME, object, OPEN, shape, TIME } from '../edge/validate.ts'
import { POLICY_BYTES_MAX, SENT_FILES } from './policy-publish.ts'

type Files = Record<string, SentFile>

interface Profile {
  readonly id?: string
  readonly name?: string
  readonly owner?: string
  readonly roles?: readonly string[]
  readonly status?: AgentStatus
  readonly properties?: JsonObject
}

interface TryBody {
  readonly files?: Files
  readonly agent?: string
  readonly profile?: Profile
  readonly tool: string
  readonly args?: JsonObject
  readonly context?: JsonObject
  readonly resource?: Resource
  readonly cost?: string
  readonly facts?: Readonly<Record<string, Json>>
  readonly at?: string
}

const NAMES = { type: 'array', items: NAME, minItems: 1, maxItems: 500, uniqueItems: true } as const
const ROLES = { ...NAMES, minItems: 0 } as const
const FILES = {
  ...SENT_FILES,
  description: `a draft, whole; default: what is live. ${SENT_FILES.description}`,
}
const PROFILE = object({
  id: NAME,
  name: NAME,
  owner: NAME,
  roles: ROLES,
  status: { enum: ['initializing', 'active', 'paused', 'stopped', 'retired'] },
  properties: OPEN,
})
const TRY = shape<TryBody>(
  object(
    {
      files: FILES,
      agent: { ...NAME, description: 'an agent of the registry, as it is now' },
      profile: { ...PROFILE, description: 'an agent that need not be' },
      tool: NAME,
      args: OPEN,
      context: OPEN,
      resource: object({ type: NAME, id: NAME }, ['type', 'id']),
      cost: { type: 'string', description: 'a declared cost' },
      facts: { ...OPEN, description: 'answers of look-ups, by name; none is made' },
      at: { ...TIME, description: 'the time that it sees; default: now' },
    },
    ['tool'],
  ),
)
const MATRIX = shape<{
  files?: Files
  agents?: string[]
  roles?: string[]
  tools?: string[]
}>(
  object({
    files: FILES,
    agents: { ...NAMES, description: 'agents of the registry' },
    roles: { ...NAMES, description: 'in place of agents: one that has this role alone, for each' },
    tools: { ...NAMES, description: 'default: all' },
  }),
)
const TEST = shape<{ files?: Files }>(object({ files: FILES }))
const TESTED = always({
  passed: INTEGER,
  failed: INTEGER,
  todo: INTEGER,
  results: list(
    always(
      {
        kind: { enum: ['rego', 'matrix'] },
        name: STRING,
        file: STRING,
        line: INTEGER,
        outcome: { enum: ['passed', 'failed', 'todo'] },
        want: STRING,
        got: STRING,
        stopped: {
          ...STRING,
          description: 'the first expression that did not hold, with its values',
        },
        decided_by: { ...list(STRING), description: 'guards and rules, strongest first' },
      },
      ['want', 'got', 'stopped', 'decided_by'],
    ),
  ),
  coverage: {
    anyOf: [
      always({
        percent: NUMBER,
        missed: {
          type: 'object',
          additionalProperties: list(INTEGER),
          description: 'lines that no test reaches, by file',
        },
      }),
      { type: 'null' },
    ],
    description: 'of Rego; null without `test_` rules',
  },
})
const FORMAT = shape<{ files: Record<string, string> }>(
  object(
    { files: { type: 'object', additionalProperties: { type: 'string' }, maxProperties: 500 } },
    ['files'],
  ),
)

/** `POST /policy/try`, `/policy/test`, `/policy/matrix`, `/policy/format`: questions that change nothing. */
export function policyDraftEndpoints(parts: PartsOf<'db' | 'lifecycle'>): Endpoints {
  const { db, lifecycle } = parts
  const endpoints = new Endpoints('policy', parts)
  const filesOf = async (files: Files | undefined) => files && givenFiles(files, lifecycle.history)

  endpoints.on(
    'post',
    '/policy/try',
    {
      answer: always({
        decision: { enum: ['allow', 'deny', 'require_approval'] },
        reasons: REASONS,
        shadow: REASONS,
        obligations: list(OPEN),
        trace: { ...list(OPEN), description: 'as `GET /actions/{id}/explain` has it' },
        revision: STRING,
      }),
      summary: 'What a policy would decide, and why; nothing is charged, counted, asked or sent',
      description:
        'Rates, budgets and windows hold an action only by what was taken before, which is not looked at.',
      roles: OPERATORS,
      body: TRY,
      bodyBytesMax: POLICY_BYTES_MAX,
      errors: ['not_found', 'policy_invalid'],
    },
    async ({ body }) => {
      const { decision, trace } = await lifecycle.drafts.try(await filesOf(body.files), {
        agent: await agentIn(body),
        tool: body.tool,
        args: body.args ?? {},
        context: body.context ?? {},
        resource: body.resource ?? null,
        costMicros: costIn(body.cost),
        facts: body.facts ?? {},
        atMs: body.at === undefined ? Date.now() : Date.parse(body.at),
      })
      return {
        decision: decision.effect,
        reasons: decision.reasons.map(reasonJson),
        shadow: decision.shadow.map(reasonJson),
        obligations: decision.obligations,
        trace,
        revision: decision.revision,
      }
    },
  )

  async function agentIn({ agent, profile }: TryBody): Promise<AgentFacts> {
    if ((agent === undefined) === (profile === undefined)) {
      throw new GatewayError('invalid_request', 'name an `agent`, or give a `profile`')
    }
    return agent === undefined ? profileOf(profile ?? {}) : agentOf(db, agent)
  }

  endpoints.on(
    'post',
    '/policy/test',
    {
      answer: TESTED,
      summary: 'Run the tests of a policy: matrices, `must_` cases and `test_` rules',
      description: 'A test that does not hold is a result. What does not load is 422.',
      roles: OPERATORS,
      body: TEST,
      bodyBytesMax: POLICY_BYTES_MAX,
      errors: ['not_found', 'policy_invalid'],
    },
    async ({ body }) => {
      const { results, coverage } = await lifecycle.drafts.test(
        (await filesOf(body.files)) ?? (await liveFiles()),
      )
      const count = (outcome: string) => results.filter((one) => one.outcome === outcome).length
      const [passed, failed, todo] = [count('passed'), count('failed'), count('todo')]
      return { passed, failed, todo, results, coverage }
    },
  )

  async function liveFiles() {
    const { files } = await lifecycle.history.read(parts.policies.current.revision)
    if (files) return files
    throw new GatewayError('not_found', 'the files of the live policy are not kept')
  }

  endpoints.on(
    'post',
    '/policy/matrix',
    {
      answer: always({
        revision: STRING,
        tools: list(STRING),
        rows: list(always({ agent: STRING, may: list(OUTLOOK) })),
      }),
      summary: 'What rules say of agents and tools, or of roles and tools',
      description: '`may` has a value for each of `tools`, in that order.',
      roles: OPERATORS,
      body: MATRIX,
      bodyBytesMax: POLICY_BYTES_MAX,
      errors: ['not_found', 'policy_invalid'],
    },
    async ({ body: { files, agents, roles, tools } }) => {
      if ((agents === undefined) === (roles === undefined)) {
        throw new GatewayError('invalid_request', 'name `agents` or `roles`')
      }
      const who = agents
        ? await Promise.all(agents.map((name) => agentOf(db, name)))
        : (roles ?? []).map((role) => profileOf({ name: role, roles: [role] }))
      const { may, ...rest } = await lifecycle.drafts.matrix(await filesOf(files), who, tools)
      return { ...rest, rows: who.map(({ name }, at) => ({ agent: name, may: may[at] ?? [] })) }
    },
  )

  endpoints.on(
    'post',
    '/policy/format',
    {
      answer: always({
        files: { type: 'object', additionalProperties: STRING },
        changed: list(STRING),
      }),
      summary: 'Rego in the one layout; of other texts only the end of the line is mended',
      roles: OPERATORS,
      body: FORMAT,
      errors: ['policy_invalid'],
    },
    ({ body: { files } }) => {
      const result = formatFiles(files)
      if (!result.ok) throw invalid(result.diagnostics, parts.policies.current.revision)
      const changed = Object.keys(files).filter((name) => files[name] !== result.files[name])
      return { files: result.files, changed }
    },
  )

  return endpoints
}

const reasonJson = ({
  code,
  message,
  source,
}: {
  code: string
  message: string
  source: string
}) => ({
  code,
  message,
  source,
})

function profileOf(given: Profile): AgentFacts {
  const { name = 'draft', owner = 'draft', roles = [], status = 'active' } = given
  return { id: given.id ?? name, name, owner, roles, status, properties: given.properties ?? {} }
}

function costIn(cost: string | undefined): bigint | null {
  if (cost === undefined) return null
  const micros = microsFromText(cost)
  if (micros !== undefined) return micros
  throw new GatewayError('invalid_request', '`cost` is an amount such as "0.05"')
}
