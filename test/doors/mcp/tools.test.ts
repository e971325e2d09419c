import { expect } from 'chai'
import { PostgresServer, postgresBin } from '../../support/database.ts'
import { ADMIN, heard, TestGate, until } from '../../support/gate.ts'
import { reply } from '../../support/upstream.ts'
import { initialized } from './session.ts'
import { CLIENTS, type Called, type McpClient } from './clients.ts'

const ERROR = 'dev.portcullis/error'
const ACTION = 'dev.portcullis/action'
const HOLD = 'dev.portcullis/hold_s'

const errorOf = ({ _meta }: Called) => _meta?.[ERROR]

/** Approves what waits for this action, or denies it. */
async function decide(gate: TestGate, approvalId: string, choice: 'approve' | 'deny') {
  const answer = await heard(() =>
    gate.call('POST', `/approvals/${approvalId}/${choice}`, {
      key: ADMIN,
      body: { reason: 'said' },
    }),
  )
  expect(answer.status, answer.text).to.equal(200)
}

async function pendingApproval(gate: TestGate): Promise<string> {
  let id = ''
  await until('an approval is asked for', async () => {
    const { body } = await gate.call('GET', '/approvals?status=pending')
    id = body.approvals[0]?.id ?? ''
    return id !== ''
  })
  return id
}

const deletesOf = (gate: TestGate, id: string) =>
  gate.upstream.effects.filter(({ method, url }) => method === 'DELETE' && url === `/items/${id}`)

describe('MCP: the tools of tools.yaml', () => {
  let gate: TestGate
  let url: string
  let key: string
  let made = 0
  before(async () => {
    gate = await TestGate.start()
    url = `${gate.gate.url}/mcp/tools`
    key = await gate.agent('mcp-worker')
    gate.upstream.behave = (effect, res) => {
      if (effect.url === '/items/none') reply(res, 404, { message: 'no such item' })
      else reply(res, 200, { url: effect.url, big: '12345678901234567890' })
    }
  })
  after(() => gate.stop())

  for (const [label, connect] of Object.entries(CLIENTS)) {
    describe(label, () => {
      let client: McpClient
      beforeEach(async () => {
        client = await connect(url, key)
      })
      afterEach(() => client.close())

      it('agrees on its protocol', () => {
        const expected = label.endsWith('modern') ? '2026-07-28' : '2025-11-25'
        expect(client.version).to.equal(expected)
      })

      it('lists what the agent may call, with the schema of its args, and nothing else', async () => {
        const names = (await client.tools()).map(({ name }) => name)
        const may = ['items_delete', 'items_get', 'items_list', 'items_update', 'mail_send']
        expect(names).to.deep.equal([...may, 'people_get'])
        const nobody = await connect(url, await gate.agent(`nobody-${made++}`, ['nobody']))
        expect(await nobody.tools()).to.deep.equal([])
        await nobody.close()
      })

      it('calls a tool through the pipeline, and says which action it was', async () => {
        const called = await client.call('items_get', { id: `g-${made++}` })
        expect(called.isError).to.not.equal(true)
        expect(called.structuredContent).to.have.property('url')
        const { action_id: id } = called._meta[ACTION]
        const { body } = await gate.call('GET', `/actions/${id}`)
        expect([body.request.action.name, body.state]).to.deep.equal(['items.get', 'succeeded'])
      })

      it('answers an upstream that says no as an error with its words', async () => {
        const called = await client.call('items_get', { id: 'none' })
        expect(called.isError).to.equal(true)
        expect(JSON.stringify(called.content)).to.include('404').and.include('no such item')
      })

      it('answers args that do not fit, with the reason, and the upstream hears nothing', async () => {
        const before = gate.upstream.effects.length
        const called = await client.call('items_get', { nope: 1 })
        expect(called.isError).to.equal(true)
        expect(errorOf(called)).to.include({ code: 'invalid_request', retryable: false })
        expect(errorOf(called).reasons[0].code).to.equal('invalid_args')
        expect(gate.upstream.effects).to.have.length(before)
      })

      it('answers a hidden tool and one that is not there alike, and records both', async () => {
        const nobody = await connect(url, await gate.agent(`nobody-${made++}`, ['nobody']))
        for (const name of ['items_get', 'items_nothing', 'items.get']) {
          const error = await nobody.call(name, { id: 'x' }).then(
            () => undefined,
            (thrown: { code: number; message: string }) => thrown,
          )
          expect(error?.code, name).to.equal(-32602)
          expect(error?.message).to.include(`Unknown tool: ${name}`)
        }
        await nobody.close()
        const { body } = await gate.call('GET', '/actions?limit=3')
        const tools = body.actions.map(
          ({ request }: { request: { action: { name: string } } }) => request.action.name,
        )
        const asked = ['mcp/tools/items.get', 'mcp/tools/items_nothing', 'items.get']
        expect(tools).to.deep.equal(asked)
      })

      it('waits for a person, tells that it does, and answers what came of it: one effect', async () => {
        const id = `d-${made++}`
        const notes: string[] = []
        const calling = client.call(
          'items_delete',
          { id },
          { onprogress: ({ message = '' }) => notes.push(message) },
        )
        await until('progress', () => notes.length > 0)
        const approval = await pendingApproval(gate)
        expect(notes[0]).to.equal(`waiting for approval ${approval}`)
        expect(deletesOf(gate, id)).to.have.length(0)
        await decide(gate, approval, 'approve')
        const called = await calling
        expect(called.isError).to.not.equal(true)
        expect(deletesOf(gate, id)).to.have.length(1)
      })

      it('answers as pending when the wait is over; the same call joins it, and has its result', async () => {
        const id = `p-${made++}`
        const call = () => client.call('items_delete', { id }, { meta: { [HOLD]: 0.05 } })
        const first = await call()
        expect(first.isError).to.equal(true)
        expect(errorOf(first)).to.include({ code: 'approval_pending', retryable: true })
        const second = await call()
        expect(errorOf(second).action_id).to.equal(errorOf(first).action_id)
        await decide(gate, errorOf(first).approval_id, 'approve')
        await until('it has run', () => deletesOf(gate, id).length > 0)
        const third = await client.call('items_delete', { id })
        expect(third.isError).to.not.equal(true)
        expect(third._meta[ACTION].action_id).to.equal(errorOf(first).action_id)
        expect(deletesOf(gate, id)).to.have.length(1)
      })

      it('answers a denial by a person while it waits, with who and why', async () => {
        const calling = client.call('items_delete', { id: `n-${made++}` })
        await decide(gate, await pendingApproval(gate), 'deny')
        const called = await calling
        expect(errorOf(called)).to.include({ code: 'policy_denied' })
        expect(errorOf(called).message).to.equal('approval denied by tester: said')
        expect(JSON.stringify(called.content)).to.include('denied by tester')
      })

      it('takes a held call back when the client cancels it', async () => {
        const id = `c-${made++}`
        const cancelling = new AbortController()
        const calling = client
          .call('items_delete', { id }, { signal: cancelling.signal })
          .catch(() => {})
        const approval = await pendingApproval(gate)
        cancelling.abort('enough')
        await calling
        await until('it is cancelled', async () => {
          const { body } = await gate.call('GET', `/approvals/${approval}`)
          return body.status === 'cancelled'
        })
        expect(deletesOf(gate, id)).to.have.length(0)
      })

      it('says that the kill switch is engaged, and to whom is new as well', async () => {
        const scope = { scope: { tool: 'items.get' }, reason: 'drill' }
        await gate.call('PUT', '/kill-switch', { body: { engaged: true, ...scope } })
        const called = await client.call('items_get', { id: 'k' })
        await gate.call('PUT', '/kill-switch', { body: { engaged: false, ...scope } })
        expect(errorOf(called)).to.include({ code: 'kill_switch_engaged' })
      })

      it('is told when its list may have changed', async () => {
        let told = 0
        client.onListChanged(() => told++)
        await until('it was told', async () => {
          await gate.call('PATCH', '/api/v1/agents/mcp-worker', { body: { owner: `o-${made++}` } })
          return told > 0
        })
      })
    })
  }
})

describe('MCP: calls that wait', () => {
  it('are as many as a key has streams, and the kill switch ends them all with its reason', async () => {
    const gate = await TestGate.start()
    const connect = CLIENTS['SDK 2.x, modern']
    const client = await connect?.(`${gate.gate.url}/mcp/tools`, await gate.agent('many'))
    if (!client) throw new Error('no client')
    const ended: string[] = []
    const calls = Array.from({ length: 18 }, async (_, n) => {
      const called = await client.call('items_delete', { id: `m-${n}` })
      ended.push(errorOf(called).code)
    })
    await until('some wait no more', () => ended.length >= 2)
    expect(new Set(ended)).to.deep.equal(new Set(['approval_pending']))
    const scope = { tool: 'items.delete' }
    await gate.call('PUT', '/kill-switch', { body: { engaged: true, scope, reason: 'drill' } })
    await Promise.all(calls)
    expect(ended.filter((code) => code === 'kill_switch_engaged')).to.have.length.above(10)
    expect(gate.upstream.effects).to.deep.equal([])
    await client.close()
    await gate.stop()
  })
})

describe('MCP on PostgreSQL', function () {
  if (postgresBin() === null) return
  let server: PostgresServer
  before(async () => {
    server = await PostgresServer.start()
  })
  after(() => server.stop())

  it('serves a session on every replica, and keeps it when the gate starts anew', async () => {
    const databaseUrl = await server.createDatabase()
    const one = await TestGate.start({ databaseUrl })
    const two = await TestGate.start({
      databaseUrl,
      upstream: one.upstream,
      policyDir: one.policyDir,
    })
    const key = await one.agent('roaming')
    const session = await initialized(one, key)
    const list = (gate: TestGate) =>
      gate.call('POST', '/mcp/tools', {
        key,
        headers: { 'mcp-session-id': session },
        body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      })
    for (const gate of [one, two]) {
      expect((await list(gate)).body.result.tools).to.have.length(6)
    }
    await two.stop()
    await one.stop()
    const { policyDir, dataDir } = one
    const again = await TestGate.start({ databaseUrl, policyDir, dataDir })
    expect((await list(again)).body.result.tools).to.have.length(6)
    await again.stop()
  })
})
