import type { Bundle } from '../bundle/types.ts'
import { credentialVariables } from './http/credential-variables.ts'
import { connection } from './mcp/connect.ts'
import { type Drift, McpPeers } from './mcp/peers.ts'
import { mcpTransport } from './mcp/transport.ts'
import { httpTransport } from './http/transport.ts'
import { UpstreamClient } from './http/upstream-client.ts'
import { ModelClient, type ModelSettings } from './model/client.ts'
import type { Logger } from '../lib/log.ts'
import type { AllowedPrograms } from './mcp/stdio/connection.ts'
import type { Transport } from './transport.ts'

export interface TransportsParts {
  readonly env: Readonly<Record<string, string>>
  /** Null: no model is configured. */
  readonly model: ModelSettings | null
  /** The live policy, and what is on trial beside it. */
  readonly bundles: () => readonly [Bundle, ...Bundle[]]
  /** Told of an upstream that sent a credential of the gate back. */
  readonly onEcho: (upstream: string) => void
  /** Told of a tool that is not what is pinned. */
  readonly onDrift: (drift: Drift) => void
  /** What may be started as MCP servers. */
  readonly programs: AllowedPrograms
  /** Told of an MCP server that ends again and again. */
  readonly onDown: (server: string, how: string) => void
  readonly log: Logger
}

/** What calls upstreams, by protocol, over one HTTP client. */
export class Transports {
  readonly #client: UpstreamClient
  readonly model: ModelClient
  readonly peers: McpPeers
  readonly byProtocol: ReadonlyMap<string, Transport>

  constructor(parts: TransportsParts) {
    const { env, model, bundles, onEcho, onDrift, programs, onDown } = parts
    const credentials = () =>
      new Set(
        bundles().flatMap(({ upstreams }) => [...credentialVariables(model, upstreams.values())]),
      )
    this.#client = new UpstreamClient({ env, credentials, onEcho })
    this.model = new ModelClient(model, this.#client)
    const log = (server: string, pid: number, text: string) =>
      parts.log.info({ mcp_server: server, pid }, text)
    const connecting = { client: this.#client, env, onEcho, programs, onDown, log }
    this.peers = new McpPeers({
      connect: (upstream, onListChanged) => connection(upstream, connecting, onListChanged),
      ...{ bundles, onDrift },
    })
    this.byProtocol = new Map<string, Transport>([
      ['http', httpTransport(this.#client)],
      ['model', this.model],
      ['mcp', mcpTransport(this.peers)],
    ])
  }

  start(): void {
    this.peers.start()
  }

  async stop(): Promise<void> {
    await this.peers.stop()
    await this.#client.stop()
  }
}
