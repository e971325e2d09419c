import { expect } from 'chai'
import path from 'node:path'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { freePort, GateProcess } from '../support/gate-process.ts'
import { ADMIN, until } from '../support/gate.ts'
import { ModelServer } from '../support/model-server.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { reply, TestUpstream } from '../support/upstream.ts'

const POLICY = GATE.replace(
  'rate_limits:',
  '  - { roles: [worker], tools: [llm.chat], effect: allow }\nrate_limits:',
)

describe('a turn whose gate is killed', () => {
  let upstream: TestUpstream
  let model: ModelServer
  let gate: GateProcess
  before(async () => {
    upstream = await TestUpstream.start()
    upstream.behave = (_effect, res) => reply(res, 200, {})
    model = await ModelServer.start()
    const dataDir = scratch('killed')
    await prepareEmbedded(dataDir)
    writePolicies(path.join(dataDir, 'policies'), { 'gate.yaml': POLICY })
    gate = new GateProcess(await freePort(), {
      DATA_DIR: dataDir,
      POLICY_DIR: path.join(dataDir, 'policies'),
      PLANS_DIR: path.join(dataDir, 'plans'),
      LOG_FILE: path.join(dataDir, 'app.log'),
      TICKETING_API_URL: upstream.url,
      OPENAI_BASE_URL: model.url,
    })
    await gate.start()
  })
  after(async () => {
    await gate.kill()
    await model.stop()
    await upstream.stop()
  })

  const call = async (method: string, route: string, key: string, body?: unknown) => {
    const response = await fetch(`${gate.url}${route}`, {
      method,
      headers: {
        'x-api-key': key,
        'content-type': 'application/json',
        'idempotency-key': 'the-one-turn',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: JSON.parse(await response.text()) }
  }

  it('ends as such, repeats nothing, and leaves what it did on record', async () => {
    const agent = { name: 'mortal', roles: ['worker'], owner: 'tests' }
    const { body } = await call('POST', '/api/v1/agents', ADMIN, agent)
    const key = body.api_key
    model.will(
      () => ({ calls: [{ name: 'items_update', args: { id: 'i-1', note: 'x' } }] }),
      () => {}, // and then it thinks for ever
    )
    const lost = call('POST', '/turn', key, { prompt: 'go' }).catch(() => null)
    await until('the model thinks', () => model.requests.length === 2)
    await gate.kill('SIGKILL')
    expect(await lost).to.equal(null)
    await gate.start()
    let again = await call('POST', '/turn', key, { prompt: 'go' })
    await until('the turn is given up', async () => {
      again = await call('POST', '/turn', key, { prompt: 'go' })
      return again.status !== 409
    })
    expect(again.status).to.equal(200)
    expect(again.body).to.deep.include({ status: 'stopped', text: null })
    expect(again.body.stopped_by.code).to.equal('replica_gone')
    expect([upstream.effects.length, model.requests.length]).to.deep.equal([1, 2])
    const actions = (await call('GET', '/actions', key)).body.actions
    const states = actions.map((one: { request: { action: { name: string } }; state: string }) => [
      one.request.action.name,
      one.state,
    ])
    expect(states).to.deep.equal([
      ['llm.chat', 'indeterminate'],
      ['items.update', 'succeeded'],
      ['llm.chat', 'succeeded'],
    ])
  })
})
