// The last step of a load, in the thread that decides: what was checked, as plain data, becomes a bundle. Nothing is read,
// parsed or checked here, and what has to be done for each tool and guard is done in slices.
import type { RecordRules } from '../model/record-rules.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import { compileForeignSchema, lazyArgsCheck } from '../bundle/ajv.ts'
import type { DataDocuments } from './data.ts'
import { type Diagnostic, Findings } from '../sources/diagnostics.ts'
import type { GateFile } from './gate.ts'
import { GuardPlacer, type GuardSurroundings, type PlacedGuard, type RawGuard } from './guards.ts'
import { withOwnTools } from '../bundle/protocol.ts'
import { compilePathRules, type PathCheck } from '../bundle/paths.ts'
import { inSlices } from './slices.ts'
import { buildRoutes } from '../bundle/template.ts'
import type {
  ApprovalRules,
  Bundle,
  BundleCounts,
  BundleFile,
  Guard,
  GuardKind,
  PolicyModule,
  Protocol,
} from '../bundle/types.ts'

/** A directory that was checked, as plain data: it crosses from thread to thread. */
export interface PolicyParts {
  readonly revision: string
  readonly loadedAtMs: number
  readonly files: readonly BundleFile[]
  readonly environment: string
  readonly plans: GateFile['plans']
  readonly llm: GateFile['llm']
  readonly mcp: Bundle['mcp']
  readonly approvals: ApprovalRules
  readonly record: RecordRules
  readonly decisionApi: Bundle['decisionApi']
  readonly upstreams: readonly Upstream[]
  readonly warnings: readonly Diagnostic[]
  readonly counts: BundleCounts
  readonly must: Bundle['must']
  readonly publishing: Bundle['publishing']
  readonly tools: readonly Tool[]
  readonly guards: readonly RawGuard[]
  /** What guards made of documents, by key. */
  readonly derived: ReadonlyMap<string, unknown>
}

/** What a bundle is made with besides its files: the guards and protocols there are. */
export interface Kinds {
  readonly kinds: readonly GuardKind[]
  readonly protocols: readonly Protocol[]
}

/** Composes a bundle of parts. @throws Error when they do not fit together, which the check has ruled out. */
export async function composeBundle(
  parts: PolicyParts,
  modules: readonly PolicyModule[],
  { kinds, protocols }: Kinds,
): Promise<Bundle> {
  const tools = withOwnTools(parts.tools, protocols)
  const found = new Findings()
  const guards = await placeGuards(parts.guards, {
    source: undefined,
    environment: parts.environment,
    tools,
    data: NO_DATA,
    kinds,
    derived: new Map(parts.derived),
    found,
  })
  const [first] = found.list('error', 1)
  if (first) throw new Error(`parts do not fit together: ${first.message}`)
  return assemble(parts, guards, modules, { data: {}, protocols })
}

const NO_DATA: DataDocuments = { values: {}, sources: new Map() }

/** Compiles guards in slices. */
export async function placeGuards(
  raws: readonly RawGuard[],
  surroundings: GuardSurroundings,
): Promise<readonly PlacedGuard[]> {
  const placer = new GuardPlacer(surroundings)
  await inSlices(raws, (raw) => placer.add(raw))
  return placer.placed
}

/** A bundle of parts whose guards are compiled. */
export async function assemble(
  parts: PolicyParts,
  placed: readonly PlacedGuard[],
  modules: readonly PolicyModule[],
  { data, protocols }: { readonly data: Bundle['data']; readonly protocols: readonly Protocol[] },
): Promise<Bundle> {
  const tools = withOwnTools(parts.tools, protocols)
  const upstreams = [
    ...parts.upstreams,
    ...protocols.flatMap((one) => one.own?.upstream(parts) ?? []),
  ]
  const { revision, loadedAtMs, files, environment, approvals, llm, warnings, counts } = parts
  const isListed = listedBy(parts.upstreams, protocols)
  return Object.freeze({
    revision,
    loadedAtMs,
    environment,
    files,
    tools,
    protocols: new Map(protocols.map((one) => [one.name, one])),
    upstreams: new Map(upstreams.map((one) => [one.name, one])),
    guards: Object.freeze(placed.map((one) => one.guard)),
    guardsByTool: await byTool(placed, [...tools.keys()]),
    guardsForAny: Object.freeze(placed.filter((one) => !one.tools).map((one) => one.guard)),
    argsChecks: new Map(
      [...tools.values()].map((one) => [
        one.name,
        isListed(one)
          ? lazyArgsCheck(one.argsSchema, compileForeignSchema)
          : lazyArgsCheck(one.argsSchema),
      ]),
    ),
    routes: buildRoutes(parts.tools.filter((tool) => !isListed(tool))),
    approvals,
    plans: Object.freeze({ ...parts.plans, checkPath: pathCheck(parts.plans) }),
    llm,
    mcp: parts.mcp,
    record: parts.record,
    decisionApi: parts.decisionApi,
    data,
    modules: Object.freeze(modules.filter(({ entrypoints }) => entrypoints.length > 0)),
    documents: modules.find((module) => 'documents' in module) ?? null,
    warnings,
    counts,
    must: parts.must,
    publishing: parts.publishing,
  })
}

/** Tells the tools that their upstreams list from those that are declared. */
function listedBy(
  upstreams: readonly Upstream[],
  protocols: readonly Protocol[],
): (tool: Tool) => boolean {
  const kinds = new Set(protocols.filter((one) => one.upstreamsListTools).map(({ name }) => name))
  const listing = new Set(
    upstreams.filter(({ protocol }) => kinds.has(protocol)).map(({ name }) => name),
  )
  return ({ upstream }) => listing.has(upstream)
}

/** The guards that are for each tool, in the order they are written. */
async function byTool(
  placed: readonly PlacedGuard[],
  names: readonly string[],
): Promise<Bundle['guardsByTool']> {
  const own = new Map<string, number[]>(names.map((name) => [name, []]))
  const general: number[] = []
  await inSlices(placed.entries(), ([at, { tools }]) => {
    if (!tools) general.push(at)
    else for (const { name } of tools) own.get(name)?.push(at)
  })
  const guardsAt = (places: readonly number[]): readonly Guard[] =>
    Object.freeze(places.map((at) => (placed[at] as PlacedGuard).guard))
  const shared = guardsAt(general)
  const found = new Map<string, readonly Guard[]>()
  await inSlices(own, ([name, places]) => {
    const all = [...general, ...places].sort((a, b) => a - b)
    found.set(name, places.length === 0 ? shared : guardsAt(all))
  })
  return found
}

function pathCheck({ allowedDirs, denyGlobs }: GateFile['plans']): PathCheck {
  const compiled = compilePathRules({ allowedDirs, denyGlobs, allowAbsolute: false })
  return compiled.ok ? compiled.check : () => NO_PATH
}

const NO_PATH = Object.freeze({ code: 'path_not_allowed', message: 'no path is allowed' } as const)
