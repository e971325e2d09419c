import type { JsonObject } from '../../model/json.ts'
import { OPEN, object } from './validate.ts'

// What answers are made of. A member that is always there is required, so that a generated client need not ask; the
// tests check every answer they get against the schema of its operation.

/** An object of an answer: all members are always there, but for those named as optional. */
export function always(properties: JsonObject, optional: readonly string[] = []): JsonObject {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return object(properties, required)
}

export const STRING = { type: 'string' } as const
export const MAYBE_STRING = { type: ['string', 'null'] } as const
/** An API key, shown once. */
export const SHOWN_KEY = {
  type: ['string', 'null'],
  description: 'null where a write is repeated with another key than it was sent with at first',
} as const
export const INTEGER = { type: 'integer' } as const
export const NUMBER = { type: 'number' } as const
export const BOOLEAN = { type: 'boolean' } as const
export const AT = { type: 'string', format: 'date-time' } as const
export const MAYBE_AT = { type: ['string', 'null'], format: 'date-time' } as const
const TEXTS = { type: 'object', additionalProperties: STRING } as const
export const COUNTS = { type: 'object', additionalProperties: INTEGER } as const
/** Any JSON at all. */
export const ANY: JsonObject = {}

export const list = (items: JsonObject): JsonObject => ({ type: 'array', items })

/** A page of a list, and where the next one begins. */
export const page = (name: string, items: JsonObject): JsonObject =>
  always({ [name]: list(items), next_cursor: MAYBE_STRING })

const EFFECT = { enum: ['allow', 'deny', 'require_approval'] } as const
export const OUTLOOK = {
  enum: ['allow', 'require_approval', 'deny', 'depends'],
  description: '`depends`: on the args, on what was done before, or on a module',
} as const
export const REASONS = list(always({ code: STRING, message: STRING, source: STRING }))

const RESULT = always(
  {
    status: INTEGER,
    body: ANY,
    headers: {
      type: 'object',
      additionalProperties: { anyOf: [STRING, list(STRING)] },
      description: 'those that matter to a caller; only where there are some',
    },
    truncated: BOOLEAN,
    bytes: { ...INTEGER, description: 'of all of it, where this is its beginning' },
    sha256: { ...STRING, description: 'of all of it, where this is its beginning' },
    masked: { const: true, description: 'some of it is on record as digests only' },
  },
  ['headers', 'truncated', 'bytes', 'sha256', 'masked'],
)

const EXECUTED = always(
  {
    action_id: STRING,
    decision_id: STRING,
    decision: { const: 'allow' },
    status: { enum: ['succeeded', 'failed'] },
    result: RESULT,
    revision: STRING,
    joined: BOOLEAN,
  },
  ['joined'],
)

const DRY_RUN = always({
  dry_run: { const: true },
  decision_id: STRING,
  decision: EFFECT,
  reasons: REASONS,
  shadow: REASONS,
  trace: list(OPEN),
  revision: STRING,
})

/** 200 of `POST /act`. */
export const ACT_ANSWER: JsonObject = { oneOf: [EXECUTED, DRY_RUN] }

/** 202 of whatever a person may have to approve. */
export const HELD_ANSWER = always(
  {
    action_id: STRING,
    decision_id: STRING,
    decision: { const: 'require_approval' },
    approval: always({ id: STRING, status: STRING, expires_at: AT }),
    reasons: REASONS,
    revision: STRING,
    next_action: STRING,
    joined: BOOLEAN,
  },
  ['joined'],
)

export const ACTION_STATES = [
  'held',
  'executing',
  'succeeded',
  'failed',
  'indeterminate',
  'denied',
  'expired',
  'cancelled',
] as const
const ACTION_STATE = { enum: [...ACTION_STATES] }

const REQUEST = always(
  {
    subject: always({ type: STRING, id: STRING }),
    action: always({ name: STRING }),
    resource: { anyOf: [always({ type: STRING, id: STRING }), { type: 'null' }] },
    args: OPEN,
    context: OPEN,
    reason: MAYBE_STRING,
    cost: MAYBE_STRING,
    headers: { ...TEXTS, description: 'what a client sent along; only where it did' },
  },
  ['headers'],
)

export const APPROVAL_STATUSES = [
  'pending',
  'approved',
  'denied',
  'expired',
  'cancelled',
  'failed',
] as const
const APPROVAL_STATUS = { enum: [...APPROVAL_STATUSES] }

export const ACTION_ANSWER = always(
  {
    id: STRING,
    decision_id: STRING,
    agent: STRING,
    agent_name: MAYBE_STRING,
    request: REQUEST,
    effect: EFFECT,
    status: ACTION_STATE,
    state: { ...ACTION_STATE, description: 'the same as `status`', deprecated: true },
    revision: STRING,
    error: always({ code: STRING, message: STRING }),
    result: RESULT,
    approval: always({
      id: STRING,
      status: APPROVAL_STATUS,
      decided_by: MAYBE_STRING,
      reason: MAYBE_STRING,
    }),
    created_at: AT,
    started_at: MAYBE_AT,
    finished_at: MAYBE_AT,
  },
  ['error', 'result', 'approval'],
)

const VOTE = always({
  approver: STRING,
  vote: { enum: ['approve', 'deny'] },
  reason: STRING,
  comment: { ...STRING, description: 'the same as `reason`', deprecated: true },
  at: AT,
})

export const EXPLANATION = always(
  {
    action_id: STRING,
    decision_id: STRING,
    tool: STRING,
    effect: EFFECT,
    status: ACTION_STATE,
    state: { ...ACTION_STATE, description: 'the same as `status`', deprecated: true },
    revision: { ...STRING, description: 'that decided; its own files explain it' },
    live: { ...BOOLEAN, description: 'whether that revision is the policy now' },
    reasons: list(OPEN),
    shadow: list(OPEN),
    obligations: list(OPEN),
    trace: list(OPEN),
    approvals: list(VOTE),
    audit: list(OPEN),
  },
  ['live', 'shadow', 'obligations', 'trace', 'approvals', 'audit'],
)

const TARGET = always(
  {
    upstream: STRING,
    method: STRING,
    path: STRING,
    query: STRING,
    body: MAYBE_STRING,
    headers: {
      ...OPEN,
      description: 'those that are not of every call; only where there are some',
    },
    parts: { type: 'array', items: OPEN, description: 'of a multipart body' },
    file: { ...OPEN, description: 'the whole body, where it is one file' },
    unchanged: {
      ...BOOLEAN,
      description: 'whether it still is what the approval was asked for; nothing else is ever sent',
    },
  },
  ['headers', 'parts', 'file'],
)

const APPROVAL_MEMBERS: JsonObject = {
  id: STRING,
  origin: {
    enum: ['action', 'access_request'],
    description:
      'what waits: an action that is held, or an enforcement point that asked for access',
  },
  action_id: { ...STRING, description: 'empty where nothing is held here' },
  decision_id: STRING,
  agent: STRING,
  agent_name: MAYBE_STRING,
  owner: MAYBE_STRING,
  tool: STRING,
  args: OPEN,
  resource: { anyOf: [always({ type: STRING, id: STRING }), { type: 'null' }] },
  context: OPEN,
  agent_reason: { ...MAYBE_STRING, description: 'why the agent asks for it' },
  cost: MAYBE_STRING,
  files: list(
    always({
      n: INTEGER,
      arg: STRING,
      filename: MAYBE_STRING,
      content_type: STRING,
      bytes: INTEGER,
      sha256: STRING,
      url: { ...STRING, description: 'where its bytes are, while it is held' },
    }),
  ),
  access_request: {
    ...always(
      {
        task_id: STRING,
        item: { ...INTEGER, description: 'which of the task’s items, from 0' },
        subject: OPEN,
        resource: { anyOf: [OPEN, { type: 'null' }] },
        requested_access: OPEN,
        client: OPEN,
      },
      ['requested_access', 'client'],
    ),
    description: 'who asks for what; the rest for whoever may decide',
  },
  target: { anyOf: [TARGET, { type: 'null' }], description: 'what would be sent' },
  effect: {
    enum: ['read', 'write', 'irreversible'],
    description: 'of the tool, by the live policy',
  },
  may_vote: always({
    approve: BOOLEAN,
    deny: BOOLEAN,
    why: { ...MAYBE_STRING, description: 'why not' },
  }),
  status: APPROVAL_STATUS,
  reason: { ...STRING, description: 'why it is held' },
  reasons: REASONS,
  quorum: INTEGER,
  approver_roles: list(STRING),
  votes: list(VOTE),
  request_hash: STRING,
  revision: STRING,
  created_at: AT,
  expires_at: AT,
  decided_at: MAYBE_AT,
  url: { ...STRING, description: 'where a person can decide; absolute under PUBLIC_SERVER_URL' },
}
/** Of the action, which is kept for as long as the record, though not by the same rule. */
const OF_ACTION = [
  'decision_id',
  'args',
  'resource',
  'context',
  'agent_reason',
  'cost',
  'reasons',
  'files',
  'access_request',
  'target',
  'effect',
  'may_vote',
]
export const APPROVAL_ANSWER = always(APPROVAL_MEMBERS, OF_ACTION)
export const APPROVAL_WITH_REQUEST = always(
  { ...APPROVAL_MEMBERS, request: { anyOf: [REQUEST, { type: 'null' }] } },
  OF_ACTION,
)

const ENTRY_MEMBERS: JsonObject = {
  seq: { type: ['integer', 'string'] },
  at: AT,
  kind: STRING,
  hash: STRING,
  prev_hash: STRING,
}
/** An entry of the record: what it holds besides depends on its kind. */
export const ENTRY_ANSWER: JsonObject = {
  type: 'object',
  properties: ENTRY_MEMBERS,
  required: Object.keys(ENTRY_MEMBERS),
  additionalProperties: true,
}

export const CHECKPOINT_ANSWER = always({
  size: INTEGER,
  head: STRING,
  at: AT,
  key_id: STRING,
  signature: STRING,
})

const SPEND_MEMBERS: JsonObject = {
  month: STRING,
  spent: STRING,
  reserved: STRING,
  limit: MAYBE_STRING,
  remaining: MAYBE_STRING,
  percent: { type: ['integer', 'null'] },
}
export const MONTH_ANSWER = always(SPEND_MEMBERS)
export const BY_TYPE = list(
  always({ type: STRING, actions: INTEGER, failures: INTEGER, spent: STRING }),
)
export const SPEND_ANSWER = always({
  agent: STRING,
  name: STRING,
  ...SPEND_MEMBERS,
  by_type: BY_TYPE,
})

export const REPORT_ANSWER = always({
  id: STRING,
  agent: STRING,
  action_type: STRING,
  target: STRING,
  cost: STRING,
  outcome: { enum: ['success', 'failure'] },
  metadata: ANY,
  created_at: AT,
})

const PLACE = always({ line: INTEGER, col: INTEGER })
/** What is wrong in a policy, and where. */
export const DIAGNOSTICS = list(
  always(
    {
      file: STRING,
      line: INTEGER,
      col: INTEGER,
      end: PLACE,
      code: STRING,
      message: STRING,
      severity: { enum: ['error', 'warning'] },
      hint: STRING,
    },
    ['hint'],
  ),
)
const BUNDLE_MEMBERS: JsonObject = {
  revision: STRING,
  loaded_at: AT,
  environment: STRING,
  files: list(always({ path: STRING, sha256: STRING, bytes: INTEGER })),
  counts: COUNTS,
  entrypoints: list(ANY),
  tools: list(
    always({ name: STRING, upstream: STRING, method: STRING, path: STRING, effect: STRING }),
  ),
  guards: list(always({ id: STRING, kind: STRING, mode: STRING, location: OPEN })),
  warnings: DIAGNOSTICS,
}
export const bundleAnswer = (more: JsonObject, optional: readonly string[] = []): JsonObject =>
  always({ ...more, ...BUNDLE_MEMBERS }, optional)
