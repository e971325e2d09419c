import { GatewayError } from '../../errors.ts'
import type { Inquiry } from '../../model/inquiry.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { Asker, Evaluation } from '../../inquiries/evaluations.ts'
import type { Inquiries } from '../../inquiries/inquiries.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { INQUIRERS } from '../edge/roles.ts'
import { always, BOOLEAN, list } from '../edge/schemas.ts'
import { OPEN } from '../edge/validate.ts'
import { askerOf, authzenBody, AUTHZEN_ERRORS } from './body.ts'
import {
  decisionJson,
  inquiryOf,
  objectOf,
  partsOf,
  refusedItem,
  type Offer,
  type Parts,
} from './wire.ts'

// AuthZEN Authorization API 1.0, evaluation and evaluations: a door over `inquiries.evaluate`. A denial is an
// answer (200); only what is no request of the API, or cannot be decided, is an error.

const EVALUATIONS_MAX = 100

const DECISION = always({ decision: BOOLEAN, context: OPEN })
/** `/access/v1/evaluation` and `/access/v1/evaluations`. */
export function authzenEndpoints(parts: PartsOf<'inquiries'>): Endpoints {
  const { inquiries } = parts
  const endpoints = new Endpoints('decisions', parts)

  endpoints.on(
    'post',
    '/access/v1/evaluation',
    {
      summary: 'Whether a subject may do something to a resource (AuthZEN 1.0)',
      description:
        'Who asks enforces the answer: nothing is carried out, and an error is a refusal. An agent asks ' +
        'about itself.',
      roles: INQUIRERS,
      accepts: ['application/json'],
      answer: DECISION,
      errors: AUTHZEN_ERRORS,
    },
    async ({ req }) => single(inquiries, await authzenBody(req), askerOf(req)),
  )

  endpoints.on(
    'post',
    '/access/v1/evaluations',
    {
      summary: 'The same for several questions at once, by one policy',
      description:
        'Each of `evaluations` takes from the request what it does not say itself. ' +
        '`options.evaluations_semantic`: `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`.',
      roles: INQUIRERS,
      accepts: ['application/json'],
      answer: { anyOf: [DECISION, always({ evaluations: list(DECISION) })] },
      errors: AUTHZEN_ERRORS,
    },
    async ({ req }) => {
      const body = await authzenBody(req)
      const { evaluations } = body
      const isSingle = evaluations === undefined || isEmptyList(evaluations)
      if (isSingle) return single(inquiries, body, askerOf(req))
      return { evaluations: await several(inquiries, body, itemsOf(evaluations), askerOf(req)) }
    },
  )

  return endpoints
}

async function single(inquiries: Inquiries, body: JsonObject, asker: Asker): Promise<JsonObject> {
  const [evaluation] = await inquiries.evaluate([inquiryOf(partsOf(body))], asker)
  return decisionJson(evaluation as Evaluation, Date.now(), offers(inquiries, asker))
}

const offers =
  ({ accessRequests }: Inquiries, { caller }: Asker): Offer =>
  (denied) =>
    accessRequests.offer(denied, caller)

/** When to stop, by semantic (section 7.1.2). */
const LAST: Readonly<Record<string, ((isPermitted: boolean) => boolean) | undefined>> = {
  execute_all: undefined,
  deny_on_first_deny: (isPermitted) => !isPermitted,
  permit_on_first_permit: (isPermitted) => isPermitted,
}

async function several(
  inquiries: Inquiries,
  body: JsonObject,
  items: readonly JsonObject[],
  asker: Asker,
): Promise<JsonObject[]> {
  const isLast = LAST[semanticOf(body)]
  const defaults = partsOf(body)
  const asked = items.map((item) => readItem({ ...defaults, ...given(partsOf(item)) }))
  const whole = asked.filter((one): one is Inquiry => !(one instanceof GatewayError))
  const stops = asked.findIndex((one) => one instanceof GatewayError && isLast?.(false))
  const within = stops < 0 ? whole : whole.slice(0, asked.slice(0, stops).filter(isInquiry).length)
  const evaluations =
    within.length === 0
      ? []
      : await inquiries.evaluate(
          within,
          asker,
          isLast && (({ effect }) => isLast(effect === 'allow')),
        )
  return answersOf(asked, evaluations, isLast, offers(inquiries, asker))
}

const isInquiry = (one: Inquiry | GatewayError): one is Inquiry => !(one instanceof GatewayError)

function answersOf(
  asked: readonly (Inquiry | GatewayError)[],
  evaluations: readonly Evaluation[],
  isLast: ((isPermitted: boolean) => boolean) | undefined,
  offer: Offer,
): JsonObject[] {
  const nowMs = Date.now()
  const left = [...evaluations]
  const answers: JsonObject[] = []
  for (const one of asked) {
    const evaluation = isInquiry(one) ? left.shift() : undefined
    if (isInquiry(one) && !evaluation) break
    const answer = isInquiry(one)
      ? decisionJson(evaluation as Evaluation, nowMs, offer)
      : refusedItem(one)
    answers.push(answer)
    if (isLast?.(answer['decision'] === true)) break
  }
  return answers
}

// An item takes a part over whole or gives it whole: properties are not merged (section 7.1.1).
const given = (parts: Parts): Partial<Parts> =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined))

function readItem(parts: Parts): Inquiry | GatewayError {
  try {
    return inquiryOf(parts)
  } catch (error) {
    if (error instanceof GatewayError) return error
    throw error
  }
}

function semanticOf({ options }: JsonObject): string {
  const given = options === undefined ? {} : objectOf(options, 'options')
  const semantic = given['evaluations_semantic'] ?? 'execute_all'
  if (typeof semantic === 'string' && Object.hasOwn(LAST, semantic)) return semantic
  throw new GatewayError(
    'invalid_request',
    `\`options.evaluations_semantic\` must be ${Object.keys(LAST).join(', ')}`,
  )
}

const isEmptyList = (value: Json): boolean => Array.isArray(value) && value.length === 0

function itemsOf(evaluations: Json): JsonObject[] {
  if (!Array.isArray(evaluations)) {
    throw new GatewayError('invalid_request', '`evaluations` must be a list')
  }
  if (evaluations.length > EVALUATIONS_MAX) {
    throw new GatewayError('invalid_request', `at most ${EVALUATIONS_MAX} evaluations at once`)
  }
  return evaluations.map((item: Json, index) => objectOf(item, `evaluations[${index}]`))
}
