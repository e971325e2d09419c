import type { Transport } from '../transport.ts'
import { outcomeOf } from './outcome.ts'
import type { UpstreamClient } from './upstream-client.ts'

/** Calls upstreams as they are declared, and reads their answers as they are. */
export const httpTransport = (client: UpstreamClient): Transport => ({
  assertReady() {},
  async call(upstream, target, options) {
    const exchange = await client.call(upstream, target, options)
    return { exchange, read: ({ tool }) => outcomeOf(exchange, tool) }
  },
})
