import { GatewayError } from '../../errors.ts'
import type { Json } from '../../model/json.ts'
import type { Outcome } from '../../lifecycle/publisher.ts'
import { givenFiles, type SentFile } from '../../lifecycle/sent-files.ts'
import {
  type HeldPublish,
  listPublishes,
  PUBLISH_STATUSES,
  type PublishVote,
} from '../../record/policy-publishes.ts'
import { header } from '../edge/context.ts'
import { type Asked, Endpoints, Reply } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { ADMINS, OPERATORS, READERS } from '../edge/roles.ts'
import {
  always,
  AT,
  BOOLEAN,
  DIAGNOSTICS,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  page,
  STRING,
} from '../edge/schemas.ts'
import { nextCursor, object, PAGE, PAGE_DEFAULT, params, shape } from '../edge/validate.ts'
import { diffJson, DIFF_MEMBERS } from './policy-history.ts'
import { neededReason, REASON, reasonIn, type ReasonBody } from './reason.ts'

const SHA256 = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const
/** Files as they are sent: texts, bytes, or the digest of a content that the gate has already. */
export const SENT_FILES = {
  type: 'object',
  minProperties: 1,
  additionalProperties: {
    anyOf: [
      { type: 'string' },
      object({ base64: { type: 'string' } }, ['base64']),
      object({ sha256: SHA256 }, ['sha256']),
    ],
  },
  description:
    'path → text, `{base64}` for what is no text, or `{sha256}` of a content that the gate keeps',
} as const
/** Of a body with the files of a policy; what is larger comes as digests, or in the directory. */
export const POLICY_BYTES_MAX = 16 << 20

const PUBLISH = shape<{ files: Record<string, SentFile> } & ReasonBody>(
  object({ files: SENT_FILES, ...REASON }, ['files']),
)
const ROLLBACK = shape<ReasonBody & { revision: string }>(
  object({ revision: { type: 'string', pattern: '^[0-9a-f]{8,64}$' }, ...REASON }, ['revision']),
)
const DRY_RUN = params<{ dry_run?: boolean }>({
  dry_run: {
    type: 'boolean',
    description: 'check, test and ask the cases that no revision may get wrong, and change nothing',
  },
})
const LIST = params<{ limit?: number; cursor?: string }>({ ...PAGE })
const VOTE = shape<ReasonBody>(object(REASON))

export const OUTCOME = always(
  {
    revision: STRING,
    parent: STRING,
    changed: { ...BOOLEAN, description: 'false: the same files were the policy already' },
    source: { enum: ['directory', 'database'], description: 'where the policy is kept' },
    dry_run: { const: true },
    warnings: DIAGNOSTICS,
    unconfirmed: {
      ...list(STRING),
      description: 'replicas that decide by another revision still, after a second',
    },
  },
  ['dry_run'],
)
const PUBLISH_MEMBERS = {
  id: STRING,
  revision: STRING,
  base: STRING,
  author: STRING,
  note: STRING,
  status: { enum: [...PUBLISH_STATUSES] },
  quorum: INTEGER,
  roles: list(STRING),
  created_at: AT,
  expires_at: AT,
  decided_at: MAYBE_AT,
}
export const HELD = always({ publish: always(PUBLISH_MEMBERS), next_action: STRING })
const VOTES = list(
  always({ approver: STRING, vote: { enum: ['approve', 'deny'] }, reason: MAYBE_STRING, at: AT }),
)
const ONE = always({
  ...PUBLISH_MEMBERS,
  votes: VOTES,
  diff: { anyOf: [always(DIFF_MEMBERS), { type: 'null' }] },
})
const VOTED = always({
  publish: always(PUBLISH_MEMBERS),
  outcome: { anyOf: [OUTCOME, { type: 'null' }], description: 'null: it waits for more votes' },
})
const ENDED = always({ publish: always(PUBLISH_MEMBERS) })
const PUBLISHING = ['stale_revision', 'policy_invalid', 'read_only_policy', 'conflict'] as const

type Parts = PartsOf<'db' | 'lifecycle'>

/** `PUT /policy/files`, `POST /policy/rollback`, and what waits for other people: `/policy/publishes`. */
export function policyPublishEndpoints(parts: Parts): Endpoints {
  const endpoints = new Endpoints('policy', parts)

  endpoints.on(
    'put',
    '/policy/files',
    {
      answer: OUTCOME,
      summary: 'Publish a policy: all of its files, or nothing',
      description:
        'Checked, tested and recorded before it decides anything. `If-Match` names the revision that it was made from; ' +
        'where another one is live by then, nothing happens. Where the policy is a directory, it is written there, on ' +
        'the replica that answers; where it is the database, every replica follows.',
      roles: ADMINS,
      query: DRY_RUN,
      body: PUBLISH,
      bodyBytesMax: POLICY_BYTES_MAX,
      headers: { 'If-Match': 'the revision that it was made from, in quotes' },
      errors: PUBLISHING,
      also: { 202: { means: 'Held, until other people agree', answer: HELD } },
    },
    (asked) => publish(parts, asked),
  )

  endpoints.on(
    'post',
    '/policy/rollback',
    {
      answer: OUTCOME,
      summary: 'Go back to a revision that was live before',
      description:
        'Needs nobody else. Its own tests are run and told, and do not stop it; the `must_deny` cases of what is ' +
        'live do.',
      roles: OPERATORS,
      query: DRY_RUN,
      body: ROLLBACK,
      errors: ['not_found', ...PUBLISHING],
    },
    async ({ body: { revision, ...why }, query: { dry_run: isDry = false }, caller }) => {
      const reason = neededReason(why)
      const { history, publisher } = parts.lifecycle
      const { made, files } = await history.read(revision)
      if (!(await history.wasLive(made.revision))) {
        throw new GatewayError('conflict', 'that revision was never the policy: publish it')
      }
      if (!files) throw new GatewayError('conflict', 'the files of that revision are not kept')
      const base = parts.policies.current.revision
      if (isDry) return dryJson(parts, await publisher.rehearse({ given: files, base }, true), base)
      return outcomeJson(parts, await publisher.rollback(files, caller.name, reason))
    },
  )

  endpoints.on(
    'get',
    '/policy/publishes',
    {
      answer: page('publishes', always(PUBLISH_MEMBERS)),
      summary: 'Publishes that wait, or waited, for other people; newest first',
      roles: READERS,
      query: LIST,
    },
    async ({ query: { limit = PAGE_DEFAULT, cursor = null } }) => {
      const rows = await listPublishes(parts.db, { before: cursor, limit })
      return { publishes: rows.map(publishJson), next_cursor: nextCursor(rows, limit) }
    },
  )

  endpoints.on(
    'get',
    '/policy/publishes/:id',
    {
      answer: ONE,
      summary: 'One of them, with its votes and what it would change',
      roles: READERS,
      errors: ['not_found'],
    },
    async ({ id }) => {
      const { publishes } = parts.lifecycle
      const { publish: one, votes } = await publishes.read(id)
      const diff = await publishes.diff(one)
      return {
        ...publishJson(one),
        votes: votes.map(voteJson),
        diff: diff && diffJson(diff),
      }
    },
  )

  endpoints.on(
    'post',
    '/policy/publishes/:id/approve',
    {
      answer: VOTED,
      summary: 'Agree to a publish; the last vote that it needs publishes it',
      roles: READERS,
      body: VOTE,
      errors: ['not_found', ...PUBLISHING],
    },
    async ({ id, body, caller }) => {
      const voted = await parts.lifecycle.publishes.approve(id, caller, reasonIn(body))
      const outcome = voted.outcome && outcomeJson(parts, voted.outcome)
      return { publish: publishJson(voted.publish), outcome }
    },
  )

  for (const choice of ['deny', 'cancel'] as const) {
    endpoints.on(
      'post',
      `/policy/publishes/:id/${choice}`,
      {
        answer: ENDED,
        summary:
          choice === 'deny' ? 'Refuse a publish' : 'Withdraw a publish: its author, or an admin',
        roles: READERS,
        body: VOTE,
        errors: ['not_found', 'conflict'],
      },
      async ({ id, body, caller }) => {
        const ended = await parts.lifecycle.publishes[choice](id, caller, reasonIn(body))
        return { publish: publishJson(ended) }
      },
    )
  }

  return endpoints
}

type PublishAsked = Asked<
  { readonly files: Record<string, SentFile> } & ReasonBody,
  { readonly dry_run?: boolean }
>

async function publish(parts: Parts, { req, body, query, caller }: PublishAsked) {
  const { publisher, publishes, history } = parts.lifecycle
  const base = baseIn(header(req, 'if-match'))
  const live = await publisher.assertBase(base)
  const given = await givenFiles(body.files, history)
  const { name: author } = caller
  const wanted = { given, base, note: reasonIn(body), author }
  if (query.dry_run) return dryJson(parts, await publisher.rehearse(wanted), base)
  if (publisher.source === 'database' && live.publishing) {
    const held = await publishes.hold(wanted, live.publishing)
    const next = `${held.quorum} other people (${held.roles.join(', ')}) agree by POST /policy/publishes/${held.id}/approve`
    return new Reply(202, { publish: publishJson(held), next_action: next })
  }
  return outcomeJson(parts, await publisher.publish(wanted))
}

/** The revision of an `If-Match`, with or without its quotes. */
function baseIn(given: string | undefined): string {
  const [, base] = /^"?([0-9a-f]{64})"?$/.exec(given ?? '') ?? []
  if (base !== undefined) return base
  const message = 'If-Match names the revision that this was made from, such as that of GET /policy'
  throw new GatewayError('invalid_request', message)
}

export function outcomeJson(
  { lifecycle }: Pick<Parts, 'lifecycle'>,
  { bundle, parent, changed, unconfirmed }: Outcome,
) {
  const { revision, warnings } = bundle
  const { source } = lifecycle.publisher
  return { revision, parent, changed, source, warnings: warnings as unknown as Json, unconfirmed }
}

const dryJson = (parts: Parts, bundle: Outcome['bundle'], parent: string) => {
  const changed = bundle.revision !== parent
  return { ...outcomeJson(parts, { bundle, parent, changed, unconfirmed: [] }), dry_run: true }
}

export const publishJson = (one: HeldPublish) => ({
  id: one.id,
  revision: one.revision,
  base: one.base,
  author: one.author,
  note: one.note,
  status: one.status,
  quorum: one.quorum,
  roles: one.roles,
  created_at: one.createdAt.toISOString(),
  expires_at: one.expiresAt.toISOString(),
  decided_at: one.decidedAt?.toISOString() ?? null,
})

const voteJson = ({ approver, vote, reason, at }: PublishVote) => ({
  approver,
  vote,
  reason: reason || null,
  at: at.toISOString(),
})
