import { EXPOSED_METHODS, exposedName, exposedSchemas } from '../bundle/exposed.ts'
import { wholeGlob } from '../bundle/glob.ts'
import { compileRegex } from '../bundle/regex.ts'
import { deepFreeze } from '../lib/freeze.ts'
import { didYouMean } from '../lib/suggest.ts'
import type { JsonObject } from '../model/json.ts'
import { type Tool, UNDECLARED } from '../model/tool.ts'
import type { Findings } from '../sources/diagnostics.ts'
import type { SourceDocument } from '../sources/yaml.ts'
import type { ToolsFile } from './tools.ts'

// `mcp.resources` and `mcp.prompts` of `tools.yaml`: for each server that they name, a tool for each method.

type Kind = 'resources' | 'prompts'

/** What `tools.yaml` declares, and what it exposes of the resources and prompts of MCP servers. */
export function withExposed(
  declared: ToolsFile,
  source: SourceDocument,
  found: Findings,
): ToolsFile {
  const globs = new Map<string, Record<Kind, string[]>>()
  for (const kind of ['resources', 'prompts'] as const) {
    declared.mcpExposed[kind].forEach((entry, at) => {
      const [server, glob] = partedAt(entry)
      if (!isSound(declared, { kind, at, server, glob }, source, found)) return
      const known = globs.get(server) ?? { resources: [], prompts: [] }
      known[kind].push(glob)
      globs.set(server, known)
    })
  }
  const tools = new Map(declared.tools)
  for (const [server, exposed] of globs) {
    const schemas = exposedSchemas(exposed)
    for (const method of EXPOSED_METHODS) {
      const argsSchema = schemas.get(method)
      const name = exposedName(server, method)
      if (!argsSchema) continue
      const location = source.atKey(['mcp', method.startsWith('prompts') ? 'prompts' : 'resources'])
      tools.set(name, toolFor({ name, method, server, argsSchema, location }))
    }
  }
  return { ...declared, tools }
}

interface Placed {
  readonly kind: Kind
  readonly at: number
  readonly server: string
  readonly glob: string
}

function isSound(
  { upstreams }: ToolsFile,
  { kind, at, server, glob }: Placed,
  source: SourceDocument,
  found: Findings,
): boolean {
  const place = source.at(['mcp', kind, at])
  if (upstreams.get(server)?.protocol !== 'mcp') {
    const names = [...upstreams.values()].filter(({ protocol }) => protocol === 'mcp')
    const hint = didYouMean(
      server,
      names.map(({ name }) => name),
    )
    found.error(place, 'no_such_upstream', `no MCP server \`${server}\``, hint)
    return false
  }
  const pattern = wholeGlob(glob)
  const compiled = pattern === undefined ? undefined : compileRegex(pattern)
  if (compiled?.ok) return true
  found.error(
    place,
    'bad_glob',
    `\`${glob}\` is no glob`,
    'a bracket does not close, or it is too long',
  )
  return false
}

function partedAt(entry: string): readonly [server: string, glob: string] {
  const at = entry.indexOf(':')
  return [entry.slice(0, at), entry.slice(at + 1)]
}

const ABOUT: Readonly<Record<string, { description: string; resource: Tool['resource'] }>> = {
  'resources/read': {
    description: 'Reads one of the resources of the server.',
    resource: { type: 'resource', idArg: 'uri' },
  },
  'prompts/get': {
    description: 'Gets one of the prompts of the server.',
    resource: { type: 'prompt', idArg: 'name' },
  },
  'completion/complete': {
    description: 'Proposes values for an argument of a prompt or of a template of resources.',
    resource: null,
  },
}

interface Of {
  readonly name: string
  readonly method: string
  readonly server: string
  readonly argsSchema: JsonObject
  readonly location: Tool['location']
}

const toolFor = ({ name, method, server, argsSchema, location }: Of): Tool =>
  deepFreeze({
    ...UNDECLARED,
    description: '',
    resource: null,
    ...ABOUT[method],
    name,
    upstream: server,
    method: 'POST',
    path: '/',
    effectClass: 'read',
    argsSchema,
    declared: { method },
    location,
  })
