import { expect } from 'chai'
import type { JsonObject } from '../../../src/model/json.ts'
import { TestGate, until } from '../../support/gate.ts'
import { TOOLS } from '../../support/policies.ts'
import { reply } from '../../support/upstream.ts'
import { initialized } from './session.ts'

const TASKS = 'io.modelcontextprotocol/tasks'
const PREFIX = 'io.modelcontextprotocol/'
const MODERN = '2026-07-28'
const ERROR = 'dev.portcullis/error'

/** What a client of 2026-07-28 says of itself on each request. */
const envelope = (extensions: JsonObject) => ({
  [`${PREFIX}protocolVersion`]: MODERN,
  [`${PREFIX}clientCapabilities`]: { extensions },
})
const WITH = envelope({ [TASKS]: {} })
const WITHOUT = envelope({})

describe('tasks of MCP', function () {
  this.timeout(300_000)
  let gate: TestGate
  let key: string
  let other: string
  before(async () => {
    gate = await TestGate.start({
      policies: { 'tools.yaml': `${TOOLS}\nmcp: { hold_s: 0 }\n` },
    })
    key = await gate.agent('tasked')
    other = await gate.agent('another')
    gate.upstream.behave = (_effect, res) => reply(res, 200, { deleted: true })
  })
  after(() => gate.stop())

  const headersOf = (method: string, params: JsonObject) => {
    const name = params['name'] ?? params['taskId']
    return {
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    }
  }
  const send = (
    method: string,
    params: JsonObject,
    { as = key, meta = WITH }: { as?: string; meta?: JsonObject } = {},
  ) =>
    gate.call('POST', '/mcp/tools', {
      key: as,
      headers: headersOf(method, params),
      body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } },
    })
  const remove = (id: string, how = {}) =>
    send('tools/call', { name: 'items_delete', arguments: { id } }, how)
  const task = async (id: string) => (await remove(id)).body.result
  const get = async (taskId: string) => (await send('tasks/get', { taskId })).body.result
  const over = async (taskId: string) => {
    let found: JsonObject = {}
    await until('it is over', async () => {
      found = await get(taskId)
      return found['status'] !== 'working'
    })
    return found
  }
  const approvalOf = ({ statusMessage }: JsonObject) =>
    /apr_\w+/.exec(typeof statusMessage === 'string' ? statusMessage : '')?.[0] ?? ''
  const vote = (approval: string, choice: 'approve' | 'deny') =>
    gate.call('POST', `/approvals/${approval}/${choice}`, { body: { reason: 'seen' } })
  const removed = (id: string) =>
    gate.upstream.effects.filter(({ url }) => url === `/items/${id}`).length

  it('are what is held for a client that says it knows them, and can be had at once', async () => {
    const { body } = await send('server/discover', {})
    expect(body.result.capabilities.extensions).to.deep.equal({ [TASKS]: {} })
    const made = await task('t-1')
    expect(made).to.include({ resultType: 'task', status: 'working' })
    expect(made.taskId).to.match(/^tsk_/)
    expect(made.ttlMs).to.be.a('number').and.satisfy(Number.isInteger)
    expect(made.pollIntervalMs).to.be.a('number').and.satisfy(Number.isInteger)
    expect(made).to.not.have.any.keys('task', 'requestState', 'result')
    const { resultType, ...got } = await get(made.taskId)
    expect(resultType).to.equal('complete')
    expect({ resultType: 'task', ...got }).to.deep.equal(made)
  })

  it('are given to nobody else: what is held is pending, and what runs is its result', async () => {
    const { body } = await remove('t-2', { meta: WITHOUT })
    expect(body.result._meta[ERROR].code).to.equal('approval_pending')
    const legacy = await initialized(gate, key)
    const answer = await gate.call('POST', '/mcp/tools', {
      key,
      headers: { 'mcp-session-id': legacy },
      body: {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'items_delete', arguments: { id: 't-3' }, _meta: WITH, task: {} },
      },
    })
    // That envelope is of the other protocol, so that its headers are missed.
    expect(answer.body.error.code).to.equal(-32020)
    const read = await send('tools/call', { name: 'items_get', arguments: { id: 't-4' } })
    expect(read.body.result).to.include({ resultType: 'complete' })
  })

  it('end with what the call would have been answered: once, however often they are asked', async () => {
    const made = await task('t-5')
    expect(removed('t-5')).to.equal(0)
    await vote(approvalOf(made), 'approve')
    const ended = await over(made.taskId)
    expect(ended).to.include({ status: 'completed', resultType: 'complete' })
    expect(ended['result']).to.deep.include({ structuredContent: { deleted: true } })
    expect(ended['result']).to.include({ resultType: 'complete' })
    expect(await get(made.taskId)).to.deep.equal(ended)
    expect(removed('t-5')).to.equal(1)
    // What was collected by its task is not joined any more: the same call is another action.
    expect((await task('t-5')).taskId).to.not.equal(made.taskId)
  })

  it('are completed when they are denied, with why', async () => {
    const made = await task('t-6')
    await vote(approvalOf(made), 'deny')
    const ended = await over(made.taskId)
    expect(ended['status']).to.equal('completed')
    const result = ended['result'] as { isError: boolean; _meta: Record<string, JsonObject> }
    expect(result.isError).to.equal(true)
    expect(result._meta[ERROR]).to.include({ code: 'policy_denied' })
    expect(removed('t-6')).to.equal(0)
  })

  it('are cancelled by who asked, once, and a cancel after the end changes nothing', async () => {
    const made = await task('t-7')
    const cancelled = await send('tasks/cancel', { taskId: made.taskId })
    expect(cancelled.body.result).to.deep.equal({ resultType: 'complete' })
    expect(await get(made.taskId)).to.include({ status: 'cancelled' })
    const again = await send('tasks/cancel', { taskId: made.taskId })
    expect(again.body.result).to.deep.equal({ resultType: 'complete' })
    const { body } = await gate.call('GET', `/approvals/${approvalOf(made)}`)
    expect(body.status).to.equal('cancelled')
  })

  it('take no approval from their client', async () => {
    const made = await task('t-8')
    const params = { taskId: made.taskId, inputResponses: { approve: { action: 'accept' } } }
    expect((await send('tasks/update', params)).body.result).to.deep.equal({
      resultType: 'complete',
    })
    expect(await get(made.taskId)).to.include({ status: 'working' })
    expect(removed('t-8')).to.equal(0)
  })

  it('are nobody else\u2019s, and nobody\u2019s under another path or another id', async () => {
    const { taskId } = await task('t-9')
    const changed = taskId.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'))
    for (const method of ['tasks/get', 'tasks/cancel', 'tasks/update']) {
      for (const [id, as] of [
        [taskId, other],
        [changed, key],
        ['tsk_', key],
        ['', key],
      ] as const) {
        const { body } = await send(method, { taskId: id }, { as })
        expect(body.error, `${method} ${id}`).to.include({ code: -32602, message: 'Unknown task' })
      }
    }
    expect(await get(taskId)).to.include({ status: 'working' })
  })

  it('are for clients that say so on the request itself; what is not of them is not there', async () => {
    const { taskId } = await task('t-10')
    const { status, body } = await send('tasks/get', { taskId }, { meta: WITHOUT })
    expect([status, body.error.code]).to.deep.equal([400, -32021])
    expect(body.error.data).to.deep.equal({ requiredCapabilities: { extensions: { [TASKS]: {} } } })
    for (const method of ['tasks/list', 'tasks/result']) {
      const answer = await send(method, { taskId })
      expect([answer.status, answer.body.error.code]).to.deep.equal([404, -32601])
    }
  })

  it('are told of on a subscription, those that are one\u2019s own', async () => {
    const made = await task('t-11')
    const params = { notifications: { taskIds: [made.taskId, 'tsk_of_nobody', 7] }, _meta: WITH }
    const left = new AbortController()
    const response = await fetch(`${gate.gate.url}/mcp/tools`, {
      method: 'POST',
      signal: left.signal,
      headers: {
        'content-type': 'application/json',
        'x-api-key': key,
        ...headersOf('subscriptions/listen', {}),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 's-1', method: 'subscriptions/listen', params }),
    })
    let text = ''
    const reading = (async () => {
      const decoder = new TextDecoder()
      for await (const part of response.body as unknown as AsyncIterable<Uint8Array>)
        text += decoder.decode(part, { stream: true })
    })().catch(() => {})
    await until('it is agreed to', () => text.includes('acknowledged'))
    const messages = () =>
      [...text.matchAll(/^data: (.*)$/gm)].map(([, one]) => JSON.parse(one ?? '') as JsonObject)
    expect(messages()[0]?.['params']).to.deep.include({
      notifications: { taskIds: [made.taskId] },
    })
    await vote(approvalOf(made), 'approve')
    await until('it is told', () => text.includes('"status":"completed"'))
    const told = messages().at(-1) as { method: string; params: JsonObject }
    expect(told.method).to.equal('notifications/tasks')
    expect(told.params).to.include({ taskId: made.taskId, status: 'completed' })
    expect(told.params['_meta']).to.deep.equal({ [`${PREFIX}subscriptionId`]: 's-1' })
    left.abort()
    await reading
  })
})
