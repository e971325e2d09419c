import { GatewayError } from '../../errors.ts'
import { membersOf } from '../../lib/json-spans.ts'
import { RawJson } from '../../lib/raw-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import type { DocumentAnswer, DocumentQuestion } from '../../inquiries/documents.ts'
import type { Evaluation } from '../../inquiries/evaluations.ts'
import { parseJsonText } from '../edge/body.ts'
import { stateOf } from '../edge/context.ts'
import { type Asked, type Declared, Endpoints, Reply } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { PEPS } from '../edge/roles.ts'
import { always, ANY, list, STRING } from '../edge/schemas.ts'
import { params, type Shape } from '../edge/validate.ts'
import { publicReason } from '../api/answers.ts'
import { inquiryOf, objectOf, partsOf } from '../authzen/wire.ts'
import { inputOf, jsonBody, jsonOf, type JsonText, memberOf, objectIn } from './body.ts'
import { FAILURES, opaError } from './errors.ts'

// OPA's data API: documents of the policy by path, for clients and enforcement points that speak it. Pure Rego, as OPA
// answers; `agent/decision` is the exception, a document that stands for the whole gate.

const INPUTS_MAX = 100

/** What OPA takes and this gate has nothing to say to. */
const OPTIONS = {
  pretty: STRING,
  provenance: STRING,
  explain: STRING,
  metrics: STRING,
  instrument: STRING,
  'strict-builtin-errors': STRING,
}
const BY_BODY = params<Options>(OPTIONS)
const BY_QUERY = params<Options & { input?: string }>({
  ...OPTIONS,
  input: { ...STRING, description: 'JSON' },
})
type Options = { readonly explain?: string; readonly metrics?: string }

const ERRORS = [
  ...(['invalid_request', 'not_found', 'audit_unavailable', 'overloaded'] as const),
  ...(['kill_switch_engaged', 'kill_state_unknown', 'no_policy', 'clock_skew'] as const),
  ...(['shutting_down', 'method_not_allowed'] as const),
]

/** By itself, whatever the policy makes of it. */
const DOCUMENT = { description: 'the document, as the policy defines it' }

const RESULT = always({ result: ANY, decision_id: STRING, explanation: list(ANY) }, [
  'result',
  'explanation',
])
const BATCH = always({
  batch_decision_id: STRING,
  responses: { type: 'object', additionalProperties: ANY },
})

const declared = <Query>(
  summary: string,
  answer: JsonObject,
  query: Shape<Query>,
): Declared<unknown, Query> => ({
  summary,
  roles: PEPS,
  query,
  answer,
  also: FAILURES,
  errors: ERRORS,
})

type Answered = { readonly id: string; readonly value: Json | RawJson | undefined }

/** `/v1/data`, `/v0/data`, `/v1/batch/data` and `POST /`. */
export function opaDataEndpoints(parts: PartsOf<'inquiries'>): Endpoints {
  const endpoints = new Endpoints('opa', parts)
  const answers = new Answers(parts)

  endpoints.on(
    'post',
    '/v1/data/*path',
    {
      ...declared('A document of the policy for an input', RESULT, BY_BODY),
      accepts: ['application/json'],
    },
    async (asked) => {
      const input = inputOf(await jsonBody(asked.req))
      return resultJson(await answers.one(asked, pathOf(asked), input), asked.query)
    },
  )

  endpoints.on(
    'get',
    '/v1/data/*path',
    declared('A document of the policy without a body', RESULT, BY_QUERY),
    async (asked) => {
      if (asked.req.method === 'HEAD') throw new GatewayError('method_not_allowed', 'use GET')
      const { input } = asked.query
      const text = input === undefined ? undefined : jsonOf(input).text
      return resultJson(await answers.one(asked, pathOf(asked), text), asked.query)
    },
  )

  endpoints.on(
    'post',
    '/v0/data/*path',
    {
      ...declared('A document by itself; the body is the input', DOCUMENT, BY_BODY),
      accepts: ['application/json'],
    },
    async (asked) => bare(asked, answers, () => pathOf(asked)),
  )

  endpoints.on(
    'post',
    '/',
    {
      ...declared('The default decision; the body is the input', DOCUMENT, BY_BODY),
      description: '`decision_api.opa.default` of gate.yaml names it; else it is `agent/allow`.',
      accepts: ['application/json'],
    },
    async (asked) => bare(asked, answers, () => parts.policies.current.decisionApi.opa.default),
  )

  endpoints.on(
    'post',
    '/v1/batch/data/*path',
    {
      ...declared('A document for several inputs', BATCH, BY_BODY),
      accepts: ['application/json'],
      also: { ...FAILURES, 207: { means: 'some could not be evaluated', answer: BATCH } },
    },
    async (asked) => answers.batch(asked, pathOf(asked), await jsonBody(asked.req)),
  )

  return endpoints
}

/** @throws GatewayError `not_found` where it is undefined */
async function bare(
  asked: Asked<unknown, unknown>,
  answers: Answers,
  pathNow: () => readonly string[],
): Promise<Reply> {
  const body = await jsonBody(asked.req)
  const path = pathNow() // of the policy that answers: another may have come while the body did
  const { value } = await answers.one(asked, path, body?.text)
  if (value === undefined) {
    throw new GatewayError('not_found', `\`${path.join('/')}\` is undefined for this input`)
  }
  return new Reply(200, value)
}

const resultJson = ({ id, value }: Answered, { explain }: Options): JsonObject => ({
  ...(value === undefined ? {} : { result: value as Json }),
  decision_id: id,
  ...(explain === undefined ? {} : { explanation: [] }),
})

function pathOf({ req }: Asked<unknown, unknown>): readonly string[] {
  const steps = req.params['path'] as unknown as readonly string[]
  return steps.at(-1) === '' ? steps.slice(0, -1) : steps
}

/** What stands for the whole gate: guards, look-ups, windows and budgets besides the rules. */
const DECISION = 'agent/decision'
const ALLOW = 'agent/allow'

class Answers {
  readonly #parts: PartsOf<'inquiries'>

  constructor(parts: PartsOf<'inquiries'>) {
    this.#parts = parts
  }

  async one(
    asked: Asked<unknown, unknown>,
    path: readonly string[],
    inputText: string | undefined,
  ): Promise<Answered> {
    const [answer] = await this.#several(asked, path, [inputText])
    if (answer instanceof GatewayError) throw answer
    return answer as Answered
  }

  async batch(
    asked: Asked<unknown, unknown>,
    path: readonly string[],
    body: JsonText | undefined,
  ): Promise<Reply> {
    if (body === undefined) throw new GatewayError('invalid_request', 'there is no body')
    objectOf(objectIn(body)['inputs'], 'inputs')
    const given = [...membersOf(memberOf(body.text, 'inputs') ?? '{}')]
    const names = given.map(([name]) => name)
    if (names.length > INPUTS_MAX) {
      throw new GatewayError('invalid_request', `at most ${INPUTS_MAX} inputs at once`)
    }
    const inputs = given.map(([, text]) => text)
    const answers = await this.#several(asked, path, inputs)
    const failed = answers.filter((one) => one instanceof GatewayError)
    if (failed.length > 0 && failed.length === answers.length) throw failed[0]
    const responses = answers.map((one, at) => [names[at], responseJson(one, failed.length > 0)])
    return new Reply(failed.length > 0 ? 207 : 200, {
      batch_decision_id: asked.requestId,
      responses: Object.fromEntries(responses),
    })
  }

  #several(
    asked: Asked<unknown, unknown>,
    path: readonly string[],
    inputs: readonly (string | undefined)[],
  ): Promise<(Answered | GatewayError)[]> {
    const name = path.join('/')
    const { decisionApi, record } = this.#parts.policies.current
    const { opa } = decisionApi
    // Steps may be values, and the log knows nothing of masks.
    const hides = Object.values(record).some((pointers) => pointers.length > 0)
    if (hides) stateOf(asked.req).shownPath = () => '/v1/data/…'
    if (name === DECISION) return this.#decisions(asked, inputs, decisionJson)
    if (name === ALLOW && opa.guards) return this.#decisions(asked, inputs, isAllowed)
    return this.#documents(
      asked,
      inputs.map((inputText) => ({ path, inputText })),
    )
  }

  async #documents(
    { caller, requestId }: Asked<unknown, unknown>,
    questions: readonly DocumentQuestion[],
  ): Promise<(Answered | GatewayError)[]> {
    const answers = await this.#parts.inquiries.documents(questions, { caller, requestId })
    return answers.map((one) => (one instanceof GatewayError ? one : documentOf(one)))
  }

  async #decisions(
    { caller, requestId }: Asked<unknown, unknown>,
    inputs: readonly (string | undefined)[],
    show: (evaluation: Evaluation) => Json,
  ): Promise<Answered[]> {
    const inquiries = inputs.map((text) => {
      if (text === undefined) throw new GatewayError('invalid_request', '`input` is missing')
      return inquiryOf(partsOf(objectOf(parseJsonText(text), 'input')))
    })
    const asker = { caller, requestId, surface: 'opa' }
    const evaluations = await this.#parts.inquiries.evaluate(inquiries, asker)
    return evaluations.map((one) => ({ id: one.decisionId, value: show(one) }))
  }
}

const documentOf = ({ decisionId, valueText }: DocumentAnswer): Answered => ({
  id: decisionId,
  value: valueText === undefined ? undefined : new RawJson(valueText),
})

function responseJson(answer: Answered | GatewayError, isMixed: boolean): JsonObject {
  const status = isMixed ? { http_status_code: statusOf(answer) } : {}
  if (answer instanceof GatewayError) return { ...status, ...opaError(answer) }
  return { ...status, ...resultJson(answer, {}) }
}

const statusOf = (answer: Answered | GatewayError): string =>
  String(answer instanceof GatewayError ? answer.status : 200)

const isAllowed = ({ effect }: Evaluation): Json => effect === 'allow'

const decisionJson = (evaluation: Evaluation): JsonObject => ({
  effect: evaluation.effect,
  reasons: evaluation.api.disclosesReasons
    ? evaluation.reasons.map(publicReason)
    : evaluation.reasons.map(({ code }) => ({ code })),
  obligations: evaluation.obligations.map((one) => ({ ...one })),
  decision_id: evaluation.decisionId,
})
