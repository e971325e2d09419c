import type { JsonObject } from '../../model/json.ts'
import { LEGACY_VERSIONS, negotiated } from '../../mcp/eras.ts'
import { capabilitiesFor } from '../../mcp/server-requests.ts'
import type { Upstream } from '../../model/tool.ts'
import { isObject, METHOD_NOT_FOUND } from '../../mcp/wire.ts'
import { PeerError } from './connection.ts'
import type { Sent } from './sending.ts'

// What the gate says of itself to a server, and how it reads its answers. It declares one and the same set of capabilities
// (what the policy lets the server ask, most often nothing), whoever its client is, since servers list other tools to other
// clients.

export const SELF = { name: 'portcullis', version: '1' }

export const INITIALIZED = { method: 'notifications/initialized' }

export const initializeParams = ({
  serverRequests,
}: Pick<Upstream, 'serverRequests'> = {}): JsonObject => ({
  protocolVersion: LEGACY_VERSIONS[0] ?? '',
  capabilities: capabilitiesFor(serverRequests),
  clientInfo: SELF,
})

/** The version that a server has answered `initialize` with. @throws PeerError for one that nobody knows */
export function versionOf(sent: Sent): string {
  const { protocolVersion } = resultOf(sent)
  if (negotiated(protocolVersion) === protocolVersion) return protocolVersion
  throw new PeerError('it speaks no version that the gate knows')
}

/** @throws PeerError where there is none */
export function resultOf({ response, exchange, isTooLarge }: Sent): JsonObject {
  const { result, error } = response?.message ?? {}
  if (isObject(result)) return result
  if (isTooLarge) throw new PeerError('its answer is too large')
  if (isObject(error)) {
    const isUnknownMethod = error['code'] === METHOD_NOT_FOUND
    throw new PeerError(`it answered an error: ${JSON.stringify(error['code'])}`, {
      isUnknownMethod,
    })
  }
  if (exchange.type === 'answered') throw new PeerError(`it answered ${exchange.status}`)
  throw new PeerError(exchange.message)
}
