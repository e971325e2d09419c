import {
  Client as Client2,
  StreamableHTTPClientTransport as Http2,
} from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

// The clients that agents use, as they are published: version 1 of the SDK, version 2 as it speaks by itself, and version 2
// when it looks for the modern protocol.

export interface Called {
  readonly isError?: boolean | undefined
  // Its shape is what the tests assert.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly content: any
  readonly structuredContent?: unknown
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly _meta?: any
}

export interface CallWays {
  readonly timeout?: number
  readonly resetTimeoutOnProgress?: boolean
  readonly onprogress?: (progress: {
    readonly progress: number
    readonly message?: string | undefined
  }) => void
  readonly signal?: AbortSignal
  /** `_meta` of the request. */
  readonly meta?: Record<string, unknown>
}

/** One connected client, whichever SDK it is of. */
export interface McpClient {
  readonly version: string | undefined
  tools(): Promise<readonly { readonly name: string; readonly inputSchema: object }[]>
  call(name: string, args?: Record<string, unknown>, ways?: CallWays): Promise<Called>
  onListChanged(changed: () => void): void
  /** Ends the session as well, where there is one. */
  close(): Promise<void>
}

type Connect = (url: string, key: string) => Promise<McpClient>

const ME = { name: 'tests', version: '1' }
const withKey = (key: string) => ({ requestInit: { headers: { 'X-API-Key': key } } })
const CHANGED = 'notifications/tools/list_changed'

const sdk1: Connect = async (url, key) => {
  const client = new Client1(ME)
  const transport = new Http1(new URL(url), withKey(key))
  await client.connect(transport)
  return {
    version: transport.protocolVersion,
    tools: async () => (await client.listTools()).tools,
    call: async (name, args = {}, { meta, ...ways } = {}) =>
      (await client.callTool(
        { name, arguments: args, ...(meta ? { _meta: meta } : {}) },
        undefined,
        ways,
      )) as Called,
    onListChanged: (changed) => {
      client.fallbackNotificationHandler = async ({ method }) => {
        if (method === CHANGED) changed()
      }
    },
    close: async () => {
      await transport.terminateSession()
      await client.close()
    },
  }
}

const sdk2 =
  (mode: 'legacy' | 'auto'): Connect =>
  async (url, key) => {
    let changed: () => void = () => {}
    const client = new Client2(ME, {
      ...(mode === 'auto' ? { versionNegotiation: { mode } } : {}),
      listChanged: { tools: { onChanged: () => changed(), autoRefresh: false, debounceMs: 0 } },
    })
    const transport = new Http2(new URL(url), withKey(key))
    await client.connect(transport)
    return {
      version: client.getNegotiatedProtocolVersion(),
      tools: async () => (await client.listTools()).tools,
      call: async (name, args = {}, { meta, ...ways } = {}) =>
        client.callTool({ name, arguments: args, ...(meta ? { _meta: meta } : {}) }, ways),
      onListChanged: (told) => {
        changed = told
      },
      close: async () => {
        if (mode === 'legacy') await transport.terminateSession()
        await client.close()
      },
    }
  }

export const CLIENTS: Readonly<Record<string, Connect>> = {
  'SDK 1.x': sdk1,
  'SDK 2.x, legacy': sdk2('legacy'),
  'SDK 2.x, modern': sdk2('auto'),
}
