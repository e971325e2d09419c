import type { JsonObject } from '../../model/json.ts'
import type { Upstream } from '../../model/tool.ts'
import { encodedHeader, paramHeaders } from '../../mcp/eras.ts'
import type { AnswerSink, CallOptions, CallResult } from '../http/exchange.ts'
import type { Called, Transport } from '../transport.ts'
import type { Framed } from './framing.ts'
import { mcpOutcome } from './outcome.ts'
import { PeerError } from './connection.ts'
import type { McpPeers } from './peers.ts'
import type { Sent } from './sending.ts'

interface Call {
  readonly method: string
  readonly params: { readonly name: string; readonly arguments: JsonObject }
}

/** Calls tools of MCP servers, those that are listed as they are pinned and no others. */
export function mcpTransport(peers: McpPeers): Transport {
  return {
    assertReady() {},
    async call(upstream, target, options) {
      if (!options.mayStart()) return called(notSent('refused', 'refused'))
      const call = JSON.parse(target.body ?? '{}') as Call
      try {
        const listing = await peers.tools(upstream, options.bundle)
        const listed = listing.get(call.params.name)
        if (!listed) {
          const message = 'the server lists no such tool, or not as it is pinned'
          return called(notSent('unreachable', message))
        }
        return called(await ask(peers, upstream, call, listed.tool, options))
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
  tool: JsonObject,
  options: CallOptions,
): Promise<Sent> {
  const { sink } = options.answer ?? {}
  const { arguments: args, name } = params
  return peers.peer(upstream).ask(options.holder ?? '', {
    method,
    params: {
      ...{ name, arguments: args },
      ...(sink ? { _meta: { progressToken: options.actionId } } : {}),
    },
    headers: {
      'mcp-name': encodedHeader(name),
      ...paramHeaders(tool['inputSchema'] as JsonObject, args),
    },
    options,
    ...(sink ? { onNotification: handedOn(sink) } : {}),
  })
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
