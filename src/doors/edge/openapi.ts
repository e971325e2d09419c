import { ERRORS, type ErrorCode } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Alias } from '../api/aliases.ts'
import type { Endpoint } from './endpoints.ts'
import { always, AT, BOOLEAN, DIAGNOSTICS, list, REASONS, STRING } from './schemas.ts'
import { object, OPEN } from './validate.ts'

/** What the document says of itself. */
export interface ApiInfo {
  readonly version: string
  /** The `servers` entry; null: the server that serves the document. */
  readonly serverUrl: string | null
}

// A wrong key is refused where none is needed, too, and whoever tries many is told to wait.
const ANY_CALL: readonly ErrorCode[] = [
  'internal_error',
  'store_unavailable',
  'unauthenticated',
  'rate_limited',
]
const WITH_KEY: readonly ErrorCode[] = ['forbidden']
const WITH_BODY: readonly ErrorCode[] = ['payload_too_large', 'unsupported_media_type']
const WRITES: readonly ErrorCode[] = ['idempotency_mismatch', 'audit_unavailable']

/**
 * The OpenAPI 3.1 document of these calls. Their schemas are the ones that requests are checked by, so
 * it cannot promise what the gate refuses.
 */
export function openApi(
  calls: readonly Endpoint[],
  aliases: readonly Alias[],
  info: ApiInfo,
): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {}
  const add = (path: string, method: string, operation: JsonObject) => {
    paths[path] = { ...paths[path], [method]: operation }
  }
  for (const call of calls) add(template(call.path), call.method, operationOf(call))
  for (const alias of aliases) {
    const call = calledBy(alias, calls)
    if (call) add(template(alias.from), alias.method.toLowerCase(), aliasOperation(alias, call))
  }
  const tags = [...new Set(calls.map(({ tag }) => tag))].sort()
  return {
    openapi: '3.1.0',
    info: {
      title: 'Portcullis',
      version: info.version,
      description:
        'The gate between AI agents and the systems they act on. Every error is ' +
        '`{"error":{"code","message"}}`; every answer carries `X-Request-Id`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: info.serverUrl ?? '/' }],
    tags: tags.map((name) => ({ name })),
    security: [{ apiKey: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
      schemas: { Error: ERROR },
    },
  }
}

/** What every error says, and what some say besides. */
export const ERROR_MEMBER: JsonObject = always(
  {
    code: { type: 'string', enum: Object.keys(ERRORS) },
    message: STRING,
    retryable: BOOLEAN,
    next_action: { ...STRING, description: 'what to do now, where there is something better' },
    action_id: STRING,
    decision_id: STRING,
    turn_id: STRING,
    plan_id: STRING,
    reasons: REASONS,
    revision: STRING,
    retry_at: { ...AT, description: 'when a full window opens again' },
    joined: {
      ...BOOLEAN,
      description: 'the same request had been sent before: this is that one',
    },
    status: { ...STRING, description: 'what the approval or action already is' },
    problems: { ...list(STRING), description: 'each mistake of a request' },
    rows: { ...list(OPEN), description: 'each mistake of a file that is imported' },
    diagnostics: { ...DIAGNOSTICS, description: 'each mistake of a policy' },
    patch: { ...STRING, description: 'the change, where it can not be made here' },
  },
  [
    'next_action',
    'action_id',
    'decision_id',
    'turn_id',
    'plan_id',
    'reasons',
    'revision',
    'retry_at',
    'joined',
    'status',
    'problems',
    'rows',
    'diagnostics',
    'patch',
  ],
)

/** The one shape of every error. */
export const ERROR: JsonObject = object({ error: ERROR_MEMBER }, ['error'])

/** `/actions/:id` and `*path` in the words of OpenAPI. */
const template = (path: string): string => path.replaceAll(/[:*](\w+)/g, '{$1}')

const operationId = (method: string, path: string): string =>
  `${method.toLowerCase()}${path.replaceAll(/[^A-Za-z0-9]+/g, '_')}`

function operationOf(call: Endpoint): JsonObject {
  const roles =
    call.roles === 'open' ? 'No key is needed.' : `Keys of role ${call.roles.join(', ')}.`
  return {
    operationId: operationId(call.method, call.path),
    tags: [call.tag],
    summary: call.summary,
    description: call.description ? `${call.description}\n\n${roles}` : roles,
    ...(call.roles === 'open' ? { security: [] } : {}),
    parameters: parametersOf(call),
    ...requestBody(call),
    responses: responsesOf(call),
  }
}

function aliasOperation(alias: Alias, call: Endpoint): JsonObject {
  const operation = operationOf({ ...call, path: alias.from })
  // Its body has the members of the system it comes from, which the handler puts into ours.
  const { requestBody: body, ...rest } = operation
  const free = { required: false, content: { 'application/json': { schema: OPEN } } }
  return {
    ...rest,
    ...(body === undefined ? {} : { requestBody: alias.body ? free : body }),
    operationId: `alias_${operationId(alias.method, alias.from)}`,
    summary: `The same as ${alias.method} ${template(call.path)}`,
    deprecated: true,
  }
}

function calledBy(alias: Alias, calls: readonly Endpoint[]): Endpoint | undefined {
  const [path] = alias.to.split('?', 1)
  return calls.find((call) => call.path === path && call.method === alias.method.toLowerCase())
}

function parametersOf(call: Endpoint): JsonObject[] {
  const inPath = [...call.path.matchAll(/[:*](\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const schema = call.query?.schema ?? {}
  const required = (schema['required'] ?? []) as string[]
  const inQuery = Object.entries((schema['properties'] ?? {}) as Record<string, JsonObject>).map(
    ([name, { description, ...rest }]) => ({
      name,
      in: 'query',
      required: required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
      ...(rest['type'] === 'array' ? { style: 'form', explode: false } : {}),
    }),
  )
  const key = { name: 'Idempotency-Key', in: 'header', required: false }
  const isWrite = call.method !== 'get'
  const inHeader = isWrite ? [{ ...key, schema: { type: 'string', maxLength: 255 } }] : []
  const own = Object.entries(call.headers ?? {}).map(([name, description]) => ({
    ...{ name, in: 'header', required: true, description },
    schema: { type: 'string' },
  }))
  return [...inPath, ...inQuery, ...inHeader, ...own]
}

function requestBody(call: Endpoint): { requestBody?: JsonObject } {
  if (call.body) {
    const schema = call.body.schema
    if (Object.keys(schema['properties'] ?? {}).length === 0) return {} // at most `{}`
    const required = ((schema['required'] ?? []) as string[]).length > 0
    return { requestBody: { required, content: { 'application/json': { schema } } } }
  }
  if (!call.accepts) return {}
  const media = call.accepts.map((type) => [
    type,
    { schema: type === 'application/json' ? { anyOf: [list(OPEN), OPEN] } : STRING },
  ])
  return { requestBody: { required: true, content: Object.fromEntries(media) } }
}

function responsesOf(call: Endpoint): JsonObject {
  const errors = errorResponses(call)
  const also = Object.entries(call.also ?? {}).map(([code, { means, answer, media: own }]) => {
    // What has a media type of its own stands beside the gate's own error of that status.
    const { content: shared } = (own === undefined ? {} : (errors[code] ?? {})) as JsonObject
    const content = { ...(shared as JsonObject), ...contentOf(answer, own) }
    const isEmpty = Object.keys(content).length === 0
    return [code, { description: means, ...(isEmpty ? {} : { content }) }]
  })
  return { ...successOf(call), ...errors, ...Object.fromEntries(also) }
}

function successOf({ answer, media, status = 200, summary }: Endpoint): JsonObject {
  if (answer === null) return {}
  const isText = answer === undefined && media !== undefined
  const content = contentOf(isText ? { type: 'string' } : answer, media)
  return { [status]: { description: summary, ...(content === undefined ? {} : { content }) } }
}

const contentOf = (
  schema: JsonObject | undefined,
  media = 'application/json',
): JsonObject | undefined => (schema === undefined ? undefined : { [media]: { schema } })

/** The errors that a call may answer. */
export function errorsOf(call: Endpoint): ReadonlySet<ErrorCode> {
  return new Set<ErrorCode>([
    'invalid_request',
    ...(call.roles === 'open' ? [] : WITH_KEY),
    ...(call.body || call.accepts ? WITH_BODY : []),
    ...(call.method === 'get' ? [] : WRITES),
    ...(call.errors ?? []),
    ...ANY_CALL,
  ])
}

function errorResponses(call: Endpoint): JsonObject {
  const codes = errorsOf(call)
  return Object.fromEntries(
    [...grouped([...codes])].map(([status, names]) => [
      status,
      {
        description: names.map((name) => `\`${name}\``).join(', '),
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    ]),
  )
}

function grouped(codes: readonly ErrorCode[]): Map<number, ErrorCode[]> {
  const groups = new Map<number, ErrorCode[]>()
  for (const code of codes) groups.set(ERRORS[code], [...(groups.get(ERRORS[code]) ?? []), code])
  return groups
}
