import { PLAIN_CALL } from '../model/http-defaults.ts'
import type { Tool } from '../model/tool.ts'

/** Stands where a guard wants a tool and there is none. It can do the worst. */
export const UNKNOWN_TOOL: Tool = Object.freeze({
  name: '',
  description: '',
  upstream: '',
  method: 'GET',
  path: '/',
  query: [],
  effectClass: 'irreversible',
  argsSchema: {},
  resource: null,
  costMicros: 0n,
  recipients: [],
  items: null,
  paths: [],
  facts: [],
  reservedPaths: [],
  http: PLAIN_CALL,
  declared: {},
  location: { file: 'tools.yaml', line: 1, col: 1 },
})
