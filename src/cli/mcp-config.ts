import { ALL_SERVERS, mcpClientConfig, type McpClientName, NO_KEY } from '../client/mcp-clients.ts'
import { gateUrl } from './gate-client.ts'
import { print, say } from './exit.ts'

// The key is an agent's: it is left for the user to fill in unless it is given, so that what is printed can be shown around.

export interface ConfigOptions {
  readonly client: McpClientName
  readonly server: string
  readonly all?: true
  readonly url?: string
  readonly key?: string
  readonly oauth?: true
}

/** `portcullis mcp config` */
export function printConfig({ client, server, all, url, key, oauth }: ConfigOptions): void {
  const of = all ? ALL_SERVERS : server
  const { text, where } = mcpClientConfig(client, {
    gate: gateUrl(url),
    server: of,
    key: oauth ? null : (key ?? NO_KEY),
  })
  say(where)
  print(text)
}
