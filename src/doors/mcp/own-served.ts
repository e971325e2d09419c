import { GatewayError, type ErrorCode } from '../../errors.ts'
import { jsonText } from '../../lib/raw-json.ts'
import type { JsonObject } from '../../model/json.ts'
import { LEGACY_VERSIONS, MODERN_VERSION } from '../../mcp/eras.ts'
import { INVALID_PARAMS, isObject, McpError, textParam } from '../../mcp/wire.ts'
import { OWN_TOOLS, type OwnTool } from './own-tools.ts'
import { errorResult } from './results.ts'
import type { Asking, CalledTool, McpParts, Served } from './served.ts'

const INSTRUCTIONS =
  'What this gate knows of you: what became of your actions, why one was denied, what is left of your budget. ' +
  'Nothing here approves an action: a person does.'

/** What went wrong with the call, which whoever called can mend; anything else is the gate's own trouble. */
const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['not_found', 'invalid_request', 'conflict', 'forbidden'] as const),
])

/** A client holds `structuredContent` against a shape, of an error too. */
const SHAPED: CalledTool = { tool: '', schema: {}, hasOutputSchema: true, isShown: true }

/** `/mcp/portcullis`: the gate's own tools, which ask it rather than act. */
export function ownServed(parts: McpParts): Served {
  return {
    name: 'portcullis',
    versions: () => [MODERN_VERSION, ...LEGACY_VERSIONS],
    // They do not change while a gate runs.
    revision: async ({ caller }) => `own ${caller.role}`,
    instructions: () => INSTRUCTIONS,
    tools: async (asking) => toolsOf(asking).map(({ listed }) => listed),
    find: async () => undefined,
    call: (asking) => called(parts, asking),
    result: () => {
      throw new Error('the tools of the gate are no actions')
    },
  }
}

const toolsOf = ({ caller }: Asking): readonly OwnTool[] =>
  OWN_TOOLS.filter(({ roles }) => roles.includes(caller.role))

async function called(parts: McpParts, asking: Asking): Promise<JsonObject> {
  const { message, caller } = asking
  const name = textParam(message, 'name')
  const tool = toolsOf(asking).find((one) => one.name === name)
  if (!tool) throw new McpError(INVALID_PARAMS, 'Unknown tool', { id: message.id })
  const { arguments: args = {} } = message.params
  if (!isObject(args)) {
    throw new McpError(INVALID_PARAMS, '`arguments` must be an object', { id: message.id })
  }
  try {
    const answer = await tool.run(parts, caller, args)
    return { content: [{ type: 'text', text: jsonText(answer) }], structuredContent: answer }
  } catch (error) {
    if (error instanceof GatewayError && TOLD.has(error.code)) return errorResult(error, SHAPED)
    throw error
  }
}
