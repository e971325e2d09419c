import type { Protocol } from '../../bundle/types.ts'
import { buildTarget } from '../../bundle/target.ts'

/** Any HTTP API: method, path, query, headers and body as `tools.yaml` declares them. */
export const HTTP: Protocol = {
  name: 'http',
  target: ({ tool, upstream, args, headers }) => buildTarget(tool, upstream, args, headers),
  worstCaseMicros: ({ tool }) => tool.costMicros,
}
