import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'
import { expect } from 'chai'
import path from 'node:path'
import { freePort } from '../../support/gate-process.ts'
import { TestGate } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { pinsOf } from '../mcp/pinned.ts'
import { SERVED } from '../mcp/servers.ts'

// A client that asks as agentgateway does. Its own description of the service is in no package, so that this one reads ours.

const PROTO = path.resolve(import.meta.dirname, '../../../src/doors/ext-mcp/ext_mcp.proto')
const DEFINITION = loader.loadSync(PROTO, { keepCase: true, longs: Number, oneofs: true })

// oxlint-disable-next-line typescript/no-explicit-any -- its shape is what the tests assert
type Told = any

const TOOLS_YAML = `${TOOLS.replace(
  'tools:\n',
  '  crm: { mcp: { url: "http://127.0.0.1:9/mcp" } }\n  docs: { mcp: { url: "http://127.0.0.1:9/mcp" } }\ntools:\n',
)}
mcp:
  resources: ['crm:notes://public/**']
  prompts: ['crm:summary*']
`
const GATE_YAML = GATE.replace(
  'rate_limits:',
  `  - { roles: [worker], tools: ["mcp.crm.find", "mcp.crm.store", "mcp.crm.resources.read", "mcp.crm.prompts.get"], effect: allow }
  - { roles: [worker], tools: ["mcp.crm.erase"], effect: require_approval }
rate_limits:`,
)

describe('the external policy of an MCP gateway', () => {
  let gate: TestGate
  let key: string
  let pep: string
  let client: Told
  before(async () => {
    const port = await freePort()
    gate = await TestGate.start({
      policies: {
        'gate.yaml': GATE_YAML,
        'tools.yaml': TOOLS_YAML,
        'mcp-pins.json': pinsOf('crm', SERVED),
      },
      env: { EXT_AUTHZ_GRPC_PORT: String(port), RATE_LIMIT_PER_S: '1000' },
    })
    key = await gate.agent('behind-it')
    pep = await gate.key('pep', 'agentgateway')
    const { agentgateway } = grpc.loadPackageDefinition(DEFINITION) as Told
    const plain = grpc.credentials.createInsecure()
    client = new agentgateway.dev.ext_mcp.ExtMcp(`127.0.0.1:${port}`, plain)
  })
  after(async () => {
    client?.close()
    await gate?.stop()
  })

  const call = (name: string, message: object, as: string | null = pep): Promise<Told> => {
    const metadata = new grpc.Metadata()
    if (as !== null) metadata.set('authorization', `Bearer ${as}`)
    return new Promise((resolve) => {
      client[name](message, metadata, (error: grpc.ServiceError | null, answer: Told) =>
        resolve(error ? { failed: error.code } : answer),
      )
    })
  }
  const struct = (values: Record<string, string>) => ({
    fields: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, { string_value: value }]),
    ),
  })
  const keyed = () => [{ key: 'X-API-Key', value: Buffer.from(key) }]
  const ask = (method: string, params: object | string, more: object = {}) => {
    const text = typeof params === 'string' ? params : JSON.stringify(params)
    const held = { service_names: ['crm'], method, headers: keyed() }
    return call('CheckRequest', { ...held, mcp_request: Buffer.from(text), ...more })
  }
  const list = (method: string, result: object | string, more: object = {}) => {
    const text = typeof result === 'string' ? result : JSON.stringify(result)
    const held = { service_names: ['crm'], method }
    const metadata_context = struct({ portcullis_agent: 'behind-it' })
    return call('CheckResponse', {
      ...{ ...held, metadata_context, mcp_response: Buffer.from(text) },
      ...more,
    })
  }
  const find = { name: 'find', arguments: { id: '7' } }
  const dataOf = ({ error }: Told) => JSON.parse(error.mcp_error)
  const codeOf = (answer: Told) => dataOf(answer).code
  const leftOf = (answer: Told) => JSON.parse(answer.mutated)

  it('passes a call that is permitted, names its decision, and takes the key away', async () => {
    const answer = await ask('tools/call', { ...find, _meta: { progressToken: 1 } })
    expect(answer.result).to.equal('pass')
    const [{ key: name, value }] = answer.header_mutation.set
    expect([name, String(value)]).to.deep.equal([
      'portcullis-decision',
      answer.metadata.fields.decision_id.string_value,
    ])
    expect(answer.header_mutation.remove).to.deep.equal(['x-api-key'])
    const [entry] = (await gate.call('GET', '/audit/timeline?kind=decision&limit=1')).body.entries
    expect(entry).to.include({
      ...{ surface: 'ext_mcp', enforced_by: 'caller', tool: 'mcp.crm.find' },
      ...{ effect: 'allow', agent_name: 'behind-it', decision_id: String(value) },
    })
  })

  it('refuses what is not permitted, not pinned, not as pinned, and what a person must approve', async () => {
    const refused: [object, string][] = [
      [{ name: 'hidden' }, 'policy_denied'],
      [{ name: 'nothing' }, 'policy_denied'],
      [{ name: 'resources.read', arguments: { uri: 'notes://public/one' } }, 'policy_denied'],
      [{ name: 'find', arguments: { id: 7 } }, 'invalid_request'],
      [{ name: 'erase', arguments: { id: '7' } }, 'approval_required'],
    ]
    for (const [params, code] of refused) {
      const answer = await ask('tools/call', params)
      expect(answer.result, JSON.stringify(params)).to.equal('error')
      expect(codeOf(answer), JSON.stringify(params)).to.equal(code)
      expect(answer.error.reason).to.match(new RegExp(`^${code}: `))
    }
    const { error } = await ask('tools/call', { name: 'hidden' })
    expect(error.code).to.equal(1)
    const { error: none } = await ask('tools/call', { name: 'nothing' })
    expect(error.reason).to.equal(none.reason)
    expect((await ask('tools/call', find, { service_names: ['docs'] })).result).to.equal('error')
    expect((await ask('tools/call', find, { service_names: ['test'] })).result).to.equal('error')
  })

  it('judges what is read as far as it is exposed', async () => {
    const ok = { uri: 'notes://public/one' }
    expect((await ask('resources/read', ok)).result).to.equal('pass')
    expect((await ask('resources/subscribe', ok)).result).to.equal('pass')
    expect((await ask('prompts/get', { name: 'summary' })).result).to.equal('pass')
    for (const uri of ['notes://secret/one', 'notes://public/../secret']) {
      expect((await ask('resources/read', { uri })).result, uri).to.equal('error')
      expect((await ask('resources/subscribe', { uri })).result, uri).to.equal('error')
    }
    expect((await ask('prompts/get', { name: 'internal' })).result).to.equal('error')
    const ref = { type: 'ref/prompt', name: 'summary' }
    const complete = { ref, argument: { name: 'topic', value: 'a' } }
    expect((await ask('completion/complete', complete)).result).to.equal('error')
  })

  it('refuses what it does not judge: other methods, other params, and text that can be read in two ways', async () => {
    expect(codeOf(await ask('tasks/get', { taskId: '1' }))).to.equal('method_not_allowed')
    expect(codeOf(await ask('elicitation/create', {}))).to.equal('method_not_allowed')
    const twice = '{"name":"find","name":"erase","arguments":{"id":"7"}}'
    const wrong = [twice, '[]', '{', '{"name":"find","arguments":{"id":"7"},"task":{}}', '{}']
    const more = [{ name: '\u0000' }, { name: 'x'.repeat(129) }, { ...find, _meta: { note: 'x' } }]
    const long = { ...find, _meta: { progressToken: 'x'.repeat(5_000) } }
    wrong.push(...[...more, long].map((one) => JSON.stringify(one)))
    for (const text of wrong) {
      const answer = await ask('tools/call', text)
      expect([answer.result, codeOf(answer)], text).to.deep.equal(['error', 'invalid_request'])
      expect(answer.error.code, text).to.equal(3)
    }
    const bytes = Buffer.from('{"name":"find","arguments":{"id":"\xff"}}', 'latin1')
    expect((await ask('tools/call', {}, { mcp_request: bytes })).result).to.equal('error')
    expect((await ask('tools/call', find, { service_names: ['crm', 'docs'] })).result).to.equal(
      'error',
    )
    expect((await ask('tools/call', find, { service_names: [] })).result).to.equal('error')
  })

  it('passes what tells nothing, and lists, which are looked at when they come back', async () => {
    for (const method of ['initialize', 'ping', 'notifications/cancelled', 'tools/list']) {
      const bare = { service_names: ['crm', 'docs'], headers: [], mcp_request: undefined }
      expect((await ask(method, {}, bare)).result, method).to.equal('pass')
    }
    const { header_mutation: mutation } = await ask('initialize', {})
    expect(mutation.remove).to.deep.equal(['x-api-key'])
  })

  it('leaves of a list what the agent may know of, and the rest of it as it came', async () => {
    const item = (name: string) => `{"name":"${name}","inputSchema":{"maximum":1.0e400}}`
    const text = `{"tools":[${['find', 'hidden', 'erase', 'nothing'].map(item).join(',')}],"nextCursor":"n"}`
    const { mutated } = await list('tools/list', text)
    expect(String(mutated)).to.equal(
      `{"tools":[${[item('find'), item('erase')].join(',')}],"nextCursor":"n"}`,
    )
    expect((await list('tools/list', { tools: [{ name: 'find' }] })).result).to.equal('pass')
    const uris = ['notes://public/one', 'notes://secret/one']
    const resources = await list('resources/list', { resources: uris.map((uri) => ({ uri })) })
    expect(leftOf(resources).resources).to.deep.equal([{ uri: uris[0] }])
    const prompts = await list('prompts/list', { prompts: [{ name: 'summary' }, { name: 'x' }] })
    expect(leftOf(prompts).prompts).to.deep.equal([{ name: 'summary' }])
  })

  it('knows whose a name is where several servers are listed at once', async () => {
    const tools = ['crm_find', 'crm_hidden', 'docs_find', 'find'].map((name) => ({ name }))
    const answer = await list('tools/list', { tools }, { service_names: ['crm', 'docs'] })
    expect(leftOf(answer).tools).to.deep.equal([{ name: 'crm_find' }])
    const resources = ['crm+notes://public/one', 'docs+notes://public/one', 'crm+notes://x'].map(
      (uri) => ({ uri }),
    )
    const several = { service_names: ['crm', 'docs'] }
    const { resources: left } = leftOf(await list('resources/list', { resources }, several))
    expect(left).to.deep.equal([{ uri: 'crm+notes://public/one' }])
  })

  it('shows no list to who is not said, is none, or that is no list', async () => {
    const tools = { tools: [{ name: 'find' }] }
    expect((await list('tools/list', tools, { metadata_context: null })).result).to.equal('error')
    const nobody = { metadata_context: struct({ portcullis_agent: 'nobody' }) }
    expect(codeOf(await list('tools/list', tools, nobody))).to.equal('unknown_agent')
    expect((await list('tools/list', {})).result).to.equal('error')
    expect((await list('tools/list', 'x')).result).to.equal('error')
    expect((await list('tools/call', { content: [] })).result).to.equal('pass')
  })

  it('shows no answer to what nobody asked about before it was sent', async () => {
    // Of completions agentgateway shows the answers only.
    const completed = await list('completion/complete', { completion: { values: ['a'] } })
    expect(codeOf(completed)).to.equal('method_not_allowed')
    expect(codeOf(await list('tasks/get', {}))).to.equal('method_not_allowed')
    expect((await list('initialize', {})).result).to.equal('pass')
  })

  it('asks for whom the gateway names, by the gateway’s key, and for nobody that a client names', async () => {
    const named = { headers: [], metadata_context: struct({ portcullis_agent: 'behind-it' }) }
    const answer = await ask('tools/call', find, named)
    expect(answer.result).to.equal('pass')
    expect(answer.header_mutation.remove ?? []).to.deep.equal([])
    const [entry] = (await gate.call('GET', '/audit/timeline?kind=decision&limit=1')).body.entries
    expect(entry).to.include({ agent_name: 'behind-it' })
    const byKey = { headers: [], metadata_context: struct({ portcullis_key: key }) }
    expect((await ask('tools/call', find, byKey)).result).to.equal('pass')
    const spoofed = { headers: [{ key: 'portcullis_agent', value: Buffer.from('behind-it') }] }
    expect(codeOf(await ask('tools/call', find, spoofed))).to.equal('unauthenticated')
    const twice = { metadata_context: struct({ portcullis_key: key, portcullis_agent: '' }) }
    expect((await ask('tools/call', find, twice)).result).to.equal('pass')
    const another = { metadata_context: struct({ portcullis_key: await gate.agent('another') }) }
    expect(codeOf(await ask('tools/call', find, another))).to.equal('invalid_request')
    const two = { headers: [...keyed(), ...keyed()] }
    expect((await ask('tools/call', find, two)).result).to.equal('error')
  })

  it('answers only an enforcement point', async () => {
    const held = { service_names: ['crm'], method: 'ping', headers: [] }
    expect(await call('CheckRequest', held, null)).to.deep.equal({ failed: 16 })
    expect(await call('CheckRequest', held, key)).to.deep.equal({ failed: 7 })
  })

  it('refuses under the kill switch, and counts what it answered', async () => {
    const kill = (engaged: boolean) =>
      gate.call('PUT', '/kill-switch', { body: { engaged, scope: {}, reason: 'a test' } })
    await kill(true)
    expect(codeOf(await ask('tools/call', find))).to.equal('kill_switch_engaged')
    await kill(false)
    expect((await ask('tools/call', find)).result).to.equal('pass')
    const { text } = await gate.call('GET', '/metrics')
    expect(text).to.contain('portcullis_ext_mcp_checks_total{status="0"}')
  })
})
