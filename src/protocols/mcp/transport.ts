import type { JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { encodedHeader, NAMED_BY, paramHeaders } from '../../mcp/eras.ts'
import type { AnswerSink, CallOptions, CallResult } from '../http/exchange.ts'
import type { Called, Transport } from '../transport.ts'
import type { Framed } from './framing.ts'
import { mcpOutcome } from './outcome.ts'
import { PeerError } from './connection.ts'
import type { McpPeers } from './peers.ts'
import type { Sent } from './sending.ts'

const TOOLS_CALL = 'tools/call'

interface Call {
  readonly method: string
  readonly params: JsonObject
}

/** Calls tools of MCP servers, those that are listed as they are pinned and no others, and reads what is exposed of them. */
export function mcpTransport(peers: McpPeers): Transport {
  return {
    assertReady() {},
    async call(upstream, target, options) {
      if (!options.mayStart()) return called(notSent('refused', 'refused'))
      const call = JSON.parse(target.body ?? '{}') as Call
      try {
        if (call.method !== TOOLS_CALL) return called(await ask(peers, upstream, call, options))
        const listing = await peers.tools(upstream, options.bundle)
        const { name } = call.params
        const listed = typeof name === 'string' ? listing.get(name) : undefined
        if (!listed) {
          const message = 'the server lists no such tool, or not as it is pinned'
          return called(notSent('unreachable', message))
        }
        return called(await ask(peers, upstream, call, options, listed.tool))
      } catch (error) {
        if (!(error instanceof PeerError)) throw error
        return called(notSent('unreachable', error.message))
      }
    },
  }
}

function ask(
  peers: McpPeers,
  upstream: Upstream,
  { method, params }: Call,
  options: CallOptions,
  tool?: JsonObject,
): Promise<Sent> {
  const { sink } = options.answer ?? {}
  return peers.peer(upstream).ask(options.holder ?? '', {
    method,
    params: {
      ...params,
      ...(sink ? { _meta: { progressToken: options.actionId } } : {}),
    },
    headers: {
      ...nameHeader(method, params),
      ...(tool
        ? paramHeaders(tool['inputSchema'] as JsonObject, params['arguments'] as JsonObject)
        : {}),
    },
    options,
    ...(sink ? { onNotification: handedOn(sink) } : {}),
    ...(sink?.ask ? { onRequest: sink.ask } : {}),
  })
}

function nameHeader(method: string, params: JsonObject): Record<string, string> {
  const name = params[NAMED_BY[method] ?? '']
  return typeof name === 'string' ? { 'mcp-name': encodedHeader(name) } : {}
}

/** A reader gets what comes before the response, message by message. */
const handedOn =
  (sink: AnswerSink) =>
  ({ text }: Framed): void => {
    sink.write(Buffer.from(text), () => {})
  }

const notSent = (code: 'unreachable' | 'refused', message: string): Sent => ({
  response: undefined,
  exchange: { type: 'not_sent', code, message } satisfies CallResult,
  sessionId: undefined,
  isTooLarge: false,
})

const called = (sent: Sent): Called => ({
  exchange: sent.exchange,
  read: ({ tool }) => mcpOutcome(sent, tool),
})
