import { GatewayError } from '../../errors.ts'
import { canonicalJson, sha256 } from '../../lib/canonical.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { SearchKind } from '../../inquiries/search.ts'
import { type Asked, Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { INQUIRERS } from '../edge/roles.ts'
import { always, INTEGER, list, STRING } from '../edge/schemas.ts'
import { askerOf, authzenBody, AUTHZEN_ERRORS } from './body.ts'
import { inquiryOf, objectOf, partsOf, type Parts } from './wire.ts'

// AuthZEN Authorization API 1.0, section 8: search. A page ends where it is full; its token says where the next begins, and
// is of this caller, this question and this revision of the policy, or it is refused.

const LIMIT_DEFAULT = 1_000
const LIMIT_MAX = 10_000
const TOKEN_CHARS_MAX = 200

const RESULTS = always({
  results: list(always({ type: STRING, id: STRING, name: STRING }, ['type', 'id', 'name'])),
  page: always({ next_token: STRING, count: INTEGER, total: INTEGER }, ['total']),
  context: always({ evaluation_id: STRING, revision: STRING }),
})

/** `/access/v1/search/{subject,resource,action}`. */
export function authzenSearch(parts: PartsOf<'inquiries'>): Endpoints {
  const endpoints = new Endpoints('decisions', parts)
  for (const kind of ['subject', 'resource', 'action'] as const) {
    endpoints.on(
      'post',
      `/access/v1/search/${kind}`,
      {
        summary: `Each ${kind} of a catalogue that would be permitted (AuthZEN 1.0)`,
        description:
          'Catalogues are `decision_api.subjects`, `.resources` and `.actions` of gate.yaml; subjects of type `agent` are the ' +
          'registry’s. Each is decided as a question of its own; the search is one entry of the record.',
        roles: INQUIRERS,
        accepts: ['application/json'],
        answer: RESULTS,
        errors: AUTHZEN_ERRORS,
      },
      (asked) => searched(kind, asked, parts),
    )
  }
  return endpoints
}

async function searched(
  kind: SearchKind,
  { req, caller }: Asked<unknown, unknown>,
  { inquiries, policies, mask }: PartsOf<'inquiries'>,
): Promise<JsonObject> {
  const body = await authzenBody(req)
  const inquiry = inquiryOf(named(kind, partsOf(body)))
  const { revision } = policies.current
  const { limit, token } = pageOf(body)
  // Of nobody else, for nothing else, and by this policy: places in a list mean nothing in another.
  const about = [kind, inquiry as unknown as Json, caller.keyId, revision]
  const bound = sha256(canonicalJson(about))
  const sign = (from: string) => mask.keyed(`search ${from} ${bound}`)
  const from = token === undefined ? 0 : placeOf(token, sign)
  const result = await inquiries.search({ kind, inquiry, from, limit }, askerOf(req))
  if (from > 0 && result.revision !== revision) throw stale()
  const { found, next, decisionId } = result
  return {
    results: found.map(({ type, id }) => (kind === 'action' ? { name: id } : { type, id })),
    page: {
      next_token: next === null ? '' : `${next}.${sign(String(next))}`,
      count: found.length,
      ...(from === 0 && next === null ? { total: found.length } : {}),
    },
    context: { evaluation_id: decisionId, revision: result.revision },
  }
}

// What is searched for has a type, and an id that MUST be passed over (section 8.4); an action has nothing at all.
function named(kind: SearchKind, parts: Parts): Parts {
  const searched = parts[kind]
  if (kind === 'action') return { ...parts, action: { ...propertiesOf(searched), name: 'any' } }
  return { ...parts, [kind]: { ...objectOf(searched, kind), id: 'any' } }
}

const propertiesOf = (action: Json | undefined): JsonObject =>
  action === undefined ? {} : objectOf(action, 'action')

function pageOf({ page }: JsonObject): { limit: number; token: string | undefined } {
  const { limit = LIMIT_DEFAULT, token } = page === undefined ? {} : objectOf(page, 'page')
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    throw new GatewayError('invalid_request', `\`page.limit\` must be 1 to ${LIMIT_MAX}`)
  }
  if (token === undefined || token === '') return { limit, token: undefined }
  if (typeof token === 'string' && token.length <= TOKEN_CHARS_MAX) return { limit, token }
  throw stale()
}

function placeOf(token: string, sign: (from: string) => string): number {
  const [from = '', signature] = token.split('.', 2)
  if (!/^[1-9]\d{0,5}$/.test(from) || signature !== sign(from)) throw stale()
  return Number(from)
}

const stale = (): GatewayError =>
  new GatewayError(
    'invalid_request',
    '`page.token` is of another question, or of a policy that is no more: begin anew',
  )
