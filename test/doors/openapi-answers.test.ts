import { expect } from 'chai'
import type { JsonObject } from '../../src/model/json.ts'
import { ENDPOINTS, undeclared } from '../support/declared.ts'
import { TestGate } from '../support/gate.ts'

type Found = { readonly at: string; readonly schema: JsonObject }

/** Every schema in a document, with where it stands. */
function* schemasIn(value: unknown, at = ''): Generator<Found> {
  if (value === null || typeof value !== 'object') return
  if (!Array.isArray(value)) yield { at, schema: value as JsonObject }
  for (const [name, part] of Object.entries(value)) yield* schemasIn(part, `${at}/${name}`)
}

describe('what the API reference says of answers', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start()
  })
  after(() => gate.stop())

  const paths = async () =>
    (await gate.call('GET', '/openapi.json', { key: null })).body.paths as Record<
      string,
      Record<string, { responses: Record<string, { content?: Record<string, JsonObject> }> }>
    >

  it('each operation declares the schema of its success, but those that send none', async () => {
    const lacking = ENDPOINTS.filter(
      ({ answer, media, status }) =>
        answer === undefined && media === undefined && ![101, 204].includes(status ?? 200),
    )
    expect(lacking.map(({ method, path }) => `${method} ${path}`)).to.have.members(
      ['/mcp', '/mcp/tools', '/mcp/portcullis', '/mcp/:server'].map((at) => `delete ${at}`),
    )
  })

  it('each response with a body says what it is, the 202 of what is held among them', async () => {
    for (const [at, item] of Object.entries(await paths())) {
      for (const [method, { responses }] of Object.entries(item)) {
        for (const [status, { content = {} }] of Object.entries(responses)) {
          const isFailure = Number(status) >= 400
          if (isFailure) expect(content, `${method} ${at} ${status}`).not.to.deep.equal({})
          for (const { schema } of Object.values(content)) {
            expect(schema, `${method} ${at} ${status}`).to.be.an('object').not.deep.equal({})
          }
        }
      }
    }
    const { responses } = (await paths())['/act']?.['post'] ?? { responses: {} }
    const held = responses['202']?.content?.['application/json']?.['schema'] as JsonObject
    expect(held['required']).to.include.members(['action_id', 'approval', 'reasons'])
  })

  it('what is always refused has no success', async () => {
    const { responses } = (await paths())['/v1/policies/{id}']?.['put'] ?? { responses: {} }
    expect(Object.keys(responses).filter((status) => status < '400')).to.deep.equal([])
  })

  it('no object is closed by accident: what is open says so, the rest lists its members', async () => {
    for (const { at, schema } of schemasIn(await paths())) {
      if (![schema['type']].flat().includes('object')) continue
      expect(schema, at).to.have.any.keys('properties', 'additionalProperties')
      expect(schema, at).to.have.property('additionalProperties')
      // Generators make a type of it that nothing can be put into.
      const isEmpty = Object.keys(schema['properties'] ?? {}).length === 0
      if (isEmpty) expect(schema['additionalProperties'], at).not.to.equal(false)
    }
  })

  it('an answer that is not as declared fails whichever test gets it', () => {
    expect(undeclared('GET', '/healthz', 200, { status: 'ok', version: '1' })).to.equal(undefined)
    expect(undeclared('GET', '/healthz', 200, { status: 'ok' })).to.match(/version/)
    expect(undeclared('GET', '/healthz', 200, { status: 'ok', version: '1', x: 1 })).to.match(
      /additional/,
    )
    expect(undeclared('GET', '/healthz', 207, {})).to.match(/207/)
    const error = { code: 'not_found', message: 'x', retryable: false }
    expect(undeclared('GET', '/actions/act_1', 404, { error })).to.equal(undefined)
    expect(undeclared('GET', '/actions/act_1', 404, { error: { ...error, x: 1 } })).to.match(
      /additional/,
    )
    expect(undeclared('GET', '/meta', 404, { error })).to.match(/not_found/)
    expect(undeclared('GET', '/nowhere', 404, { error: {} })).to.equal(undefined)
  })
})
