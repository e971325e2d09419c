import { expect } from 'chai'
import { once } from 'node:events'
import http from 'node:http'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies, type PolicyFiles } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

const arg = (name: string) =>
  `args: { type: object, properties: { ${name}: { type: string } }, required: [${name}] }`
/** Of two templates neither of which is more specific, and of a path that ends with a slash. */
const CROSSING: PolicyFiles = {
  'gate.yaml': GATE.replace('"items.list"', '"items.list", "of.*", "deals.list"'),
  'tools.yaml': `${TOOLS}
  of.one: { upstream: test, method: GET, path: "/a/{x}/b", effect: read, ${arg('x')} }
  of.two: { upstream: test, method: GET, path: "/a/b/{y}", effect: read, ${arg('y')} }
  deals.list: { upstream: test, method: GET, path: /deals/, effect: read, args: { type: object } }
`,
}

describe('routes that cross', () => {
  let gate: TestGate
  let key: string
  before(async () => {
    gate = await TestGate.start({ policies: CROSSING })
    gate.upstream.behave = ({ url }, res) => reply(res, 200, { path: url })
    key = await gate.agent('worker')
  })
  after(() => gate.stop())

  it('stand each for what the other does not match', async () => {
    for (const path of ['/a/1/b', '/a/b/1', '/deals/']) {
      const { status, body } = await gate.call('GET', `/proxy/test${path}`, { key })
      expect([status, body.path], path).to.deep.equal([200, path])
    }
    expect((await gate.call('GET', '/proxy/test/deals', { key })).status).to.equal(403)
  })

  it('stand neither for what both match, in whatever spelling', async () => {
    const before = gate.upstream.effects.length
    for (const path of ['/a/b/b', '/a/B/b', '/a/b/%62']) {
      const { status, body } = await gate.call('GET', `/proxy/test${path}`, { key })
      expect([status, body.error.code], path).to.deep.equal([400, 'invalid_request'])
    }
    for (const [tool, args] of [
      ['of.one', { x: 'b' }],
      ['of.one', { x: 'B' }],
      ['of.two', { y: 'b' }],
    ] as const) {
      const { status, body } = await gate.act(key, { tool, args })
      expect([status, body.error.code], tool).to.deep.equal([400, 'invalid_request'])
    }
    expect(gate.upstream.effects).to.have.length(before)
  })
})

describe('a proxied request', () => {
  it('is judged by the bundle that routed it, whatever is loaded in between', async () => {
    const gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
    const key = await gate.agent('routed')
    const { policies } = gate.gate
    const before = policies.current
    const deny = '  - { roles: [worker], tools: ["items.get"], effect: deny }\n'
    writePolicies(gate.policyDir, {
      'gate.yaml': GATE.replace('permissions:\n', `permissions:\n${deny}`),
    })
    expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
    const after = policies.current
    // As if the reload came right after the route was found: whoever asks a second time gets the new one.
    const given = [before]
    Object.defineProperty(policies, 'current', { get: () => given.shift() ?? after })
    const { status, headers } = await gate.call('GET', '/proxy/test/items/i-1', { key })
    expect(status).to.equal(200)
    const action = await gate.call('GET', `/actions/${headers.get('portcullis-action')}`)
    expect(action.body.revision).to.equal(before.revision)
    const next = await gate.call('GET', '/proxy/test/items/i-1', { key })
    expect([next.status, next.body.error.revision]).to.deep.equal([403, after.revision])
    await gate.stop()
  })

  it('is judged by the policy of when its body is here, if that reads it alike', async () => {
    const gate = await TestGate.start()
    gate.upstream.behave = (_effect, res) => reply(res, 200, { ok: true })
    const key = await gate.agent('slow')
    const during = async (files: PolicyFiles) => {
      const headers = {
        'x-api-key': key,
        'content-type': 'application/json',
        expect: '100-continue',
      }
      const req = http.request(`${gate.gate.url}/proxy/test/items/i-1`, {
        method: 'PATCH',
        headers,
      })
      req.flushHeaders()
      await once(req, 'continue') // its head is read
      req.write('{"note":')
      writePolicies(gate.policyDir, files)
      expect((await gate.call('POST', '/policy/reload', { body: {} })).status).to.equal(200)
      req.end('"n"}')
      const [res] = (await once(req, 'response')) as [http.IncomingMessage]
      return [res.statusCode, JSON.parse((await res.toArray()).join('')).error?.code]
    }
    const deny = '  - { roles: [worker], tools: ["items.update"], effect: deny }\n'
    const denied = { 'gate.yaml': GATE.replace('permissions:\n', `permissions:\n${deny}`) }
    expect(await during(denied)).to.deep.equal([403, 'policy_denied'])
    expect(await during({})).to.deep.equal([200, undefined])
    const otherwise = TOOLS.replace(
      '{ upstream: test, method: PATCH,',
      '{ upstream: test, method: PATCH, body: form,',
    )
    expect(await during({ 'tools.yaml': otherwise })).to.deep.equal([409, 'conflict'])
    expect(gate.upstream.effects).to.have.length(1)
    await gate.stop()
  })
})
