import { compileForeignSchema } from '../bundle/ajv.ts'
import { mcpToolName, PINS_FILE, type Pin, type Pins, pinKey, readPins } from '../bundle/pins.ts'
import { parsePointer, schemaHas } from '../bundle/pointer.ts'
import { deepFreeze } from '../lib/freeze.ts'
import { didYouMean } from '../lib/suggest.ts'
import { microsFromText } from '../lib/money.ts'
import type { JsonObject } from '../model/json.ts'
import { type Tool, UNDECLARED } from '../model/tool.ts'
import { type Findings, startOf, wholeFile } from '../sources/diagnostics.ts'
import type { SourceTexts } from '../sources/texts.ts'
import type { SourceDocument } from '../sources/yaml.ts'
import type { McpToolRule } from './mcp.ts'
import type { ToolsFile } from './tools.ts'

// The tools of MCP servers are those that are pinned. They are tools like any other to guards, approvals and the record;
// what a server says of their effect is shown and never believed: where the policy says nothing, one is irreversible.

/** Paths under `/mcp` that are not servers. */
const RESERVED: ReadonlySet<string> = new Set(['tools', 'portcullis'])
const SERVER = /^[a-z][a-z0-9-]{0,30}$/
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/

/** What `tools.yaml` declares, and what is pinned of the MCP servers in it. */
export function withPinnedTools(
  declared: ToolsFile,
  source: SourceDocument,
  texts: SourceTexts,
  found: Findings,
): ToolsFile {
  const pins = pinsIn(texts, found)
  const tools = new Map(declared.tools)
  for (const [key, pin] of Object.entries(pins)) {
    const tool = pinnedTool(key, pin, declared, found)
    if (!tool) continue
    if (!tools.has(tool.name)) tools.set(tool.name, tool)
    else found.warn(wholeFile(PINS_FILE), 'unusable_pin', `\`${key}\` has a name that is taken`)
  }
  checkRules(declared, pins, source, found)
  return { ...declared, tools }
}

function pinsIn(texts: SourceTexts, found: Findings): Pins {
  const text = texts.get(PINS_FILE)
  if (text === undefined) return {}
  try {
    return readPins(text)
  } catch (error) {
    found.error(wholeFile(PINS_FILE), 'bad_pins', error instanceof Error ? error.message : '')
    return {}
  }
}

function pinnedTool(
  key: string,
  { tool, hash }: Pin,
  { upstreams, mcpTools }: ToolsFile,
  found: Findings,
): Tool | undefined {
  const server = key.slice(0, key.indexOf(':'))
  const name = mcpToolName(server, key.slice(server.length + 1))
  const warn = (message: string): undefined => {
    found.warn(wholeFile(PINS_FILE), 'unusable_pin', `\`${key}\` ${message}: nobody can call it`)
  }
  if (upstreams.get(server)?.protocol !== 'mcp') return warn('is of no MCP server in tools.yaml')
  if (!NAME.test(name)) return warn('has a name that no policy can hold')
  const argsSchema = tool['inputSchema'] as JsonObject
  const compiled = compileForeignSchema(argsSchema)
  if (!compiled.ok) return warn(`has a schema that does not compile (${compiled.message})`)
  const rule = { ...mcpTools[pinKey(server, '*')], ...mcpTools[key] }
  const { description } = tool
  return deepFreeze({
    ...UNDECLARED,
    ...ruled(rule),
    name,
    description: typeof description === 'string' ? description.slice(0, 2_000) : '',
    upstream: server,
    method: 'POST',
    path: '/',
    argsSchema,
    declared: { pin: hash },
    location: startOf(wholeFile(PINS_FILE)),
  })
}

const ruled = ({ effect, resource, cost, recipients, items, paths }: McpToolRule) => ({
  effectClass: effect ?? ('irreversible' as const),
  resource: resource ? { type: resource.type, idArg: resource.id_arg ?? null } : null,
  costMicros: microsFromText(cost ?? '0') ?? 0n,
  recipients: recipients ?? [],
  items: items ?? null,
  paths: paths ?? [],
})

function checkRules(
  { upstreams, mcpTools }: ToolsFile,
  pins: Pins,
  source: SourceDocument,
  found: Findings,
): void {
  const servers = [...upstreams.values()].filter(({ protocol }) => protocol === 'mcp')
  for (const { name } of servers) {
    const at = source.atKey(['upstreams', name])
    if (RESERVED.has(name)) {
      found.error(at, 'reserved_name', `\`${name}\` is a name of the gate itself under /mcp`)
    } else if (!SERVER.test(name)) {
      const message = `\`${name}\` cannot be the name of an MCP server`
      found.error(at, 'bad_name', message, 'lower-case letters, digits and `-`, at most 31')
    }
  }
  for (const [key, rule] of Object.entries(mcpTools)) {
    const at = source.atKey(['mcp', 'tools', key])
    const server = key.slice(0, key.indexOf(':'))
    if (!servers.some(({ name }) => name === server)) {
      const names = servers.map(({ name }) => name)
      found.error(at, 'no_such_upstream', `no MCP server \`${server}\``, didYouMean(server, names))
      continue
    }
    const pin = pins[key]
    if (!pin) {
      if (key.endsWith(':*')) continue
      found.warn(at, 'no_such_tool', `\`${key}\` is not pinned`, didYouMean(key, Object.keys(pins)))
      continue
    }
    for (const pointer of pointersOf(rule)) {
      const steps = parsePointer(pointer)
      const schema = pin.tool['inputSchema'] as JsonObject
      if (steps && schemaHas(schema, steps) !== 'no') continue
      found.error(at, 'no_such_arg', `the args of \`${key}\` have nothing at \`${pointer}\``)
    }
  }
}

const pointersOf = ({ resource, recipients = [], items, paths = [] }: McpToolRule) => [
  ...recipients,
  ...paths,
  ...(items === undefined ? [] : [items]),
  ...(resource?.id_arg === undefined ? [] : [`/${resource.id_arg}`]),
]
