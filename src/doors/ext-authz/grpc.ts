import type { IncomingMessage } from 'node:http'
import path from 'node:path'
import type { GatewayError } from '../../errors.ts'
import { errorBody, errorHeaders } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import {
  CODES,
  decidedOf,
  type GrpcAsked,
  type GrpcSaid,
  type GrpcService,
  identify,
  type Keys,
  statusOf,
} from '../grpc/answering.ts'
import { type CheckRequest, heldRequest, principalOf } from './held-request.ts'
import { type ExtAuthzParts, judged, keysIn, type Verdict } from './verdict.ts'

// Envoy's external authorization over gRPC. The request that Envoy asks about has the agent's own key, or comes from a principal
// that the policy calls an agent. With `failure_mode_allow: false` Envoy takes an error of gRPC as a refusal.

const OVERWRITE = 2

type Parts = ExtAuthzParts & Pick<HttpParts, 'metrics'>

/** `envoy.service.auth.v3.Authorization`. */
export function extAuthzService(parts: Parts, keys: Keys): GrpcService {
  return {
    proto: path.join(import.meta.dirname, 'ext_authz.proto'),
    name: 'envoy.service.auth.v3.Authorization',
    calls: { Check: (asked) => checked(asked, parts, keys) },
    count: (status) => parts.metrics.extAuthzChecks.inc({ status: String(status) }),
  }
}

async function checked(asked: GrpcAsked, parts: Parts, keys: Keys): Promise<GrpcSaid> {
  const request = asked.request as CheckRequest
  let req: IncomingMessage
  let verdict: Verdict
  try {
    req = heldRequest(request)
    const { principals } = parts.policies.current.decisionApi.extAuthz
    await identify(req, asked, principals.get(principalOf(request)), keys)
    verdict = await judged(req, parts)
  } catch (error) {
    return denied(decidedOf(error))
  }
  return verdict.allowed ? allowed(req, verdict) : denied(decidedOf(verdict.error))
}

function allowed(
  req: IncomingMessage,
  { decisionId, revision }: Extract<Verdict, { allowed: true }>,
): GrpcSaid {
  const ok_response = {
    headers: [headerOption('portcullis-decision', decisionId)],
    headers_to_remove: keysIn(req),
  }
  const fields = { decision_id: { string_value: decisionId }, revision: { string_value: revision } }
  const status = { code: CODES.OK }
  return { message: { status, ok_response, dynamic_metadata: { fields } }, status: CODES.OK }
}

function denied(error: GatewayError): GrpcSaid {
  const headers = [headerOption('content-type', 'application/json; charset=utf-8')]
  const setHeader = (name: string, value: unknown) => {
    headers.push(headerOption(name.toLowerCase(), String(value)))
  }
  errorHeaders({ setHeader } as unknown as Parameters<typeof errorHeaders>[0], error)
  const decisionId = error.details['decision_id']
  if (typeof decisionId === 'string') setHeader('portcullis-decision', decisionId)
  const denied_response = {
    status: { code: error.status },
    headers,
    body: JSON.stringify(errorBody(error)),
  }
  const code = statusOf(error)
  return { message: { status: { code, message: error.code }, denied_response }, status: code }
}

const headerOption = (key: string, value: string) => ({
  header: { key, value },
  append_action: OVERWRITE,
})
