import { agentOf } from '../../agents/registry.ts'
import { GatewayError } from '../../errors.ts'
import type { CanaryRead } from '../../lifecycle/canary/canaries.ts'
import { abortJson } from '../../lifecycle/canary/entries.ts'
import { type CanaryFigures, figuresOf } from '../../lifecycle/canary/abort-when.ts'
import { givenFiles, type SentFile } from '../../lifecycle/sent-files.ts'
import type { GivenFiles } from '../../policy/store.ts'
import { type AbortWhen, CANARY_ENDS, CANARY_STATUSES } from '../../record/policy-canaries.ts'
import { Endpoints, Reply } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ADMINS, OPERATORS, READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  COUNTS,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  STRING,
} from '../edge/schemas.ts'
import { NAME, object, shape, TIME } from '../edge/validate.ts'
import {
  HELD,
  OUTCOME,
  outcomeJson,
  POLICY_BYTES_MAX,
  publishJson,
  SENT_FILES,
} from './policy-publish.ts'
import { neededReason, REASON, reasonIn, type ReasonBody } from './reason.ts'

interface CanaryBody extends ReasonBody {
  readonly files?: Record<string, SentFile>
  readonly revision?: string
  readonly mode: 'compare' | 'enforce'
  readonly percent: number
  readonly agents?: readonly string[]
  readonly roles?: readonly string[]
  readonly until: string
  readonly abort_when: AbortBody
}

interface AbortBody {
  readonly errors?: number
  readonly deny_rate_x?: number
  readonly new_denials?: number
  readonly unplayable?: number
  readonly late?: number
}

const NAMES = { type: 'array', minItems: 1, maxItems: 1_000, items: NAME } as const
const AT_LEAST_ONE = { type: 'integer', minimum: 1 } as const
const ABORT_WHEN = {
  ...object({
    errors: { ...AT_LEAST_ONE, description: 'so many decisions in which the candidate failed' },
    deny_rate_x: {
      type: 'number',
      exclusiveMinimum: 1,
      description:
        'as many times as many denials as the live policy has of the same decisions, of which there have to be 20',
    },
    new_denials: {
      ...AT_LEAST_ONE,
      description: 'so many denials of what the live policy does not deny',
    },
    unplayable: {
      ...AT_LEAST_ONE,
      description:
        'so many actions about which one of the two cannot be asked: it takes the request for another call (a route that is gone), or needs a look-up that was not made',
    },
    late: {
      ...AT_LEAST_ONE,
      description:
        'so many decisions in which the one that does not decide got no turn in 250 ms, which each of them waited',
    },
  }),
  minProperties: 1,
  description: 'it ends by itself when the last five minutes have one of these, on all replicas',
} as const
const MODE = {
  enum: ['compare', 'enforce'],
  description: '`compare`: the candidate is only asked; `enforce`: it decides for its share',
} as const
const START = shape<CanaryBody>(
  object(
    {
      files: { ...SENT_FILES, description: `the candidate, whole. ${SENT_FILES.description}` },
      revision: {
        type: 'string',
        pattern: '^[0-9a-f]{8,64}$',
        description: 'or a revision that is kept',
      },
      mode: MODE,
      percent: {
        type: 'integer',
        minimum: 1,
        maximum: 100,
        description: 'of the agents; each is always on one side',
      },
      agents: { ...NAMES, description: 'of these alone, by name or id' },
      roles: { ...NAMES, description: 'of those alone that have one of these' },
      until: { ...TIME, description: 'when it ends' },
      abort_when: ABORT_WHEN,
      ...REASON,
    },
    ['mode', 'percent', 'until', 'abort_when'],
  ),
)
const PROMOTE = shape<ReasonBody>(object(REASON))
const ABORT = shape<ReasonBody>(object(REASON))

const CANARY = always({
  id: STRING,
  status: { enum: [...CANARY_STATUSES] },
  revision: { ...STRING, description: 'of the candidate' },
  base: { ...STRING, description: 'what was live when it began' },
  mode: MODE,
  percent: INTEGER,
  agents: { anyOf: [list(STRING), { type: 'null' }], description: 'ids; null: any' },
  roles: { anyOf: [list(STRING), { type: 'null' }], description: 'null: any' },
  until: AT,
  abort_when: ABORT_WHEN,
  author: STRING,
  note: MAYBE_STRING,
  started_at: AT,
  ended_at: MAYBE_AT,
  ended_by: { ...MAYBE_STRING, description: 'null: it ended by itself, or runs' },
  ended_because: {
    anyOf: [always({ code: { enum: [...CANARY_ENDS] }, message: STRING }), { type: 'null' }],
  },
  changes: {
    anyOf: [COUNTS, { type: 'null' }],
    description:
      'decisions that both were asked about, from what the live one says to what the candidate says, such as `allow_deny`; ' +
      '`same`, `reasons` (the same effect for other reasons), `error`, `unplayable` (the other one could not be asked), ' +
      '`late` (it did not get its turn in time); null: cannot be read at the moment',
  },
  last_5_min: {
    anyOf: [
      always({
        decisions: INTEGER,
        errors: INTEGER,
        denied_live: INTEGER,
        denied_by_candidate: INTEGER,
        new_denials: INTEGER,
        unplayable: INTEGER,
        late: INTEGER,
      }),
      { type: 'null' },
    ],
    description: 'null: cannot be read at the moment',
  },
})
const ONE = always({ canary: CANARY })
const MAYBE_ONE = always({
  canary: {
    anyOf: [CANARY, { type: 'null' }],
    description: 'the one that runs, or ran last; null: there never was one',
  },
})

/** `/policy/canary`: a policy on trial beside the live one. */
export function policyCanaryEndpoints(parts: PartsOf<'db' | 'lifecycle'>): Endpoints {
  const { db, lifecycle } = parts
  const endpoints = new Endpoints('policy', parts)

  endpoints.on(
    'post',
    '/policy/canary',
    {
      answer: ONE,
      summary:
        'Try a policy beside the live one: compare it, or let it decide for a share of the agents',
      description:
        'Checked and tested as one that is published. One at a time; it is the same on all replicas and survives ' +
        'restarts. It ends when it is promoted or aborted, by `until`, by `abort_when`, and when another policy is published.',
      roles: ADMINS,
      body: START,
      bodyBytesMax: POLICY_BYTES_MAX,
      status: 201,
      errors: [
        ...(['not_found', 'conflict', 'policy_invalid', 'stale_revision'] as const),
        'audit_unavailable',
      ],
    },
    async ({ body, caller }) => {
      const { mode, percent, roles = null, until, abort_when: abortWhen } = body
      const wanted = { mode, percent, roles, note: reasonIn(body), author: caller.name }
      const started = await lifecycle.canaries.start({
        ...wanted,
        agents: await idsOf(body.agents),
        untilAt: inTheFuture(until),
        abortWhen: conditions(abortWhen),
        given: await candidate(body),
      })
      return { canary: canaryJson(started) }
    },
  )

  endpoints.on(
    'get',
    '/policy/canary',
    {
      answer: MAYBE_ONE,
      summary: 'The policy that is on trial, or was last, and what came of it',
      roles: READERS,
    },
    async () => {
      const read = await lifecycle.canaries.read()
      return { canary: read ? canaryJson(read) : null }
    },
  )

  endpoints.on(
    'post',
    '/policy/canary/promote',
    {
      answer: OUTCOME,
      summary: 'Publish the policy that is on trial',
      description:
        'By the rules of `PUT /policy/files`: where other people have to agree, it is held.',
      roles: ADMINS,
      body: PROMOTE,
      errors: ['stale_revision', 'policy_invalid', 'read_only_policy', 'conflict'],
      also: { 202: { means: 'Held, until other people agree', answer: HELD } },
    },
    async ({ body, caller }) => {
      const promoted = await lifecycle.canaries.promote(caller.name, reasonIn(body))
      if ('outcome' in promoted) return outcomeJson(parts, promoted.outcome)
      const next_action = `others agree by POST /policy/publishes/${promoted.held.id}/approve; it runs until then`
      return new Reply(202, { publish: publishJson(promoted.held), next_action })
    },
  )

  endpoints.on(
    'post',
    '/policy/canary/abort',
    {
      answer: ONE,
      summary: 'End the trial: the live policy decides for all again',
      roles: OPERATORS,
      body: ABORT,
      errors: ['conflict', 'audit_unavailable'],
    },
    async ({ body, caller }) => ({
      canary: canaryJson(await lifecycle.canaries.abort(caller.name, neededReason(body))),
    }),
  )

  async function candidate({ files, revision }: CanaryBody): Promise<GivenFiles> {
    if ((files === undefined) === (revision === undefined)) {
      throw new GatewayError('invalid_request', 'give `files`, or name a `revision`')
    }
    if (files) return givenFiles(files, lifecycle.history)
    const kept = await lifecycle.history.read(revision ?? '')
    if (!kept.files) throw new GatewayError('conflict', 'the files of that revision are not kept')
    if (!kept.files.standIn) return kept.files
    throw new GatewayError('conflict', 'that revision was loaded by path, and cannot be promoted')
  }

  async function idsOf(agents: readonly string[] | undefined): Promise<string[] | null> {
    if (!agents) return null
    return Promise.all(agents.map(async (named) => (await agentOf(db, named)).id))
  }

  return endpoints
}

const conditions = (given: AbortBody): AbortWhen => ({
  errors: given.errors ?? null,
  denyRateX: given.deny_rate_x ?? null,
  newDenials: given.new_denials ?? null,
  unplayable: given.unplayable ?? null,
  late: given.late ?? null,
})

function inTheFuture(text: string): Date {
  const until = new Date(text)
  if (until.getTime() > Date.now()) return until
  throw new GatewayError('invalid_request', '`until` is over')
}

function canaryJson({ canary, standing }: CanaryRead) {
  return {
    id: canary.id,
    status: canary.status,
    revision: canary.revision,
    base: canary.base,
    mode: canary.mode,
    percent: canary.percent,
    agents: canary.agents,
    roles: canary.roles,
    until: canary.untilAt.toISOString(),
    abort_when: abortJson(canary),
    author: canary.author,
    note: canary.note || null,
    started_at: canary.startedAt.toISOString(),
    ended_at: canary.endedAt?.toISOString() ?? null,
    ended_by: canary.endedBy || null,
    ended_because:
      canary.endCode === '' ? null : { code: canary.endCode, message: canary.endReason },
    changes: standing && Object.fromEntries(standing.total.map(({ change, n }) => [change, n])),
    last_5_min: standing && recentJson(figuresOf(standing.recent)),
  }
}

const recentJson = (figures: CanaryFigures) => ({
  decisions: figures.decisions,
  errors: figures.errors,
  denied_live: figures.deniedLive,
  denied_by_candidate: figures.deniedByCandidate,
  new_denials: figures.newDenials,
  unplayable: figures.unplayable,
  late: figures.late,
})
