import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
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
} from '@modelcontextprotocol/sdk/types.js'
import type { Json, JsonObject } from '../../../src/model/json.ts'

// A server that has what the conformance suite asks servers about, by the names that it asks for, made with both SDKs: each of
// its protocols stands at a path of its own. What it does is data and one function, so that both answer alike.

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='
const IMAGE = { type: 'image', data: PNG, mimeType: 'image/png' }

const text = (words: string): JsonObject => ({ type: 'text', text: words })
const embedded = (uri: string, mimeType: string, words: string): JsonObject => ({
  type: 'resource',
  resource: { uri, mimeType, text: words },
})

const said = (value: Json | undefined): string => (typeof value === 'string' ? value : '')

type Notify = (method: string, params: JsonObject) => Promise<void>

interface FixtureTool {
  readonly inputSchema?: JsonObject
  call(args: JsonObject, notify: Notify, token: unknown): Promise<JsonObject> | JsonObject
}

const TOOLS: Readonly<Record<string, FixtureTool>> = {
  test_simple_text: {
    call: () => ({ content: [text('This is a simple text response for testing.')] }),
  },
  test_image_content: { call: () => ({ content: [IMAGE] }) },
  test_audio_content: {
    call: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  test_embedded_resource: {
    call: () => ({
      content: [
        embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
      ],
    }),
  },
  test_multiple_content_types: {
    call: () => ({
      content: [
        text('Multiple content types test:'),
        IMAGE,
        embedded(
          'test://mixed-content-resource',
          'application/json',
          '{"test":"data","value":123}',
        ),
      ],
    }),
  },
  test_tool_with_logging: {
    async call(_args, notify) {
      for (const data of [
        'Tool execution started',
        'Tool processing data',
        'Tool execution completed',
      ])
        await notify('notifications/message', { level: 'info', data })
      return { content: [text('Tool with logging executed successfully')] }
    },
  },
  test_tool_with_progress: {
    async call(_args, notify, token) {
      for (const progress of [0, 50, 100]) {
        if (token === undefined) break
        const progressToken = token as string
        await notify('notifications/progress', { progressToken, progress, total: 100 })
      }
      return { content: [text(JSON.stringify(token ?? null))] }
    },
  },
  test_error_handling: {
    call: () => ({
      content: [text('This tool intentionally returns an error for testing')],
      isError: true,
    }),
  },
  json_schema_2020_12_tool: {
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: {
          $anchor: 'addressDef',
          type: 'object',
          properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    call: () => ({ content: [text('fits')] }),
  },
}

const RESOURCES: Readonly<Record<string, JsonObject>> = {
  'test://static-text': {
    mimeType: 'text/plain',
    text: 'This is the content of the static text resource.',
  },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'Watched resource content' },
}
const TEMPLATE = /^test:\/\/template\/([^/]+)\/data$/

const PROMPTS: Readonly<Record<string, readonly string[]>> = {
  test_simple_prompt: [],
  test_prompt_with_arguments: ['arg1', 'arg2'],
  test_prompt_with_embedded_resource: ['resourceUri'],
  test_prompt_with_image: [],
}

const user = (content: JsonObject): JsonObject => ({ role: 'user', content })

function messagesOf(name: string, args: JsonObject): readonly JsonObject[] {
  switch (name) {
    case 'test_prompt_with_arguments':
      return [
        user(
          text(`Prompt with arguments: arg1='${said(args['arg1'])}', arg2='${said(args['arg2'])}'`),
        ),
      ]
    case 'test_prompt_with_embedded_resource':
      return [
        user(
          embedded(
            said(args['resourceUri']),
            'text/plain',
            'Embedded resource content for testing.',
          ),
        ),
        user(text('Please process the embedded resource above.')),
      ]
    case 'test_prompt_with_image':
      return [user(IMAGE), user(text('Please analyze the image above.'))]
    default:
      return [user(text('This is a simple prompt for testing.'))]
  }
}

function read(uri: string, notFound: number): JsonObject {
  const [, id] = TEMPLATE.exec(uri) ?? []
  const found =
    id === undefined
      ? RESOURCES[uri]
      : {
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        }
  if (!found) throw new McpError(notFound, 'Resource not found', { uri })
  return { contents: [{ uri, ...found }] }
}

/** What a request is answered with, in either protocol. */
async function answered(
  method: string,
  params: JsonObject,
  { notify, notFound }: { readonly notify: Notify; readonly notFound: number },
): Promise<JsonObject> {
  const { name = '', arguments: args = {}, uri = '', _meta: meta } = params
  switch (method) {
    case 'tools/list':
      return {
        tools: Object.entries(TOOLS).map(([tool, { inputSchema = { type: 'object' } }]) => ({
          ...{ name: tool, description: `For the suite: ${tool}` },
          inputSchema,
        })),
      }
    case 'tools/call': {
      const tool = TOOLS[said(name)]
      if (!tool) throw new McpError(-32_602, `Unknown tool: ${said(name)}`)
      return tool.call(
        args as JsonObject,
        notify,
        (meta as JsonObject | undefined)?.['progressToken'],
      )
    }
    case 'resources/list':
      return {
        resources: Object.entries(RESOURCES).map(([one, { mimeType = '' }]) => ({
          ...{ uri: one, name: one, description: `For the suite: ${one}` },
          mimeType,
        })),
      }
    case 'resources/templates/list':
      return {
        resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template' }],
      }
    case 'resources/read':
      return read(said(uri), notFound)
    case 'prompts/list':
      return {
        prompts: Object.entries(PROMPTS).map(([prompt, names]) => ({
          ...{ name: prompt, description: `For the suite: ${prompt}` },
          arguments: names.map((one) => ({ name: one, description: one, required: true })),
        })),
      }
    case 'prompts/get':
      return { messages: [...messagesOf(said(name), args as JsonObject)] }
    default:
      return { completion: { values: ['paris', 'park'], total: 2, hasMore: false } }
  }
}

const CAPABILITIES = {
  tools: {},
  resources: {},
  prompts: {},
  completions: {},
  logging: {},
} as const
const SCHEMAS = {
  'tools/list': ListToolsRequestSchema,
  'tools/call': CallToolRequestSchema,
  'resources/list': ListResourcesRequestSchema,
  'resources/templates/list': ListResourceTemplatesRequestSchema,
  'resources/read': ReadResourceRequestSchema,
  'prompts/list': ListPromptsRequestSchema,
  'prompts/get': GetPromptRequestSchema,
  'completion/complete': CompleteRequestSchema,
} as const
const ME = { name: 'conformance-fixture', version: '1' }

function legacyServer(): Server1 {
  const server = new Server1(ME, { capabilities: CAPABILITIES })
  for (const [method, schema] of Object.entries(SCHEMAS)) {
    server.setRequestHandler(schema, ({ params }, { sendNotification }) => {
      const notify: Notify = (note, about) => sendNotification({ method: note, params: about })
      return answered(method, (params ?? {}) as JsonObject, { notify, notFound: -32_002 })
    })
  }
  return server
}

function modernServer(): Server2 {
  const server = new Server2(ME, { capabilities: CAPABILITIES })
  for (const method of Object.keys(SCHEMAS)) {
    const handler = (
      { params = {} }: { params?: JsonObject },
      context: { mcpReq: { notify: (note: unknown) => Promise<void> } },
    ) => {
      const notify: Notify = (note, about) => context.mcpReq.notify({ method: note, params: about })
      return answered(method, params, { notify, notFound: -32_602 })
    }
    server.setRequestHandler(method as 'tools/call', handler as never)
  }
  return server
}

/** `/legacy` and `/modern`. */
export class ConformanceFixture {
  readonly #sessions = new Map<string, StreamableHTTPServerTransport>()
  readonly #modern = createMcpHandler(modernServer, { legacy: 'reject' })
  readonly #server = http.createServer((req, res) => {
    const done = req.url === '/modern' ? this.#answerModern(req, res) : this.#answerLegacy(req, res)
    done.catch((error: unknown) => res.destroy(error as Error))
  })

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answerLegacy(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const id = req.headers['mcp-session-id']
    if (typeof id === 'string') {
      const known = this.#sessions.get(id)
      if (known) return known.handleRequest(req, res)
      res.writeHead(404).end()
      return
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void this.#sessions.set(session, transport),
      onsessionclosed: (session) => void this.#sessions.delete(session),
    })
    await legacyServer().connect(transport)
    await transport.handleRequest(req, res)
  }

  async #answerModern(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
    const headers = new Headers(req.headers as Record<string, string>)
    const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }
    const url = `http://${req.headers.host}${req.url}`
    const asked = new Request(url, { method: req.method ?? 'GET', headers, ...body })
    const response = await this.#modern.fetch(asked)
    res.writeHead(response.status, Object.fromEntries(response.headers))
    for await (const part of response.body ?? []) res.write(part)
    res.end()
  }
}
