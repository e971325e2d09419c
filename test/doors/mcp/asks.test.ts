import {
  Client as Client2,
  StreamableHTTPClientTransport as Http2,
} from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { expect } from 'chai'
import type { JsonObject } from '../../../src/model/json.ts'
import { TestGate, until } from '../../support/gate.ts'
import { GATE, TOOLS } from '../../support/policies.ts'
import { pinsOf } from './pinned.ts'
import { McpServerFixture, SERVED } from './servers.ts'
import { initialized } from './session.ts'

// What a server asks of the client whose call it carries out, with the SDKs on both sides: the gate between them lets
// through what the policy names, to nobody but that client.

const toolsYaml = (url: string, allowed: string) =>
  TOOLS.replace('tools:\n', `  crm: { mcp: { url: "${url}"${allowed} } }\ntools:\n`)
const GATE_YAML = GATE.replace('"items.list",', '"items.list", "mcp.crm.store",')

const FORM: JsonObject = {
  message: 'which colour?',
  requestedSchema: { type: 'object', properties: { colour: { type: 'string' } } },
}
const GREEN: JsonObject = { action: 'accept', content: { colour: 'green' } }
const SAMPLE: JsonObject = {
  messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }],
  maxTokens: 10,
}
const ALL = { sampling: {}, elicitation: {}, roots: {} } as const
const ME = { name: 'tests', version: '1' }

type Answering = (id: string, params: JsonObject) => Promise<JsonObject>

interface Asked {
  readonly client: {
    readonly call: (name?: string) => Promise<unknown>
    readonly close: () => Promise<void>
  }
  readonly session: () => string
  /** Methods that reached the client, whatever it made of them. */
  readonly heard: readonly string[]
}
type Connect = (url: string, key: string, capabilities: object, on: Answering) => Promise<Asked>

const withKey = (key: string) => ({ requestInit: { headers: { 'X-API-Key': key } } })
const STORE = (name = 'store') => ({ name, arguments: { id: 'x' } })
const NOTHING_SAMPLED = {
  model: 'none',
  role: 'assistant',
  content: { type: 'text', text: 'sampled' },
} as const
const ROOTS = { roots: [{ uri: 'file:///srv' }] }

interface Hearing {
  onmessage?: ((...message: never[]) => void) | undefined
}

function heardBy(transport: object): readonly string[] {
  const heard: string[] = []
  const hearing = transport as Hearing
  const on = hearing.onmessage
  hearing.onmessage = (...message: never[]) => {
    const { method } = message[0] as unknown as { method?: string }
    if (method !== undefined) heard.push(method)
    on?.(...message)
  }
  return heard
}

const CONNECT: Readonly<Record<'SDK 1.x' | 'SDK 2.x, legacy', Connect>> = {
  'SDK 1.x': async (url, key, capabilities, on) => {
    const client = new Client1(ME, { capabilities })
    if ('elicitation' in capabilities) {
      client.setRequestHandler(
        ElicitRequestSchema,
        async ({ params }, { requestId }) =>
          (await on(String(requestId), params as unknown as JsonObject)) as never,
      )
      client.setRequestHandler(CreateMessageRequestSchema, () => NOTHING_SAMPLED)
    }
    if ('roots' in capabilities) client.setRequestHandler(ListRootsRequestSchema, () => ROOTS)
    const transport = new Http1(new URL(url), withKey(key))
    await client.connect(transport)
    return {
      client: { call: (name) => client.callTool(STORE(name)), close: () => client.close() },
      session: () => transport.sessionId ?? '',
      heard: heardBy(transport),
    }
  },
  'SDK 2.x, legacy': async (url, key, capabilities, on) => {
    const client = new Client2(ME, { capabilities })
    if ('elicitation' in capabilities) {
      client.setRequestHandler('elicitation/create', (async ({ params }: { params: JsonObject }) =>
        on('', params)) as never)
      client.setRequestHandler('sampling/createMessage', (() => NOTHING_SAMPLED) as never)
    }
    if ('roots' in capabilities) client.setRequestHandler('roots/list', () => ROOTS)
    const transport = new Http2(new URL(url), withKey(key))
    await client.connect(transport)
    return {
      client: { call: (name) => client.callTool(STORE(name)), close: () => client.close() },
      session: () => transport.sessionId ?? '',
      heard: heardBy(transport),
    }
  },
}

/** What a test settles by itself. */
function promised<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let settle: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => {
    settle = resolve
  })
  return { promise, resolve: (value) => settle(value) }
}

const green: Answering = async () => GREEN

describe('what an MCP server asks of its client', () => {
  let server: McpServerFixture
  let gate: TestGate
  let key: string
  /** What the server was answered, in order: results, or codes of errors. */
  const answers: unknown[] = []
  const asks = (method: string, params: JsonObject) => {
    server.behave = async ({ ask }) => {
      await ask(method, params).then(
        (result) => answers.push(result),
        ({ code }: { code: number }) => answers.push(code),
      )
      return { content: [{ type: 'text', text: 'done' }] }
    }
  }
  const started = async (allowed: string) => {
    server = await McpServerFixture.start('legacy')
    gate = await TestGate.start({
      policies: {
        'tools.yaml': toolsYaml(server.url, allowed),
        'gate.yaml': GATE_YAML,
        'mcp-pins.json': pinsOf('crm', SERVED),
      },
    })
    key = await gate.agent('asked')
  }
  const stopped = async () => {
    await gate.stop()
    await server.stop()
  }
  const urlOf = (route = '/mcp/crm') => `${gate.gate.url}${route}`
  beforeEach(() => {
    answers.length = 0
  })

  describe('where the policy lets it ask for input and for roots', () => {
    before(() => started(', allow_server_requests: [elicitation, roots]'))
    after(stopped)

    for (const [label, connect] of Object.entries(CONNECT)) {
      it(`is put to the client of that call, and its answer to the server: ${label}`, async () => {
        const seen: JsonObject[] = []
        const { client } = await connect(urlOf(), key, ALL, async (_id, params) => {
          seen.push(params)
          return { ...GREEN, _meta: { theirs: 1 } }
        })
        asks('elicitation/create', { ...FORM, _meta: { ours: 1 } })
        expect(JSON.stringify(await client.call())).to.include('done')
        asks('roots/list', {})
        await client.call()
        expect(answers).to.deep.equal([GREEN, ROOTS])
        expect(seen[0]).to.include({ message: 'which colour?' }).and.not.have.property('_meta')
        await client.close()
      })

      it(`is refused where the policy names no such kind: ${label}`, async () => {
        const { client } = await connect(urlOf(), key, ALL, green)
        asks('sampling/createMessage', SAMPLE)
        expect(JSON.stringify(await client.call())).to.include('done')
        expect(answers).to.deep.equal([-32_601])
        await client.close()
      })

      it(`is refused of a client that never said it could be asked: ${label}`, async () => {
        const { client, heard } = await connect(urlOf(), key, { roots: {} }, green)
        asks('elicitation/create', FORM)
        expect(JSON.stringify(await client.call())).to.include('done')
        asks('roots/list', {})
        await client.call()
        expect(answers).to.deep.equal([-32_601, ROOTS])
        expect(heard).to.deep.equal(['roots/list'])
        await client.close()
      })
    }

    it('is put to the client at `/mcp` as well', async () => {
      const { client } = await CONNECT['SDK 1.x'](urlOf('/mcp'), key, ALL, green)
      asks('elicitation/create', FORM)
      expect(JSON.stringify(await client.call('crm__store'))).to.include('done')
      expect(answers).to.deep.equal([GREEN])
      await client.close()
    })

    it('is no page to be opened, no task, and nothing long', async () => {
      const { client } = await CONNECT['SDK 1.x'](urlOf(), key, ALL, green)
      asks('elicitation/create', {
        mode: 'url',
        message: 'go',
        url: 'http://x',
        elicitationId: '1',
      })
      await client.call()
      asks('elicitation/create', { ...FORM, message: 'x'.repeat(300_000) })
      await client.call()
      asks('elicitation/create', { ...FORM, task: { ttl: 1 } })
      await client.call()
      expect(answers).to.deep.equal([-32_601, -32_601, -32_601])
      await client.close()
    })

    it('is answered by its own session alone, and once', async () => {
      const asked = promised<string>()
      const told = promised<JsonObject>()
      const { client, session } = await CONNECT['SDK 1.x'](urlOf(), key, ALL, (id) => {
        asked.resolve(id)
        return told.promise
      })
      asks('elicitation/create', FORM)
      const calling = client.call()
      const id = await asked.promise
      const says = (by: string, of: string, colour: string) =>
        gate.call('POST', '/mcp/crm', {
          key: by,
          headers: { 'mcp-session-id': of },
          body: { jsonrpc: '2.0', id, result: { action: 'accept', content: { colour } } },
        })
      const other = await gate.agent('other')
      const theirs = await initialized(gate, other, '/mcp/crm')
      const second = await initialized(gate, key, '/mcp/crm')
      expect((await says(other, session(), 'red')).status).to.equal(404)
      expect((await says(other, theirs, 'red')).status).to.equal(202)
      expect((await says(key, second, 'red')).status).to.equal(202)
      expect(answers).to.deep.equal([])
      told.resolve(GREEN)
      await calling
      expect((await says(key, session(), 'late')).status).to.equal(202)
      expect(answers).to.deep.equal([GREEN])
      await client.close()
    })

    it('is over when a kill switch is thrown, and no answer reaches the server', async () => {
      const asked = promised<string>()
      const told = promised<JsonObject>()
      const { client } = await CONNECT['SDK 1.x'](urlOf(), key, ALL, (id) => {
        asked.resolve(id)
        return told.promise
      })
      asks('elicitation/create', FORM)
      const calling = client.call().catch(() => {})
      await asked.promise
      const body = { engaged: true, scope: { tool: 'mcp.crm.store' }, reason: 'a test' }
      await gate.call('PUT', '/kill-switch', { body })
      told.resolve(GREEN)
      await calling
      expect(answers).to.not.deep.include(GREEN)
      await gate.call('PUT', '/kill-switch', { body: { ...body, engaged: false } })
      await client.close()
    })

    it('is over when the agent is paused, and no answer reaches the server', async () => {
      const pausing = await gate.agent('pausing')
      const asked = promised<string>()
      const told = promised<JsonObject>()
      const { client } = await CONNECT['SDK 1.x'](urlOf(), pausing, ALL, (id) => {
        asked.resolve(id)
        return told.promise
      })
      asks('elicitation/create', FORM)
      const calling = client.call().catch(() => {})
      await asked.promise
      const pause = { body: { action: 'pause', reason: 'a test' } }
      await gate.call('POST', '/api/v1/agents/pausing/action', pause)
      told.resolve(GREEN)
      await calling
      expect(answers).to.deep.equal([-32_601])
      await client.close()
    })

    it('is over when the key is revoked: the server is refused', async () => {
      const leaving = await gate.agent('leaving')
      const asked = promised<string>()
      const { client } = await CONNECT['SDK 1.x'](urlOf(), leaving, ALL, (id) => {
        asked.resolve(id)
        return new Promise(() => {})
      })
      asks('elicitation/create', FORM)
      client.call().catch(() => {})
      await asked.promise
      const id = `key_${leaving.split('_')[1]}`
      expect((await gate.call('DELETE', `/api/v1/keys/${id}`)).status).to.equal(204)
      await until('the server has heard it', () => Promise.resolve(answers.length > 0))
      expect(answers).to.deep.equal([-32_601])
      await client.close()
    })
  })

  describe('where the policy says nothing of it', () => {
    before(() => started(''))
    after(stopped)

    it('is refused, whatever the client can be asked', async () => {
      const { client } = await CONNECT['SDK 1.x'](urlOf(), key, ALL, green)
      asks('elicitation/create', FORM)
      expect(JSON.stringify(await client.call())).to.include('done')
      expect(answers).to.deep.equal([-32_601])
      await client.close()
    })
  })
})
