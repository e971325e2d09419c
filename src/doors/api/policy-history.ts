import { GatewayError } from '../../errors.ts'
import type { Json } from '../../model/json.ts'
import { diffPolicies, type PolicyDiff } from '../../lifecycle/diff.ts'
import type { KeptRevision } from '../../lifecycle/history.ts'
import { listPublications, type Publication } from '../../record/policy-revisions.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { READERS } from '../edge/roles.ts'
import {
  always,
  ANY,
  AT,
  BOOLEAN,
  COUNTS,
  INTEGER,
  list,
  MAYBE_AT,
  MAYBE_STRING,
  STRING,
} from '../edge/schemas.ts'
import { NAME, PAGE, PAGE_DEFAULT, params } from '../edge/validate.ts'

const REVISION = {
  type: 'string',
  pattern: '^[0-9a-f]{8,64}$',
  description: 'a revision, or its beginning from 8 characters on',
} as const
const FILES = params<{ revision?: string; path?: string }>({
  revision: { ...REVISION, description: `${REVISION.description}; default: the live one` },
  path: { ...NAME, description: 'this file alone' },
})
const LIST = params<{ limit?: number; cursor?: string }>({
  ...PAGE,
  cursor: { type: 'string', pattern: '^[1-9][0-9]{0,14}$' },
})
const BETWEEN = params<{ from: string; to?: string }>(
  {
    from: REVISION,
    to: { ...REVISION, description: `${REVISION.description}; default: the live one` },
  },
  ['from'],
)

const PUBLICATION = always({
  n: { ...INTEGER, description: 'its place in the order, from 1' },
  revision: STRING,
  parent: MAYBE_STRING,
  author: MAYBE_STRING,
  source: { enum: ['directory', 'bundle', 'api', 'rollback', 'environment'] },
  note: MAYBE_STRING,
  files_changed: list(STRING),
  tests: always({
    must: { ...INTEGER, description: 'cases of `must_deny` and `must_allow`, which hold' },
    failed: { ...INTEGER, description: 'tests that do not hold, which a rollback only tells' },
  }),
  published_at: AT,
  retired_at: MAYBE_AT,
})
const FILE = { path: STRING, sha256: STRING, bytes: INTEGER }
const FILE_WITH_CONTENT = always(
  {
    ...FILE,
    content: { ...STRING, description: 'of a text' },
    base64: { ...STRING, description: 'of what is no text' },
    omitted: { const: true, description: 'too large to be one of many: ask for it by `path`' },
  },
  ['content', 'base64', 'omitted'],
)
const FILES_ANSWER = always(
  {
    revision: STRING,
    live: BOOLEAN,
    stand_in: { ...STRING, description: 'a file that was loaded in place of gate.yaml' },
    files: list(FILE_WITH_CONTENT),
  },
  ['stand_in'],
)
const REVISION_ANSWER = always({
  revision: STRING,
  live: BOOLEAN,
  files: list(always(FILE)),
  files_kept: { ...BOOLEAN, description: 'whether their contents are kept still' },
  counts: COUNTS,
  publications: list(PUBLICATION),
})
const CHANGE = { enum: ['added', 'removed', 'changed'] }
export const DIFF_MEMBERS = {
  files: list(
    always({
      path: STRING,
      change: CHANGE,
      diff: { ...MAYBE_STRING, description: 'null: no text, or too much of it differs' },
    }),
  ),
  meaning: {
    ...list(always({ kind: STRING, name: STRING, change: CHANGE, before: ANY, after: ANY })),
    description: 'guards, permissions, budgets, rates, tools, upstreams and settings, by name',
  },
}
const DIFF_ANSWER = always({ from: STRING, to: STRING, ...DIFF_MEMBERS })

/** Contents of one answer together; larger ones come one by one. */
const CONTENT_BYTES_MAX = 8 << 20
const PUBLICATIONS_MAX = 100

/** `GET /policy/files`, `/policy/revisions`, `/policy/revisions/{revision}`, `/policy/diff`. */
export function policyHistoryEndpoints(parts: PartsOf<'db' | 'lifecycle'>): Endpoints {
  const { db, policies } = parts
  const endpoints = new Endpoints('policy', parts)
  const isLive = (revision: string) => policies.current.revision === revision
  const read = (named = policies.current.revision) => parts.lifecycle.history.read(named)

  endpoints.on(
    'get',
    '/policy/files',
    {
      answer: FILES_ANSWER,
      summary: 'The files of the live policy, or of a past revision, as they were written',
      description: 'Values from the environment are not in it: `${NAME}` stays `${NAME}`.',
      roles: READERS,
      query: FILES,
      errors: ['not_found'],
    },
    async ({ query: { revision, path } }) => {
      const kept = await read(revision)
      const live = isLive(kept.made.revision)
      return { revision: kept.made.revision, live, ...filesJson(kept, path) }
    },
  )

  endpoints.on(
    'get',
    '/policy/revisions',
    {
      answer: always({ publications: list(PUBLICATION), next_cursor: MAYBE_STRING }),
      summary: 'What became the policy: who, when, why; newest first',
      roles: READERS,
      query: LIST,
    },
    async ({ query: { limit = PAGE_DEFAULT, cursor } }) => {
      const before = cursor === undefined ? null : Number(cursor)
      const rows = await listPublications(db, { before, limit, revision: null })
      const next = rows.length === limit ? String(rows.at(-1)?.n) : null
      return { publications: rows.map(publicationJson), next_cursor: next }
    },
  )

  endpoints.on(
    'get',
    '/policy/revisions/:revision',
    {
      answer: REVISION_ANSWER,
      summary: 'One revision: what it is made of, and when it was the policy',
      roles: READERS,
      errors: ['not_found'],
    },
    async (asked) => {
      const { made, files } = await read(asked.param('revision'))
      const { revision, counts } = made
      const rows = await listPublications(db, { before: null, limit: PUBLICATIONS_MAX, revision })
      return {
        revision,
        live: isLive(revision),
        files: made.files,
        files_kept: files !== null,
        counts,
        publications: rows.map(publicationJson),
      }
    },
  )

  endpoints.on(
    'get',
    '/policy/diff',
    {
      answer: DIFF_ANSWER,
      summary: 'What differs between two revisions: the lines, and what they mean',
      roles: READERS,
      query: BETWEEN,
      errors: ['not_found'],
    },
    async ({ query: { from, to } }) => {
      const [before, after] = [await read(from), await read(to)]
      const diff = diffPolicies(given(before).files, given(after).files)
      return { from: before.made.revision, to: after.made.revision, ...diffJson(diff) }
    },
  )

  return endpoints
}

function given({ files }: KeptRevision) {
  if (files) return files
  throw new GatewayError('not_found', 'the files of that revision are not kept any more')
}

function filesJson(kept: KeptRevision, path: string | undefined) {
  const { files, standIn } = given(kept)
  let left = CONTENT_BYTES_MAX
  const wanted = kept.made.files.filter((one) => path === undefined || one.path === path)
  if (wanted.length === 0) throw new GatewayError('not_found', 'that revision has no such file')
  const shown = wanted.map((one) => {
    left -= one.bytes
    if (left < 0 && path === undefined) return { ...one, omitted: true }
    return { ...one, ...contentJson(files[one.path] ?? new Uint8Array()) }
  })
  return { ...(standIn ? { stand_in: standIn.name } : {}), files: shown }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function contentJson(bytes: Uint8Array): { content: string } | { base64: string } {
  try {
    return { content: utf8.decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') }
  }
}

export const diffJson = ({ files, meaning }: PolicyDiff) => ({
  files: files as unknown as Json,
  meaning: meaning as unknown as Json,
})

export function publicationJson(one: Publication) {
  return {
    n: one.n,
    revision: one.revision,
    parent: one.parent || null,
    author: one.author || null,
    source: one.source,
    note: one.note || null,
    files_changed: one.changed,
    tests: one.tests,
    published_at: one.at.toISOString(),
    retired_at: one.retiredAt?.toISOString() ?? null,
  }
}
