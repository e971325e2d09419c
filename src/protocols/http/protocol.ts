import type { Protocol } from '../../bundle/types.ts'
import { buildTarget } from '../../bundle/target.ts'

/** Any HTTP API: method, path, query and JSON body as `tools.yaml` declares them. */
export const HTTP: Protocol = {
  name: 'http',
  target: ({ tool, upstream, args }) => buildTarget(tool, upstream, args),
  worstCaseMicros: ({ tool }) => tool.costMicros,
}
