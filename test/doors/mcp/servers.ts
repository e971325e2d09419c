import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { createMcpHandler, Server as Server2 } from '@modelcontextprotocol/server'
import { Server as Server1 } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  ResultSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../../src/model/json.ts'

// Real MCP servers of both protocols, made with the SDKs, with a ledger of the calls that reached them. What they list can be
// changed under way, as servers do.

export interface ServedTool {
  readonly name: string
  readonly description?: string
  readonly inputSchema: JsonObject & { readonly type: 'object' }
  readonly outputSchema?: JsonObject & { readonly type: 'object' }
}

export interface ServerCall {
  readonly name: string
  readonly args: JsonObject
  /** Tells its progress, where the caller wants to know it. */
  readonly progress: (progress: number) => Promise<void>
  readonly log: (level: string, data: string) => Promise<void>
  /** Asks the client whose call it is. */
  readonly ask: Ask
}

type Ask = (method: string, params: JsonObject) => Promise<JsonObject>

const asksNothing: Ask = () => Promise.reject(new Error('the modern protocol has no such requests'))

interface CallParams {
  readonly name: string
  readonly arguments?: JsonObject
  readonly _meta?: JsonObject
}

// What tests answer with.
export type Behave = (call: ServerCall) => JsonObject | Promise<JsonObject>

const ID = { id: { type: 'string' } } as const
export const SERVED: readonly ServedTool[] = [
  {
    name: 'find',
    description: 'Finds one.',
    inputSchema: {
      type: 'object',
      properties: ID,
      required: ['id'],
      $schema: 'http://json-schema.org/draft-07/schema#',
    },
    outputSchema: {
      type: 'object',
      properties: { found: { type: 'string' } },
      required: ['found'],
    },
  },
  { name: 'store', inputSchema: { type: 'object', properties: ID, required: ['id'] } },
  { name: 'erase', inputSchema: { type: 'object', properties: ID, required: ['id'] } },
  { name: 'hidden', inputSchema: { type: 'object' } },
]

const CAPABILITIES = {
  tools: {},
  resources: {},
  prompts: {},
  completions: {},
  logging: {},
} as const
const BESIDE_SCHEMAS = {
  'resources/list': ListResourcesRequestSchema,
  'resources/templates/list': ListResourceTemplatesRequestSchema,
  'resources/read': ReadResourceRequestSchema,
  'prompts/list': ListPromptsRequestSchema,
  'prompts/get': GetPromptRequestSchema,
  'completion/complete': CompleteRequestSchema,
} as const
const RESOURCES = ['notes://public/one', 'notes://public/deep/two', 'notes://secret/three']
const TEMPLATES = ['notes://public/{id}', 'notes://secret/{id}']
const PROMPTS = ['summary', 'summary-long', 'internal']

/** A server that runs, whichever protocol it speaks. */
export class McpServerFixture {
  tools: readonly ServedTool[] = SERVED
  /** What it was asked besides tools. */
  readonly asked: { readonly method: string; readonly params: JsonObject }[] = []
  readonly calls: { readonly name: string; readonly args: JsonObject }[] = []
  /** Headers of every request, and how often it was listed. */
  readonly headers: http.IncomingHttpHeaders[] = []
  lists = 0
  behave: Behave = ({ name, args }) => ({
    content: [{ type: 'text', text: `${name} ${JSON.stringify(args)}` }],
    structuredContent: { found: args['id'] ?? '' },
  })
  readonly #sessions = new Map<string, StreamableHTTPServerTransport>()
  readonly #server: http.Server

  private constructor(era: 'legacy' | 'modern') {
    const modern = era === 'modern' ? this.#modern() : undefined
    this.#server = http.createServer((req, res) => {
      this.headers.push(req.headers)
      const done = modern ? modern(req, res) : this.#legacy(req, res)
      done.catch((error: unknown) => res.destroy(error as Error))
    })
  }

  static async start(era: 'legacy' | 'modern'): Promise<McpServerFixture> {
    const fixture = new McpServerFixture(era)
    await new Promise<void>((resolve) => fixture.#server.listen(0, '127.0.0.1', resolve))
    return fixture
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  /** As after a restart: it knows no session any more. */
  forgetSessions(): void {
    this.#sessions.clear()
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #listed(): { tools: ServedTool[] } {
    this.lists++
    return { tools: [...this.tools] }
  }

  async #called(
    { name, arguments: args = {}, _meta }: CallParams,
    notify: (method: string, params: JsonObject) => Promise<void>,
    ask: Ask = asksNothing,
  ) {
    this.calls.push({ name, args })
    const { progressToken } = _meta ?? {}
    return this.behave({
      name,
      args,
      progress: async (progress) => {
        if (progressToken === undefined) return
        await notify('notifications/progress', { progressToken, progress })
      },
      log: (level, data) => notify('notifications/message', { level, data }),
      ask,
    })
  }

  #beside(method: string, { _meta, ...params }: JsonObject, notFound: number): JsonObject {
    this.asked.push({ method, params })
    const { uri } = params
    switch (method) {
      case 'resources/list':
        return { resources: RESOURCES.map((one) => ({ uri: one, name: one })) }
      case 'resources/templates/list':
        return { resourceTemplates: TEMPLATES.map((one) => ({ uriTemplate: one, name: one })) }
      case 'prompts/list':
        return { prompts: PROMPTS.map((name) => ({ name })) }
      case 'resources/read':
        if (uri === 'notes://public/gone') throw new McpError(notFound, 'Resource not found')
        return { contents: [{ uri: uri ?? '', text: `this is ${JSON.stringify(uri)}` }] }
      case 'prompts/get':
        return {
          messages: [{ role: 'user', content: { type: 'text', text: JSON.stringify(params) } }],
        }
      default:
        return { completion: { values: [JSON.stringify(params)], hasMore: false } }
    }
  }

  #server1(): Server1 {
    const server = new Server1({ name: 'fixture', version: '1' }, { capabilities: CAPABILITIES })
    for (const [method, schema] of Object.entries(BESIDE_SCHEMAS)) {
      server.setRequestHandler(schema, ({ params }) =>
        this.#beside(method, (params ?? {}) as JsonObject, -32_002),
      )
    }
    server.setRequestHandler(ListToolsRequestSchema, () => this.#listed())
    server.setRequestHandler(
      CallToolRequestSchema,
      ({ params }, { sendNotification, sendRequest }) =>
        this.#called(
          params as CallParams,
          (method, said) => sendNotification({ method, params: said }),
          async (method, asked) =>
            (await sendRequest({ method, params: asked }, ResultSchema)) as JsonObject,
        ),
    )
    return server
  }

  async #legacy(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const id = req.headers['mcp-session-id']
    if (typeof id === 'string') {
      const known = this.#sessions.get(id)
      if (known) return known.handleRequest(req, res)
      res.writeHead(404).end()
      return
    }
    if (req.headers['mcp-protocol-version'] === '2026-07-28') {
      res.writeHead(400).end()
      return
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void this.#sessions.set(session, transport),
    })
    await this.#server1().connect(transport)
    await transport.handleRequest(req, res)
  }

  #modern(): (req: http.IncomingMessage, res: http.ServerResponse) => Promise<void> {
    const handler = createMcpHandler(() => this.#server2(), { legacy: 'reject' })
    return async (req, res) => {
      const chunks: Buffer[] = []
      for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
      const headers = new Headers(req.headers as Record<string, string>)
      const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }
      const url = `http://${req.headers.host}${req.url}`
      const response = await handler.fetch(
        new Request(url, { method: req.method ?? 'GET', headers, ...body }),
      )
      res.writeHead(response.status, Object.fromEntries(response.headers))
      const reader = response.body?.getReader()
      for (;;) {
        const part = await reader?.read()
        if (!part || part.done) break
        res.write(part.value)
      }
      res.end()
    }
  }

  #server2(): Server2 {
    const server = new Server2({ name: 'fixture', version: '1' }, { capabilities: CAPABILITIES })
    for (const method of Object.keys(BESIDE_SCHEMAS)) {
      const handler = ({ params = {} }: { params?: JsonObject }) =>
        this.#beside(method, params, -32_602)
      server.setRequestHandler(method as 'prompts/get', handler as never)
    }
    server.setRequestHandler('tools/list', () => this.#listed() as never)
    server.setRequestHandler('tools/call', ((
      { params }: { params: CallParams },
      { mcpReq }: { mcpReq: { notify: (note: unknown) => Promise<void> } },
    ) => this.#called(params, (method, said) => mcpReq.notify({ method, params: said }))) as never)
    return server
  }
}
