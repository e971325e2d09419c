import type { Protocol } from '../bundle/types.ts'
import { MCP } from './mcp/protocol.ts'
import { HTTP } from './http/protocol.ts'
import { MODEL } from './model/protocol.ts'

/** Every protocol there is. */
export const PROTOCOLS: readonly Protocol[] = [HTTP, MODEL, MCP]
