import type { Protocol } from '../../bundle/types.ts'
import { canonicalJson } from '../../lib/canonical.ts'
import { mcpToolName } from '../../bundle/pins.ts'

/** Servers of the Model Context Protocol: their tools are those that are pinned. */
export const MCP: Protocol = {
  name: 'mcp',
  upstreamsListTools: true,
  target: ({ tool, args }) => ({
    upstream: tool.upstream,
    method: 'POST',
    path: '/',
    query: '',
    body: canonicalJson({
      method: 'tools/call',
      params: { name: tool.name.slice(mcpToolName(tool.upstream, '').length), arguments: args },
    }),
  }),
  worstCaseMicros: ({ tool }) => tool.costMicros,
}
