import { type Tool, UNDECLARED } from '../model/tool.ts'

/** Stands where a guard wants a tool and there is none. It can do the worst. */
export const UNKNOWN_TOOL: Tool = Object.freeze({
  ...UNDECLARED,
  name: '',
  description: '',
  upstream: '',
  method: 'GET',
  path: '/',
  effectClass: 'irreversible',
  argsSchema: {},
  location: { file: 'tools.yaml', line: 1, col: 1 },
})
