import { expect } from 'chai'
import { TestGate, until } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { reply } from '../../support/upstream.ts'
import { CLIENTS, type Called, type McpClient } from './clients.ts'
import { pinsOf } from './pinned.ts'
import { McpServerFixture, SERVED } from './servers.ts'
import { initialized } from './session.ts'

const ACTION = 'dev.portcullis/action'
const errorOf = ({ _meta }: Called) => _meta?.['dev.portcullis/error']

// Two servers that speak other protocols than one another, and the tools of `tools.yaml`, under one path.

const toolsYaml = (one: string, other: string) => `${TOOLS.replace(
  'tools:\n',
  `  crm: { mcp: { url: "${one}" }, timeout_ms: 30000 }
  files-2: { mcp: { url: "${other}" }, timeout_ms: 30000 }
tools:\n`,
)}
mcp:
  hold_s: 0
  tools: { 'crm:find': { effect: read }, 'crm:store': { effect: write }, 'files-2:find': { effect: read } }
`
const GATE_YAML = GATE.replace(
  'rate_limits:',
  `  - { roles: [worker], tools: ["mcp.crm.find", "mcp.crm.store", "mcp.files-2.find"], effect: allow }
  - { roles: [worker], tools: ["mcp.crm.erase"], effect: require_approval }
rate_limits:`,
)
const OF_SERVERS = ['crm__find', 'crm__store', 'crm__erase', 'files-2__find']

describe('/mcp: all servers', function () {
  this.timeout(300_000)
  let crm: McpServerFixture
  let files: McpServerFixture
  let gate: TestGate
  let key: string
  before(async () => {
    crm = await McpServerFixture.start('legacy')
    files = await McpServerFixture.start('modern')
    const pins = { ...JSON.parse(pinsOf('crm', SERVED)), ...JSON.parse(pinsOf('files-2', SERVED)) }
    gate = await TestGate.start({
      policies: {
        'tools.yaml': toolsYaml(crm.url, files.url),
        'gate.yaml': GATE_YAML,
        'mcp-pins.json': JSON.stringify(pins),
      },
    })
    key = await gate.agent('everywhere')
    gate.upstream.behave = (_effect, res) => reply(res, 200, { name: 'an item' })
  })
  after(async () => {
    await gate.stop()
    await Promise.all([crm.stop(), files.stop()])
  })
  beforeEach(() => {
    crm.tools = SERVED
  })

  for (const [label, connect] of Object.entries(CLIENTS)) {
    describe(label, () => {
      let client: McpClient
      beforeEach(async () => {
        client = await connect(`${gate.gate.url}/mcp`, key)
      })
      afterEach(() => client.close())

      it('lists what may be called of each, under the name of its server', async () => {
        const names = (await client.tools()).map(({ name }) => name)
        expect(names.filter((name) => !name.startsWith('tools__'))).to.deep.equal(OF_SERVERS)
        expect(names).to.include.members(['tools__items_get', 'tools__items_delete'])
      })

      it('calls a tool of each, whichever protocol its server speaks', async () => {
        for (const [server, name] of [
          [crm, 'crm__find'],
          [files, 'files-2__find'],
        ] as const) {
          const id = `${name} by ${label}`
          const called = await client.call(name, { id })
          expect(called.structuredContent).to.deep.equal({ found: id })
          expect(server.calls.filter(({ args }) => args['id'] === id)).to.have.length(1)
        }
        const own = await client.call('tools__items_get', { id: 'i-1' })
        expect(own.structuredContent).to.deep.equal({ name: 'an item' })
      })

      it('is the same action as under the path of its server', async () => {
        const called = await client.call('crm__store', { id: `same ${label}` })
        const { body } = await gate.call('GET', `/actions/${called._meta[ACTION].action_id}`)
        expect(body.request.action.name).to.equal('mcp.crm.store')
        expect(body.request.context).to.deep.equal({ mcp: { server: 'crm' } })
        const held = errorOf(await client.call('crm__erase', { id: `held ${label}` }))
        const there = await connect(`${gate.gate.url}/mcp/crm`, key)
        const joined = errorOf(await there.call('erase', { id: `held ${label}` }))
        expect([held.code, joined.action_id]).to.deep.equal(['approval_pending', held.action_id])
        await there.close()
      })

      it('answers what is not there, hidden or of nobody alike', async () => {
        for (const name of [
          'crm__hidden',
          'crm__nothing',
          'nobody__find',
          'find',
          '__',
          'tools__',
        ]) {
          const failed = await client.call(name, { id: 'x' }).catch((error: Error) => error)
          expect((failed as { code?: number }).code, name).to.equal(-32602)
          expect((failed as Error).message).to.include(`Unknown tool: ${name}`)
        }
      })
    })
  }

  it('does without a server that cannot be listed, and with it again when it can', async () => {
    const client = await CLIENTS['SDK 2.x, modern']?.(`${gate.gate.url}/mcp`, key)
    const servers = async () =>
      new Set((await client?.tools())?.map(({ name }) => name.split('__')[0]))
    crm.tools = Array.from({ length: 2_001 }, (_, n) => ({
      name: `many-${n}`,
      inputSchema: { type: 'object' as const },
    }))
    expect(await servers()).to.deep.equal(new Set(['tools', 'files-2']))
    crm.tools = SERVED
    await until('it is back', async () => (await servers()).has('crm'))
    await client?.close()
  })

  it('has sessions of its own', async () => {
    const session = await initialized(gate, key, '/mcp')
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
    const headers = { 'mcp-session-id': session }
    expect((await gate.call('POST', '/mcp', { key, headers, body })).status).to.equal(200)
    expect((await gate.call('POST', '/mcp/crm', { key, headers, body })).status).to.equal(404)
    expect((await gate.call('DELETE', '/mcp', { key, headers })).status).to.equal(200)
  })
})
