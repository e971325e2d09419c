import { GatewayError } from '../../errors.ts'
import { isPublic } from '../../inquiries/access-requests/tokens.ts'
import { OBLIGATION_TYPES } from '../../model/obligation.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { always, list, STRING } from '../edge/schemas.ts'

/** `/.well-known/authzen-configuration`: where the decisions are to be had (AuthZEN 1.0, section 9). */
export function authzenConfiguration(parts: PartsOf<'config'>): Endpoints {
  return new Endpoints('decisions', parts).on(
    'get',
    '/.well-known/authzen-configuration',
    {
      summary: 'Where this gate answers AuthZEN requests',
      description: 'There is none without a `PUBLIC_SERVER_URL` that is https.',
      roles: 'open',
      answer: always({
        policy_decision_point: STRING,
        access_evaluation_endpoint: STRING,
        access_evaluations_endpoint: STRING,
        search_subject_endpoint: STRING,
        search_resource_endpoint: STRING,
        search_action_endpoint: STRING,
        access_request_endpoint: STRING,
        jwks_uri: STRING,
        supported_obligations: list(STRING),
        capabilities: list(STRING),
      }),
      errors: ['not_found'],
    },
    () => {
      const { publicServerUrl: url } = parts.config
      if (!isPublic(url)) {
        throw new GatewayError('not_found', 'PUBLIC_SERVER_URL is not an https URL without a query')
      }
      const base = url.replace(/\/+$/, '')
      return {
        policy_decision_point: url,
        access_evaluation_endpoint: `${base}/access/v1/evaluation`,
        access_evaluations_endpoint: `${base}/access/v1/evaluations`,
        search_subject_endpoint: `${base}/access/v1/search/subject`,
        search_resource_endpoint: `${base}/access/v1/search/resource`,
        search_action_endpoint: `${base}/access/v1/search/action`,
        access_request_endpoint: `${base}/access/v1/requests`,
        jwks_uri: `${base}/access/v1/jwks`,
        supported_obligations: [...OBLIGATION_TYPES],
        capabilities: ['urn:openid:authzen:capability:access-request'],
      }
    },
  )
}
