import {
  Client as Client2,
  StreamableHTTPClientTransport as Http2,
} from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { ADMIN, TestGate, until } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { pinsOf } from './pinned.ts'
import { McpServerFixture, SERVED } from './servers.ts'

// Resources and prompts of real servers, read with the clients as they are published.

const toolsYaml = (url: string) => `${TOOLS.replace(
  'tools:\n',
  `  crm: { mcp: { url: "${url}" }, timeout_ms: 30000 }\ntools:\n`,
)}
mcp:
  resources: ['crm:notes://public/**']
  prompts: ['crm:summary*']
`
const GATE_YAML = GATE.replace(
  'rate_limits:',
  `  - { roles: [worker, careful], tools: ["mcp.crm.*"], effect: allow }
  - { roles: [careful], tools: ["mcp.crm.resources.read"], effect: require_approval }
  - { roles: [completer], tools: ["mcp.crm.completion.complete"], effect: allow }
rate_limits:`,
)
const ME = { name: 'tests', version: '1' }
const digest = (of: number) => createHash('sha256').update(String(of)).digest('hex')

interface Reader {
  list(): Promise<readonly string[]>
  templates(): Promise<readonly string[]>
  prompts(): Promise<readonly string[]>
  read(uri: string): Promise<{ readonly text: string; readonly meta: Meta }>
  prompt(name: string, args?: Record<string, string>): Promise<string>
  complete(name: string, value: string): Promise<readonly string[]>
  capabilities(): object
  close(): Promise<void>
}

// oxlint-disable-next-line typescript/no-explicit-any -- its shape is what the tests assert
type Meta = any

type AnyClient = Pick<
  Client1,
  | 'listResources'
  | 'listResourceTemplates'
  | 'listPrompts'
  | 'readResource'
  | 'getPrompt'
  | 'complete'
  | 'getServerCapabilities'
  | 'close'
>

const readerOf = (client: AnyClient): Reader => ({
  list: async () => (await client.listResources()).resources.map(({ uri }) => uri),
  templates: async () =>
    (await client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate),
  prompts: async () => (await client.listPrompts()).prompts.map(({ name }) => name),
  async read(uri) {
    const { contents, ...rest } = await client.readResource({ uri })
    const [first] = contents
    return { text: first && 'text' in first ? first.text : '', meta: rest }
  },
  async prompt(name, args) {
    const got = await client.getPrompt({ name, ...(args ? { arguments: args } : {}) })
    const content = got.messages[0]?.content
    return content?.type === 'text' ? content.text : ''
  },
  async complete(name, value) {
    const ref = { type: 'ref/prompt' as const, name }
    const { completion } = await client.complete({ ref, argument: { name: 'topic', value } })
    return completion.values
  },
  capabilities: () => client.getServerCapabilities() ?? {},
  close: () => client.close(),
})

const withKey = (key: string) => ({ requestInit: { headers: { 'X-API-Key': key } } })
const CONNECT: Readonly<Record<string, (url: string, key: string) => Promise<Reader>>> = {
  'SDK 1.x': async (url, key) => {
    const client = new Client1(ME)
    await client.connect(new Http1(new URL(url), withKey(key)))
    return readerOf(client)
  },
  'SDK 2.x, modern': async (url, key) => {
    const client = new Client2(ME, { versionNegotiation: { mode: 'auto' } })
    await client.connect(new Http2(new URL(url), withKey(key)))
    return readerOf(client)
  },
}

const thrownBy = async (
  doing: Promise<unknown> | undefined,
): Promise<{ code: number; message: string; data?: Meta }> =>
  (doing ?? Promise.resolve()).then(
    () => ({ code: 0, message: 'it was answered' }),
    (error) => error,
  )

for (const era of ['legacy', 'modern'] as const) {
  describe(`resources and prompts of a ${era} MCP server`, () => {
    let server: McpServerFixture
    let gate: TestGate
    let url: string
    let key: string
    before(async () => {
      server = await McpServerFixture.start(era)
      gate = await TestGate.start({
        policies: {
          'tools.yaml': toolsYaml(server.url),
          'gate.yaml': GATE_YAML,
          'mcp-pins.json': pinsOf('crm', SERVED),
        },
      })
      url = `${gate.gate.url}/mcp`
      key = await gate.agent('reader')
    })
    after(async () => {
      await gate.stop()
      await server.stop()
    })

    for (const [label, connect] of Object.entries(CONNECT)) {
      describe(label, () => {
        let reader: Reader
        before(async () => {
          reader = await connect(`${url}/crm`, key)
        })
        after(() => reader.close())

        it('are listed as far as they are exposed', async () => {
          expect(await reader.list()).to.deep.equal([
            'notes://public/one',
            'notes://public/deep/two',
          ])
          expect(await reader.templates()).to.deep.equal(['notes://public/{id}'])
          expect(await reader.prompts()).to.deep.equal(['summary', 'summary-long'])
          expect(reader.capabilities()).to.include.keys('resources', 'prompts', 'completions')
        })

        it('are read through the pipeline: decided, recorded, and as they came', async () => {
          const { text, meta } = await reader.read('notes://public/one')
          expect(text).to.equal('this is "notes://public/one"')
          const { action_id: id } = meta._meta['dev.portcullis/action']
          const { body } = await gate.call('GET', `/actions/${id}`)
          expect(body.request.action.name).to.equal('mcp.crm.resources.read')
          expect(JSON.stringify(body.request)).to.contain('notes://public/one')
          expect(await reader.prompt('summary', { topic: 'x' })).to.equal(
            JSON.stringify({ name: 'summary', arguments: { topic: 'x' } }),
          )
          const [value] = await reader.complete('summary', 'a')
          expect(value).to.contain('"value":"a"')
        })

        it('are not there where nobody exposed them, and that is on record', async () => {
          const before = server.asked.length
          for (const uri of CROOKED) {
            const { message, code } = await thrownBy(reader.read(uri))
            expect(message, uri).to.contain('Resource not found')
            expect(code, uri).to.be.oneOf([-32_002, -32_602])
          }
          for (const name of ['internal', 'summar', 'a/summary', 'nothing', 'summary\u0000']) {
            expect((await thrownBy(reader.prompt(name))).message).to.contain('Unknown prompt')
            expect((await thrownBy(reader.complete(name, ''))).message).to.contain('Unknown prompt')
          }
          expect(server.asked).to.have.length(before)
          const { body } = await gate.call('GET', '/audit/timeline?kind=decision&limit=1')
          expect(body.entries[0]).to.include({ effect: 'deny' })
        })

        it('say what the server says of one that is gone', async () => {
          const { message, code } = await thrownBy(reader.read('notes://public/gone'))
          expect(message).to.contain('Resource not found')
          expect(code).to.be.oneOf([-32_002, -32_602])
        })
      })
    }

    it('wait for a person, and are read once', async () => {
      const reader = await CONNECT['SDK 1.x']?.(`${url}/crm`, await gate.agent('held', ['careful']))
      const before = server.asked.length
      const reading = reader?.read('notes://public/one')
      let approval = ''
      await until('it is asked for', async () => {
        const { body } = await gate.call('GET', '/approvals?status=pending')
        approval = body.approvals[0]?.id ?? ''
        return approval !== ''
      })
      expect(server.asked).to.have.length(before)
      await gate.call('POST', `/approvals/${approval}/approve`, { key: ADMIN, body: {} })
      expect((await reading)?.text).to.contain('notes://public/one')
      await reader?.close()
    })

    it('say why they are refused, as an error with its reasons', async () => {
      const scope = { tool: 'mcp.crm.resources.read' }
      const body = { engaged: true, scope, reason: 'a test' }
      await gate.call('PUT', '/kill-switch', { body })
      const reader = await CONNECT['SDK 1.x']?.(`${url}/crm`, key)
      const { message, data } = await thrownBy(reader?.read('notes://public/one'))
      expect(message).to.contain('kill_switch_engaged')
      expect(data).to.include({ code: 'kill_switch_engaged' })
      await gate.call('PUT', '/kill-switch', { body: { ...body, engaged: false } })
      await reader?.close()
    })

    it('are nothing to an agent that may read none of it', async () => {
      const reader = await CONNECT['SDK 1.x']?.(`${url}/crm`, await gate.agent('blind', ['nobody']))
      expect(reader?.capabilities()).to.not.have.any.keys('resources', 'prompts', 'completions')
      const { message } = await thrownBy(reader?.read('notes://public/one'))
      expect(message).to.contain('Resource not found')
      await reader?.close()
    })

    it('stand at `/mcp` under the name of their server, prompts alone', async () => {
      const reader = await CONNECT['SDK 2.x, modern']?.(url, key)
      expect(await reader?.prompts()).to.deep.equal(['crm__summary', 'crm__summary-long'])
      expect(reader?.capabilities()).to.not.have.any.keys('resources')
      expect(await reader?.prompt('crm__summary')).to.equal('{"name":"summary"}')
      expect((await reader?.complete('crm__summary', 'b'))?.[0]).to.contain('"name":"summary"')
      await reader?.close()
    })

    const asked = (route: string, method: string, params: Record<string, unknown>) => {
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      }
      const name = Buffer.from(String(params['uri'] ?? params['name'])).toString('base64')
      const headers = {
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        'mcp-name': `=?base64?${name}?=`,
        accept: 'application/json, text/event-stream',
      }
      const message = { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }
      return gate.call('POST', route, { key, headers, body: message })
    }

    it('are private to whoever reads them, whatever the server says', async () => {
      const { body } = await asked('/mcp/crm', 'resources/read', { uri: 'notes://public/one' })
      expect(body.result).to.include({ resultType: 'complete', ttlMs: 0, cacheScope: 'private' })
    })

    it('are no resources at `/mcp`, whatever name stands beside', async () => {
      const before = server.asked.length
      const reads = { uri: 'notes://public/one', name: 'crm__summary' }
      const ref = { type: 'ref/resource', uri: 'notes://public/{id}' }
      const completes = { ref, argument: { name: 'id', value: '' }, name: 'crm__summary' }
      for (const [method, params] of [
        ['resources/read', reads],
        ['resources/read', { ...reads, ref: { type: 'ref/prompt', name: 'crm__summary' } }],
        ['completion/complete', completes],
      ] as const) {
        expect((await asked('/mcp', method, params)).body.error?.code, method).to.equal(-32_602)
      }
      expect(server.asked).to.have.length(before)
    })

    it('are on record by servers that there are, whatever a client makes up', async () => {
      const long = Array.from({ length: 90 }, (_, at) => digest(at)).join('')
      for (const made of ['\u0000', long, 'none', 'tools']) {
        const { status, body } = await asked('/mcp', 'prompts/get', { name: `${made}__x` })
        expect([status, body.error?.message]).to.deep.equal([200, 'Unknown prompt'])
        const { body: record } = await gate.call('GET', '/audit/timeline?kind=decision&limit=1')
        expect(record.entries[0]).to.include({ effect: 'deny', tool: 'mcp/*/prompts/get' })
      }
    })

    it('are completed for nobody who may not read them', async () => {
      const reader = await CONNECT['SDK 1.x']?.(
        `${url}/crm`,
        await gate.agent('completer', ['completer']),
      )
      const before = server.asked.length
      const { message } = await thrownBy(reader?.complete('summary', 'a'))
      expect(message).to.contain('Unknown prompt')
      expect(server.asked).to.have.length(before)
      await reader?.close()
    })

    it('are nothing that a person has to pin', async () => {
      const { body } = await gate.call('GET', '/mcp-servers?look=true')
      const names = body.servers[0].tools.map(({ name }: { name: string }) => name)
      expect(names).to.have.members(SERVED.map(({ name }) => name))
    })

    it('are tools like any other to `POST /act`, within what is exposed', async () => {
      const read = (uri: string) => gate.act(key, { tool: 'mcp.crm.resources.read', args: { uri } })
      expect((await read('notes://public/one')).status).to.equal(200)
      for (const uri of CROOKED) expect((await read(uri)).status, uri).to.equal(400)
    })
  })
}

describe('a tool of an MCP server that is called as the method', () => {
  it('is called as a tool, and reads no resource', async () => {
    const server = await McpServerFixture.start('modern')
    const own = { name: 'resources.read', inputSchema: { type: 'object' } } as const
    server.tools = [own]
    const gate = await TestGate.start({
      policies: {
        'tools.yaml': toolsYaml(server.url).replace(/mcp:\n[^]*$/, ''),
        'gate.yaml': GATE.replace('"items.list",', '"items.list", "mcp.crm.*",'),
        'mcp-pins.json': pinsOf('crm', [own]),
      },
    })
    try {
      const url = `${gate.gate.url}/mcp/crm`
      const reader = await CONNECT['SDK 1.x']?.(url, await gate.agent('reader'))
      expect(reader?.capabilities()).to.not.have.any.keys('resources')
      const { message } = await thrownBy(reader?.read('notes://public/one'))
      expect(message).to.contain('Resource not found')
      expect(server.calls).to.deep.equal([])
      await reader?.close()
    } finally {
      await gate.stop()
      await server.stop()
    }
  })
})

/** Not exposed, or written so that a server may take it for something else. */
const CROOKED = [
  'notes://secret/three',
  'notes://public/../secret/three',
  'notes://public/deep/../../secret/three',
  'notes://public/..',
  'notes://public/%2e%2e/secret/three',
  'notes://public/..%2Fsecret/three',
  'notes://public/..%252Fsecret/three',
  'notes://public/%25252e%2e/secret/three',
  'notes://public/..;/secret/three',
  'notes://public/..\\secret\\three',
  'notes://public/.?x',
  'notes://public/one\u0000',
  'notes://public/ one',
  'Notes://public/one',
  'x notes://public/one',
]
