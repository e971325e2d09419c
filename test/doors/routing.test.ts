import { expect } from 'chai'
import { once } from 'node:events'
import http from 'node:http'
import { TestGate } from '../support/gate.ts'
import { GATE, TOOLS, writePolicies, type PolicyFiles } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

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
