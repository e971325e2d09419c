import { OpenAI } from 'openai'
import { GatewayError } from '../../errors.ts'
import type { Target } from '../../model/request.ts'
import type { Upstream } from '../../model/tool.ts'
import type { Called, Transport } from '../transport.ts'
import type { CallOptions, CallResult } from '../http/exchange.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import type { ModelResult } from './call.ts'
import { modelOutcome } from './outcome.ts'

/** Where the model is and with which key; the key itself stays in the environment. */
export interface ModelSettings {
  readonly provider: 'openai' | 'groq' | 'custom'
  readonly baseUrl: string
  /** Name of the environment variable that holds the key; null: the server asks for none. */
  readonly keyVariable: string | null
}

/**
 * Calls an OpenAI-compatible model through the `openai` package, which knows the API, over the gate's
 * own upstream client, which knows when a byte may leave and what became of it. Nothing is retried.
 */
export class ModelClient implements Transport {
  readonly #settings: ModelSettings | null
  readonly #client: UpstreamClient

  constructor(settings: ModelSettings | null, client: UpstreamClient) {
    this.#settings = settings
    this.#client = client
  }

  /** Null when no model is configured. */
  get settings(): ModelSettings | null {
    return this.#settings
  }

  /** @throws GatewayError `llm_unconfigured` */
  assertReady(): void {
    if (!this.#settings) throw new GatewayError('llm_unconfigured', 'no model is configured')
  }

  async call(upstream: Upstream, target: Target, options: CallOptions): Promise<Called> {
    const result = await this.#ask(upstream, target, options)
    return { exchange: result.call, read: (reading) => modelOutcome(result, reading) }
  }

  async #ask(upstream: Upstream, target: Target, options: CallOptions): Promise<ModelResult> {
    const settings = this.#settings
    if (!settings) throw new Error('no model is configured')
    let call: CallResult | undefined
    const api = new OpenAI({
      apiKey: 'set by the upstream client',
      baseURL: settings.baseUrl,
      organization: null,
      project: null,
      maxRetries: 0, // a retry would be a second effect that nobody decided
      timeout: 2 * upstream.timeoutMs, // the exchange has a deadline of its own, which comes first
      logLevel: 'off',
      fetch: async () => {
        call = await this.#client.call(reached(upstream, settings), target, options)
        return toResponse(call)
      },
    })
    let answer: unknown
    try {
      answer = await api.chat.completions.create(JSON.parse(target.body ?? '{}') as Body)
    } catch {
      // What became of the exchange says more than the client's error, which may quote the key.
    }
    return { call: call ?? { type: 'not_sent', code: 'unreachable', message: 'not sent' }, answer }
  }
}

type Body = OpenAI.Chat.ChatCompletionCreateParamsNonStreaming

function reached(upstream: Upstream, { baseUrl, keyVariable }: ModelSettings): Upstream {
  const credential = keyVariable && { header: 'authorization', env: keyVariable, prefix: 'Bearer ' }
  return { ...upstream, baseUrl: baseUrl.replace(/\/+$/, ''), credential: credential || null }
}

function toResponse(call: CallResult): Response {
  if (call.type !== 'answered') throw new Error(call.message)
  const type = call.headers['content-type']
  return new Response(
    call.status === 204 || call.status === 304 ? null : new Uint8Array(call.body),
    {
      status: call.status,
      headers: { 'content-type': typeof type === 'string' ? type : 'application/json' },
    },
  )
}
