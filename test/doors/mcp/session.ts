import { expect } from 'chai'
import type { TestGate } from '../../support/gate.ts'

/** A session, as a client without an SDK begins one. */
export async function initialized(
  gate: TestGate,
  key: string,
  route = '/mcp/tools',
): Promise<string> {
  const params = {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 't', version: '1' },
  }
  const { status, headers, body, text } = await gate.call('POST', route, {
    key,
    body: { jsonrpc: '2.0', id: 1, method: 'initialize', params },
  })
  expect(status, text).to.equal(200)
  expect(body.result.protocolVersion).to.equal('2025-06-18')
  return headers.get('mcp-session-id') ?? ''
}
