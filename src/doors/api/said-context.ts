import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'

/**
 * The context that an agent says of itself. For whom a token was made out (`mcp.oauth`) is the gate's to say: a policy goes by it.
 * @throws GatewayError `invalid_request`
 */
export function saidContext(context: JsonObject = {}): JsonObject {
  const { mcp } = context
  const isTokens = typeof mcp === 'object' && mcp !== null && 'oauth' in mcp
  if (!isTokens) return context
  throw new GatewayError('invalid_request', '`context.mcp.oauth` is of calls with a token at /mcp')
}
