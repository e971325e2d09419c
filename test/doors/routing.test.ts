import { expect } from 'chai'
import { TestGate } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
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
})
