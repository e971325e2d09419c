import { expect } from 'chai'
import { TestGate } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { reply } from '../../support/upstream.ts'
import { CLIENTS, type Called, type McpClient } from './clients.ts'

const FOR_AGENTS = [
  ...['action_status', 'my_actions', 'cancel_action', 'explain_denial', 'my_budget'],
]
const FOR_PEOPLE = ['list_pending_approvals', 'get_approval']

// Its shape is what the tests assert.
// oxlint-disable-next-line typescript/no-explicit-any
const answerOf = (called: Called): any => called.structuredContent
const errorOf = ({ _meta }: Called) => _meta?.['dev.portcullis/error']

describe('/mcp/portcullis', function () {
  this.timeout(300_000)
  let gate: TestGate
  let key: string
  let other: string
  let approver: string
  before(async () => {
    const denying = `  - { roles: [worker], tools: ["mail.send"], effect: deny }\nrate_limits:`
    gate = await TestGate.start({
      policies: { 'tools.yaml': TOOLS, 'gate.yaml': GATE.replace('rate_limits:', denying) },
    })
    key = await gate.agent('asking')
    other = await gate.agent('another')
    approver = await gate.key('approver', 'ann')
    gate.upstream.behave = (_effect, res) => reply(res, 200, { number: 1 })
  })
  after(() => gate.stop())

  const remove = (id: string, as = key) => gate.act(as, { tool: 'items.delete', args: { id } })
  const connected = async (label: string, as: string): Promise<McpClient> => {
    const client = await CLIENTS[label]?.(`${gate.gate.url}/mcp/portcullis`, as)
    if (!client) throw new Error(`no client ${label}`)
    return client
  }

  for (const label of Object.keys(CLIENTS)) {
    describe(label, () => {
      let mine: McpClient
      let people: McpClient
      before(async () => {
        mine = await connected(label, key)
        people = await connected(label, approver)
      })
      after(() => Promise.all([mine.close(), people.close()]))

      it('lists to an agent what is for agents, and to people what is for people', async () => {
        expect((await mine.tools()).map(({ name }) => name)).to.deep.equal(FOR_AGENTS)
        expect((await people.tools()).map(({ name }) => name)).to.deep.equal(FOR_PEOPLE)
        for (const [client, name] of [
          [mine, 'get_approval'],
          [people, 'my_actions'],
          [people, 'approve'],
        ] as const) {
          const failed = await client.call(name, {}).catch((error: Error) => error.message)
          expect(failed, name).to.include('Unknown tool')
        }
      })

      it('says what became of an action, and waits for a person', async () => {
        const held = (await remove(`status-${label}`)).body
        const args = { action_id: held.action_id }
        expect(answerOf(await mine.call('action_status', args)).status).to.equal('held')
        const waiting = mine.call('action_status', { ...args, wait_s: 50 })
        const pending = answerOf(await people.call('list_pending_approvals')).approvals
        expect(pending.map(({ id }: { id: string }) => id)).to.include(held.approval.id)
        await gate.call('POST', `/approvals/${held.approval.id}/approve`, {
          body: { reason: 'ok' },
        })
        const done = await waiting
        expect(answerOf(done)).to.include({ id: held.action_id, status: 'succeeded' })
        expect(answerOf(done).result.body).to.deep.equal({ number: 1 })
        expect(JSON.parse(done.content[0].text)).to.deep.equal(answerOf(done))
        const read = answerOf(await people.call('get_approval', { approval_id: held.approval.id }))
        expect(read).to.include({ id: held.approval.id, status: 'approved' })
        expect(read.request.args).to.deep.equal({ id: `status-${label}` })
      })

      it('lists an agent\u2019s own actions, and takes one back', async () => {
        const held = (await remove(`cancel-${label}`)).body
        await remove(`foreign-${label}`, other)
        const { actions } = answerOf(await mine.call('my_actions', { status: 'held', limit: 1 }))
        expect(actions.map(({ id }: { id: string }) => id)).to.deep.equal([held.action_id])
        const args = { action_id: held.action_id, reason: 'not needed' }
        expect(answerOf(await mine.call('cancel_action', args)).status).to.equal('cancelled')
        const again = await mine.call('cancel_action', args)
        expect([again.isError, errorOf(again).code]).to.deep.equal([true, 'conflict'])
      })

      it('explains a denial by the id of its decision or its action, and no more than that', async () => {
        const args = { id: 'p-1', text: `hello ${label}` }
        const { error } = (await gate.act(key, { tool: 'mail.send', args })).body
        const byDecision = await mine.call('explain_denial', { decision_id: error.decision_id })
        expect(answerOf(byDecision)).to.include({ tool: 'mail.send', effect: 'deny' })
        expect(answerOf(byDecision).reasons[0].code).to.be.a('string')
        expect(answerOf(byDecision)).to.not.have.any.keys('trace', 'audit', 'shadow')
        const { action_id: actionId } = answerOf(byDecision)
        const byAction = await mine.call('explain_denial', { action_id: actionId })
        expect(answerOf(byAction)).to.deep.equal(answerOf(byDecision))
      })

      it('says what is left of the budget', async () => {
        expect(answerOf(await mine.call('my_budget'))).to.include({ limit: null, remaining: null })
      })

      it('says what is wrong with args, and nothing of what is another\u2019s', async () => {
        const foreign = (await remove(`hidden-${label}`, other)).body.action_id
        for (const [name, args, code] of [
          ['action_status', { action_id: foreign }, 'not_found'],
          ['action_status', { action_id: 'act_none' }, 'not_found'],
          ['cancel_action', { action_id: foreign }, 'not_found'],
          ['explain_denial', { action_id: foreign }, 'not_found'],
          ['explain_denial', {}, 'invalid_request'],
          ['explain_denial', { decision_id: 'dec_none' }, 'not_found'],
          ['my_actions', { limit: 1_000 }, 'invalid_request'],
          ['action_status', { action_id: 'act_none', wait: 1 }, 'invalid_request'],
        ] as const) {
          const failed = await mine.call(name, args)
          expect([name, failed.isError, errorOf(failed).code]).to.deep.equal([name, true, code])
        }
        const words = async (id: string) => {
          const { message } = errorOf(await mine.call('action_status', { action_id: id }))
          return message.replace(id, '')
        }
        expect(await words(foreign)).to.equal(await words('act_none'))
      })
    })
  }

  it('is there for an agent that may do nothing at the moment, to ask why', async () => {
    const paused = await gate.agent('paused')
    const { body } = await gate.call('GET', '/api/v1/agents/paused')
    const pause = { action: 'pause', reason: 'tests' }
    const { status } = await gate.call('POST', `/api/v1/agents/${body.agent.id}/action`, {
      body: pause,
    })
    expect(status).to.equal(200)
    const client = await connected('SDK 1.x', paused)
    expect(answerOf(await client.call('my_actions'))).to.deep.equal({ actions: [] })
    await client.close()
  })
})
