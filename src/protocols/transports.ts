import type { Upstream } from '../model/tool.ts'
import { credentialVariables } from './http/credential-variables.ts'
import { httpTransport } from './http/transport.ts'
import { UpstreamClient } from './http/upstream-client.ts'
import { ModelClient, type ModelSettings } from './model/client.ts'
import type { Transport } from './transport.ts'

export interface TransportsParts {
  readonly env: Readonly<Record<string, string>>
  /** Null: no model is configured. */
  readonly model: ModelSettings | null
  /** Those of the live policy. */
  readonly upstreams: () => Iterable<Upstream>
  /** Told of an upstream that sent a credential of the gate back. */
  readonly onEcho: (upstream: string) => void
}

/** What calls upstreams, by protocol, over one HTTP client. */
export class Transports {
  readonly #client: UpstreamClient
  readonly model: ModelClient
  readonly byProtocol: ReadonlyMap<string, Transport>

  constructor({ env, model, upstreams, onEcho }: TransportsParts) {
    const credentials = () => credentialVariables(model, upstreams())
    this.#client = new UpstreamClient({ env, credentials, onEcho })
    this.model = new ModelClient(model, this.#client)
    this.byProtocol = new Map<string, Transport>([
      ['http', httpTransport(this.#client)],
      ['model', this.model],
    ])
  }

  stop(): Promise<void> {
    return this.#client.stop()
  }
}
