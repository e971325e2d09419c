import { GatewayError } from '../../errors.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { PartsOf } from '../edge/parts.ts'
import { PEPS, READERS } from '../edge/roles.ts'
import { always, list, STRING } from '../edge/schemas.ts'
import { FAILURES } from './errors.ts'

// The rest of OPA's API: policies are read here and never written, since files and publications rule; what is not built
// says so.

const POLICY = always({ id: STRING, raw: STRING })

/** `/v1/policies`, and refusals of what changes policies and data or asks ad-hoc queries. */
export function opaPolicyEndpoints(parts: PartsOf<'lifecycle'>): Endpoints {
  const endpoints = new Endpoints('opa', parts)

  const policies = async () => {
    const { revision } = parts.policies.current
    const { files } = await parts.lifecycle.history.read(revision)
    if (!files) throw new GatewayError('not_found', 'the files of this policy are not kept')
    return Object.entries(files.files)
      .filter(([path]) => path.endsWith('.rego'))
      .map(([id, content]) => ({ id, raw: Buffer.from(content).toString('utf8') }))
  }

  endpoints.on(
    'get',
    '/v1/policies',
    {
      summary: 'The Rego files of the live policy',
      roles: READERS,
      answer: always({ result: list(POLICY) }),
      also: FAILURES,
      errors: ['not_found'],
    },
    async () => ({ result: await policies() }),
  )

  endpoints.on(
    'get',
    '/v1/policies/*id',
    {
      summary: 'One of them',
      roles: READERS,
      answer: always({ result: POLICY }),
      also: FAILURES,
      errors: ['not_found'],
    },
    async ({ req }) => {
      const id = (req.params['id'] as unknown as readonly string[]).join('/')
      const result = (await policies()).find((one) => one.id === id)
      if (!result) throw new GatewayError('not_found', 'there is no such policy')
      return { result }
    },
  )

  const refused = {
    roles: PEPS,
    answer: null,
    also: FAILURES,
    errors: ['forbidden', 'not_implemented'],
  } as const
  for (const method of ['put', 'delete'] as const) {
    endpoints.on(method, '/v1/policies/*id', { ...refused, summary: 'Refused' }, readOnly)
  }
  for (const method of ['put', 'patch', 'delete'] as const) {
    endpoints.on(method, '/v1/data/*path', { ...refused, summary: 'Refused' }, readOnly)
  }
  for (const path of ['/v1/query', '/v1/compile', '/v1/compile/*path']) {
    endpoints.on('post', path, { ...refused, summary: 'Not built' }, notBuilt)
  }
  return endpoints
}

function readOnly(): never {
  throw new GatewayError('forbidden', 'policies and data come from files and publications')
}

function notBuilt(): never {
  throw new GatewayError('not_implemented', 'ad-hoc queries and partial evaluation are not built')
}
