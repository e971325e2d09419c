import type { Protocol } from '../../bundle/types.ts'
import { mcpMethodOf } from '../../bundle/exposed.ts'
import { canonicalJson } from '../../lib/canonical.ts'
import { mcpToolName } from '../../bundle/pins.ts'
import type { Tool } from '../../model/tool.ts'

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
      method: mcpMethodOf(tool),
      params:
        mcpMethodOf(tool) === 'tools/call' ? { name: calledName(tool), arguments: args } : args,
    }),
  }),
  worstCaseMicros: ({ tool }) => tool.costMicros,
}

const calledName = ({ name, upstream }: Tool): string =>
  name.slice(mcpToolName(upstream, '').length)
