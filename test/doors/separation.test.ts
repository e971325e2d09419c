import { expect } from 'chai'
import { ADMIN, MAKER, TestGate, until, type Answer } from '../support/gate.ts'
import { GATE, PATIENCE, TOOLS, writePolicies } from '../support/policies.ts'
import { reply } from '../support/upstream.ts'

describe('whose approval counts', () => {
  let gate: TestGate
  before(async () => {
    gate = await TestGate.start({ env: { OTHER_URL: 'http://127.0.0.1:9', TOKEN: 'a-token' } })
  })
  after(() => gate.stop())
  beforeEach(async () => {
    gate.upstream.behave = (_effect, res) => reply(res, 200, {})
    await usePolicies({})
  })

  async function usePolicies(files: Record<string, string>): Promise<void> {
    writePolicies(gate.policyDir, files)
    const { status, text } = await gate.call('POST', '/policy/reload', { body: {} })
    expect(status, text).to.equal(200)
  }

  let items = 0
  async function hold(key: string): Promise<{ id: string; actionId: string; item: string }> {
    const item = `i-${items++}`
    const { status, body } = await gate.act(key, { tool: 'items.delete', args: { id: item } })
    expect(status).to.equal(202)
    return { id: body.approval.id, actionId: body.action_id, item }
  }

  const happened = (item: string) =>
    gate.upstream.effects.filter(({ url }) => url.endsWith(`/${item}`)).length

  const approve = (id: string, key: string): Promise<Answer> =>
    gate.call('POST', `/approvals/${id}/approve`, { key, body: {} })

  async function ended(actionId: string): Promise<Answer['body']> {
    let body: Answer['body']
    await until('the action ends', async () => {
      body = (await gate.call('GET', `/actions/${actionId}`)).body
      return !['held', 'executing'].includes(body.state)
    })
    return body
  }

  const agentOf = async (owner: string, name: string): Promise<string> => {
    const body = { name, roles: ['worker'], owner }
    return (await gate.call('POST', '/api/v1/agents', { key: MAKER, body })).body.api_key
  }

  it('not that of the owner of the agent, in whatever spelling; the refusal says who may', async () => {
    const key = await agentOf('Zoë', 'owned')
    const { id } = await hold(key)
    for (const name of ['Zoë', 'zoë', ' ZOË ', 'Zoe\u0308']) {
      const { status, body } = await approve(id, await gate.key('approver', name))
      expect([status, body.error.code], name).to.deep.equal([403, 'forbidden'])
      expect(body.error.message)
        .to.include('owns the agent')
        .and.include('approver, operator, admin')
      expect(body.error.message).to.include('portcullis keys create --role approver')
    }
    expect((await approve(id, await gate.key('approver', 'someone'))).status).to.equal(200)
  })

  it('that of the owner to deny, which only tightens', async () => {
    const { id } = await hold(await agentOf('quinn', 'owned-too'))
    const key = await gate.key('approver', 'quinn')
    const { body } = await gate.call('POST', `/approvals/${id}/deny`, { key, body: {} })
    expect(body.approval.status).to.equal('denied')
  })

  it('not that of whoever issued or rotated a key of the agent, or held one', async () => {
    const key = await agentOf('team', 'issued')
    const rotator = await gate.key('admin', 'rotator')
    await gate.call('POST', '/api/v1/agents/issued/keys/rotate', { key: rotator, body: {} })
    await gate.call('POST', '/api/v1/keys', {
      key: MAKER,
      body: { role: 'agent', name: 'holder', agent: 'issued' },
    })
    const { id } = await hold(key)
    const refused = [MAKER, rotator, await gate.key('approver', 'holder')]
    for (const one of refused) {
      const { status, body } = await approve(id, one)
      expect([status, body.error.code]).to.deep.equal([403, 'forbidden'])
      expect(body.error.message).to.match(/(?:issued|held) a key of this agent/)
    }
    expect((await approve(id, ADMIN)).status).to.equal(200)
    const { body } = await gate.call('GET', '/api/v1/keys')
    const issuers = body.keys
      .filter(({ agent }: { agent: string | null }) => agent !== null)
      .map(({ issued_by: by }: { issued_by: string }) => by)
    expect(issuers).to.include.members(['maker', 'rotator'])
  })

  it('anybody of the role, where the policy separates nobody', async () => {
    const text = 'approvals: { separation: { owner: false, key_issuer: false } }\n'
    await usePolicies({ 'gate.yaml': GATE + text })
    const { id } = await hold(await agentOf('maker', 'alone'))
    expect((await approve(id, MAKER)).status).to.equal(200)
  })

  it('people of one name in different spellings once', async () => {
    const terms = 'approvals: { default: { quorum: 2, approver_roles: [approver] } }\n'
    await usePolicies({ 'gate.yaml': GATE + terms })
    const { id } = await hold(await agentOf('team', 'voiced'))
    for (const name of [
      'ánn',
      'ÁNN',
      'ánn ',
      'a\u0301nn',
      'ánn\u200b',
      '\u2066ánn\u2069',
      'á\u034fnn',
    ]) {
      const { status, body } = await approve(id, await gate.key('approver', name))
      expect([status, body.approval.status], name).to.deep.equal([200, 'pending'])
    }
    const { body } = await approve(id, await gate.key('approver', 'bob'))
    expect(body.approval.status).to.equal('approved')
  })

  describe('by the terms of the moment at which the action would run', () => {
    const only = (role: string, quorum: number) =>
      `${GATE}approvals: { default: { quorum: ${quorum}, approver_roles: [${role}] } }\n`

    it('one that was too little before is enough when fewer are asked for, once it is said again', async () => {
      await usePolicies({ 'gate.yaml': only('approver', 2) })
      const { id } = await hold(await agentOf('team', 'fewer'))
      const as = await gate.key('approver', 'says-it-twice')
      expect((await approve(id, as)).body.approval.status).to.equal('pending')
      expect((await approve(id, as)).body.approval.status).to.equal('pending')
      await usePolicies({ 'gate.yaml': only('approver', 1) })
      expect((await approve(id, as)).body.approval.status).to.equal('approved')
    })

    it('not a vote of a role that the policy does not name any more, given before', async () => {
      await usePolicies({ 'gate.yaml': only('approver, admin', 2) })
      const { id } = await hold(await agentOf('team', 'narrowed'))
      expect((await approve(id, await gate.key('approver', 'a1'))).status).to.equal(200)
      await usePolicies({ 'gate.yaml': only('admin', 2) })
      const { body } = await approve(id, ADMIN)
      expect(body.approval).to.deep.include({ status: 'pending', approver_roles: ['admin'] })
      const late = await approve(id, await gate.key('approver', 'a2'))
      expect(late.status).to.equal(403)
      const other = await gate.key('admin', 'another')
      expect((await approve(id, other)).body.approval.status).to.equal('approved')
    })

    it('not a vote whose key was revoked since', async () => {
      await usePolicies({ 'gate.yaml': only('approver', 2) })
      const { id } = await hold(await agentOf('team', 'revoked-voter'))
      const made = await gate.call('POST', '/api/v1/keys', {
        body: { role: 'approver', name: 'r1' },
      })
      await approve(id, made.body.key)
      await gate.call('DELETE', `/api/v1/keys/${made.body.id}`)
      const { body } = await approve(id, await gate.key('approver', 'r2'))
      expect(body.approval.status).to.equal('pending')
      expect((await approve(id, await gate.key('approver', 'r3'))).body.approval.status).to.equal(
        'approved',
      )
    })

    it('nobody for an agent all of whose keys were revoked after it asked', async () => {
      const key = await agentOf('team', 'keyless')
      const { id, actionId, item } = await hold(key)
      const { body } = await gate.call('GET', '/api/v1/keys')
      const agent = (await gate.call('GET', '/api/v1/agents/keyless')).body.agent.id
      for (const one of body.keys.filter((row: { agent: string }) => row.agent === agent)) {
        await gate.call('DELETE', `/api/v1/keys/${one.id}`)
      }
      await approve(id, ADMIN)
      const action = await ended(actionId)
      expect(action.state).to.equal('denied')
      expect(action.error.message).to.include('keys of the agent were revoked')
      expect(happened(item)).to.equal(0)
    })
  })

  describe('for exactly what was asked: a change of anything the effect depends on refuses', () => {
    const CHANGES: Record<string, (tools: string) => string> = {
      'the address': (text) => text.replace('${TICKETING_API_URL}', '${OTHER_URL}'),
      'the base path': (text) => text.replace('${TICKETING_API_URL}', '${TICKETING_API_URL}/v2'),
      'the credential': (text) =>
        text.replace(PATIENCE, `${PATIENCE}\n    credential: { header: X-Key, env: TOKEN }`),
      'the time-out': (text) => text.replace(PATIENCE, 'timeout_ms: 1400'),
      'the idempotency header': (text) =>
        text.replace(PATIENCE, `${PATIENCE}\n    idempotency_header: Idempotency-Key`),
      'the method': (text) => text.replace('method: DELETE', 'method: POST'),
      'the path': (text) =>
        text.replace('method: DELETE, path: "/items/{id}"', 'method: DELETE, path: "/all/{id}"'),
      'the effect class': (text) =>
        text.replace(
          'effect: irreversible,\n      args: { type: object, properties',
          'effect: write,\n      args: { type: object, properties',
        ),
      'the cost': (text) => text.replace('method: DELETE,', "method: DELETE, cost: '0.01',"),
      'the resource': (text) =>
        text.replace('method: DELETE,', 'method: DELETE, resource: { type: item, id_arg: id },'),
      'the schema of the args': (text) =>
        text.replace(
          'effect: irreversible,\n      args: { type: object, properties: { id: { type: string } }',
          'effect: irreversible,\n      args: { type: object, properties: { id: { type: string, maxLength: 9 } }',
        ),
    }
    for (const [what, change] of Object.entries(CHANGES)) {
      it(what, async () => {
        const name = what.replaceAll(' ', '-')
        const { id, actionId, item } = await hold(await agentOf('team', name))
        const tools = change(TOOLS)
        expect(tools).to.not.equal(TOOLS)
        await usePolicies({ 'tools.yaml': tools })
        await approve(id, ADMIN)
        const action = await ended(actionId)
        expect(action.state).to.equal('denied')
        expect(action.error.message).to.include('is not what was approved')
        expect(happened(item)).to.equal(0)
      })
    }

    it('and of what no effect depends on does not', async () => {
      const { id, actionId } = await hold(await agentOf('team', 'unchanged'))
      const tools = TOOLS.replace(
        'method: DELETE,',
        'description: Take an item away., method: DELETE,',
      )
      await usePolicies({ 'tools.yaml': `# Moved down a line.\n${tools}` })
      await approve(id, ADMIN)
      expect((await ended(actionId)).state).to.equal('succeeded')
    })

    it('a change of gate.yaml is judged anew', async () => {
      const { id, actionId } = await hold(await agentOf('team', 'judged'))
      const row = '  - { roles: [worker], tools: ["items.delete"], effect: deny }\n'
      await usePolicies({ 'gate.yaml': GATE.replace('permissions:\n', `permissions:\n${row}`) })
      await approve(id, ADMIN)
      const action = await ended(actionId)
      expect([action.state, action.error.code]).to.deep.equal(['denied', 'policy_denied'])
    })
  })
})
