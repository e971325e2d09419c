import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { endpointGroups } from '../../src/doors/app.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { Endpoint } from '../../src/doors/edge/endpoints.ts'
import { ERROR, errorsOf } from '../../src/doors/edge/openapi.ts'
import type { HttpParts } from '../../src/doors/edge/parts.ts'
import type { JsonObject } from '../../src/model/json.ts'

// Every JSON answer that a test gets from a gate is held against the schema that its operation declares, so that the
// API reference cannot promise what the gate does not answer, nor leave out what it does.

const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addFormat('date-time', (text: string) => !Number.isNaN(Date.parse(text)))

/** Every declared call; declaring needs no gate behind it. */
export const ENDPOINTS: readonly Endpoint[] = endpointGroups({ config: {} } as HttpParts).flatMap(
  ({ table }) => table,
)
const ROUTES = ENDPOINTS.map((call) => ({
  call,
  // What stands for itself is tried before what a parameter takes.
  params: [...call.path.matchAll(/[:*]/g)].length,
  pattern: new RegExp(`^${call.path.replaceAll(/:\w+/g, '[^/]+').replace(/\*\w+/, '.+')}$`),
})).toSorted((a, b) => a.params - b.params)

const checks = new Map<JsonObject, ValidateFunction>()

/** What is wrong with an answer by what is declared of it; undefined where nothing is, or nothing is declared. */
export function undeclared(
  method: string,
  route: string,
  status: number,
  body: unknown,
): string | undefined {
  const [at = ''] = route.split('?', 1)
  const call = ROUTES.find(
    (one) => one.call.method === method.toLowerCase() && one.pattern.test(at),
  )?.call
  if (!call || (status === (call.status ?? 200) && call.media !== undefined)) return undefined
  const schema = schemaOf(call, status)
  if (!schema) return `${method} ${at} answers ${status}, which is not declared`
  const code = status >= 400 ? errorOf(body) : undefined
  if (code !== undefined && !errorsOf(call).has(code)) {
    return `${method} ${at} answers ${code}, which is not declared`
  }
  const check = checks.get(schema) ?? ajv.compile(schema)
  checks.set(schema, check)
  if (check(body)) return undefined
  const problems = ajv.errorsText(check.errors, { dataVar: 'answer' })
  return `${method} ${at} ${status} is not as declared: ${problems}\n${JSON.stringify(body)}`
}

function schemaOf(call: Endpoint, status: number): JsonObject | undefined {
  if (status === (call.status ?? 200)) return call.answer ?? undefined
  const other = call.also?.[status]
  if (other && other.media === undefined) return other.answer
  return status >= 400 ? ERROR : undefined
}

// That of JSON-RPC is a number, and its shape is declared.
function errorOf(body: unknown): ErrorCode | undefined {
  const { code } = (body as { readonly error?: { readonly code?: ErrorCode | number } }).error ?? {}
  return typeof code === 'string' ? code : undefined
}
