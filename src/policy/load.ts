import { sha256 } from '../lib/canonical.ts'
import { GatewayError } from '../errors.ts'
import { assemble, type Kinds, placeGuards, type PolicyParts } from './compose.ts'
import { withOwnTools } from '../bundle/protocol.ts'
import { type DataDocuments, isDataFile, readData } from './data.ts'
import { type Diagnostic, Findings, startOf, wholeFile } from '../sources/diagnostics.ts'
import type { PolicyEnv } from '../sources/env.ts'
import {
  bytesMaxOf,
  filesFromRecord,
  type PolicyFiles,
  DIR_DEPTH_MAX,
  KNOWN_ENDING,
  readPolicyDir,
  reportTooLarge,
  revisionOf,
  sameFiles,
} from '../sources/files.ts'
import { type GateFile, isPlanFile, readApprovals, readGate, withPlanFile } from './gate.ts'
import { withExposed } from './exposed.ts'
import { withPinnedTools } from './pinned-tools.ts'
import { readRecord } from './record.ts'
import { warnOfUngranted } from './grants.ts'
import type { PlacedGuard, RawGuard } from './guards.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
import { readMatrices } from './matrix.ts'
import { reportFailures, runMatrix } from './matrix-run.ts'
import { loadModules } from '../engines/modules.ts'
import { readDecisionApi } from './decision-api.ts'
import { didYouMean } from '../lib/suggest.ts'
import { readTexts, type SourceTexts } from '../sources/texts.ts'
import { readTools, type ToolsFile } from './tools.ts'
import type {
  Bundle,
  BundleFile,
  ModuleCompiler,
  PolicyCase,
  PolicyJudge,
  PolicyModule,
} from '../bundle/types.ts'
import { parseYaml, type SourceDocument } from '../sources/yaml.ts'

// From the files of a directory to a bundle or to every finding. Each reader reports what is wrong and goes on, so that an author
// sees all of it at once; only what makes no sense without another part waits for it. A file that would be read twice (`gate.yaml`
// by guards and by matrices) is parsed once, with places. Nothing here touches what is live.

/** What a load needs besides the files. */
export interface LoadOptions extends Kinds {
  /** Values for `${NAME}` in `base_url`. */
  readonly env: PolicyEnv
  /** Recorded in the bundle; does not change the revision. */
  readonly nowMs: number
  /** When `gate.yaml` has no `rate_limits`, every agent gets this many requests a second. */
  readonly defaults?: { readonly ratePerS: number }
  /** Compiles `.rego` files. Without one, a `.rego` file is an error. */
  readonly compiler?: ModuleCompiler
  /** Runs the matrices of `tests/`, which have to hold. Without one they are only checked for their form. */
  readonly judge?: PolicyJudge
  /** `told`: a test that does not hold is a warning; `skipped`: none is run. Default: they have to hold. */
  readonly tests?: 'hold' | 'told' | 'skipped'
  /** Stands in for `gate.yaml`, when a single file is loaded; see `isPlanFile` for the other kind. */
  readonly gateOverride?: { readonly name: string; readonly text: string }
  /** The files of what decides now, made with the same options: a directory that still holds them is not compiled again. */
  readonly liveFiles?: readonly BundleFile[]
}

export type LoadResult =
  | { readonly ok: true; readonly bundle: Bundle }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[]; readonly files: SourceTexts }

/**
 * Loads a policy directory, or files given by content, into a bundle; or says everything that is
 * wrong with it. Never throws for what the files hold.
 */
export async function loadBundle(
  from: string | Readonly<Record<string, string | Uint8Array>>,
  options: LoadOptions & { readonly live?: Bundle | undefined },
): Promise<LoadResult> {
  const { live, ...rest } = options
  const checked = await checkPolicy(from, live ? { ...rest, liveFiles: live.files } : rest)
  if (checked.kind === 'rejected') {
    const { diagnostics, files } = checked
    return { ok: false, diagnostics, files }
  }
  return { ok: true, bundle: checked.kind === 'checked' ? checked.bundle : (live as Bundle) }
}

/** A directory that was checked: a bundle of it, and what another thread can make the same bundle of. */
export type CheckedPolicy =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'checked'; readonly bundle: Bundle; readonly parts: PolicyParts }
  | {
      readonly kind: 'rejected'
      readonly diagnostics: readonly Diagnostic[]
      readonly files: SourceTexts
    }

const ATTEMPTS = 40
const PAUSE_MS = 25

/** Everything of a load but to put it to use. */
export async function checkPolicy(
  from: string | Readonly<Record<string, string | Uint8Array>>,
  options: LoadOptions,
): Promise<CheckedPolicy> {
  if (typeof from === 'string') return checkDir(from, options)
  const found = new Findings()
  return compile(given(from, found), options, found)
}

// A directory that changed while it was read and compiled is read again: a mixture of two states
// would be a policy that nobody wrote.
async function checkDir(dir: string, options: LoadOptions): Promise<CheckedPolicy> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const result = await checkOnce(dir, options)
    if (result) return result
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  const found = new Findings()
  found.error(wholeFile('.'), 'unstable', 'the policy directory keeps changing while it is read')
  return rejected(found, new Map())
}

async function checkOnce(dir: string, options: LoadOptions): Promise<CheckedPolicy | undefined> {
  const found = new Findings()
  try {
    const files = await readPolicyDir(dir, found)
    if (!files) return undefined
    const { liveFiles } = options
    if (liveFiles && !found.hasErrors && isMadeOf(liveFiles, files)) return { kind: 'unchanged' }
    const read = found.list('error', POLICY_LIMITS.filesMax)
    const result = await compile(files, options, found)
    const second = new Findings()
    const again = await readPolicyDir(dir, second)
    const isSame = again && sameFiles(files, again)
    if (isSame && sameFindings(read, second)) return result
    if (result.kind === 'checked') await closeAll(result.bundle.modules)
    return undefined
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    found.error(wholeFile('.'), error.code, error.message)
    return rejected(found, new Map())
  }
}

const sameFindings = (read: readonly Diagnostic[], second: Findings): boolean =>
  JSON.stringify(read) === JSON.stringify(second.list('error', POLICY_LIMITS.filesMax))

const isMadeOf = (live: readonly BundleFile[], files: PolicyFiles): boolean =>
  live.length === files.size &&
  live.every(({ path, bytes, sha256: digest }) => {
    const content = files.get(path)
    return content?.length === bytes && sha256(content) === digest
  })

function given(
  record: Readonly<Record<string, string | Uint8Array>>,
  found: Findings,
): PolicyFiles {
  const files = filesFromRecord(record)
  const sizes = [...files.values()].map((content) => content.length)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  if (files.size > POLICY_LIMITS.filesMax) {
    found.error(wholeFile('.'), 'too_many_files', `more than ${POLICY_LIMITS.filesMax} files`)
  }
  if (total > POLICY_LIMITS.totalBytesMax) {
    found.error(wholeFile('.'), 'too_large', 'more bytes in all files together than allowed')
  }
  for (const [name, content] of files) {
    if (!isPlainName(name)) found.error(wholeFile(name), 'bad_file_name', 'not a plain file name')
    else reportPlace(name, files, found)
    if (content.length > bytesMaxOf(name)) reportTooLarge(name, bytesMaxOf(name), found)
  }
  return files
}

const isPlainName = (name: string): boolean =>
  name.length <= POLICY_LIMITS.pathLengthMax &&
  name.split('/').every((part) => /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(part))

// What a directory could not hold, or would be refused in one.
function reportPlace(name: string, files: PolicyFiles, found: Findings): void {
  const folders = name.split('/').slice(0, -1)
  if (folders.length > DIR_DEPTH_MAX) {
    found.error(wholeFile(name), 'too_deep', `more than ${DIR_DEPTH_MAX} directories deep`)
  }
  for (const at of folders.keys()) {
    const folder = folders.slice(0, at + 1).join('/')
    if (files.has(folder)) {
      found.error(wholeFile(name), 'bad_file_name', `\`${folder}\` is a file and a directory`)
    } else if (KNOWN_ENDING.test(folder)) {
      found.error(wholeFile(folder), 'not_a_file', 'is a directory, but named like a file')
    }
  }
}

async function compile(
  files: PolicyFiles,
  options: LoadOptions,
  found: Findings,
): Promise<CheckedPolicy> {
  const texts = found.hasErrors ? new Map<string, string>() : readTexts(files, found)
  if (found.hasErrors) return rejected(found, texts)
  reportUnknownFiles(files, found)
  const data = readData(texts, found)
  const { source, gate } = readGateFiles(texts, options, found)
  const toolsSource = readSource('tools.yaml', texts, found)
  const declared = toolsSource && readTools(toolsSource, options.env, options.protocols, found)
  const tools =
    declared &&
    toolsSource &&
    withPinnedTools(withExposed(declared, toolsSource, found), toolsSource, texts, found)
  const rules =
    source && gate && tools && (await readRules(gate, tools, source, data, options, found))
  const decisionApi = source && gate && readDecisionApi(gate.decisionApi, data, source, found)
  const cases = tools ? readMatrices(texts, tools.tools, found) : []
  const modules = await loadModules(
    files,
    texts,
    data.values,
    {
      compiler: options.compiler,
      takesInquiries: Object.keys(gate?.decisionApi.actions ?? {}).length > 0,
      tellsTests: (options.tests ?? 'hold') !== 'hold',
    },
    found,
  )
  let checked: CheckedPolicy | undefined
  try {
    if (!found.hasErrors && rules && decisionApi) {
      warnOfUngranted(rules.placed, tools.tools, modules, found)
      const must = cases.filter((one) => one.must)
      const read = { files, gate, tools, ...rules, decisionApi, modules, must, options }
      const made = { data: data.values, protocols: options.protocols }
      const parts = toParts(read, found)
      const bundle = await assemble(parts, rules.placed, modules, made)
      await runTests(cases, bundle, options, found)
      checked = checkedOf(bundle, parts, found)
    }
  } finally {
    // Also where something threw: threads of modules that nobody holds would stay for good.
    if (!checked) await closeAll(modules)
  }
  return checked ?? rejected(found, texts)
}

function checkedOf(bundle: Bundle, parts: PolicyParts, found: Findings): CheckedPolicy | undefined {
  if (found.hasErrors) return undefined
  const told = { warnings: found.list('warning', POLICY_LIMITS.diagnosticsMax) }
  return {
    kind: 'checked',
    bundle: Object.freeze({ ...bundle, ...told }),
    parts: { ...parts, ...told },
  }
}

async function runTests(
  cases: readonly PolicyCase[],
  bundle: Bundle,
  { judge, tests }: LoadOptions,
  found: Findings,
): Promise<void> {
  if (!judge || cases.length === 0 || tests === 'skipped') return
  const severity = tests === 'told' ? 'warning' : 'error'
  reportFailures(await runMatrix(cases, bundle, judge), found, severity)
}

async function readRules(
  gate: GateFile,
  tools: ToolsFile,
  source: SourceDocument,
  data: DataDocuments,
  options: LoadOptions,
  found: Findings,
) {
  const { environment } = gate
  const all = withOwnTools([...tools.tools.values()], options.protocols)
  const derived = new Map<string, unknown>()
  const guards = [...gate.guards, ...defaultRateLimit(gate, options)]
  const { kinds } = options
  const surroundings = { source, environment, tools: all, data, kinds, derived, found }
  const placed = await placeGuards(guards, surroundings)
  const approvals = readApprovals(gate.approvals, [...all.keys()], source, found)
  const record = readRecord(gate.record, all.values(), source, found)
  return { guards, placed, derived, approvals, record }
}

const rejected = (found: Findings, files: SourceTexts): CheckedPolicy => ({
  kind: 'rejected',
  diagnostics: found.list('error', POLICY_LIMITS.diagnosticsMax),
  files,
})

/** Stops everything the modules run in. */
export async function closeAll(modules: readonly PolicyModule[]): Promise<void> {
  await Promise.all(modules.map(async (module) => module.close?.()))
}

const KNOWN_FILE =
  /^(?:gate\.yaml|tools\.yaml|mcp-pins\.json|data\/.+|tests\/.+\.ya?ml|(?:.+\/)?[^/]+\.(?:rego|wasm|tar\.gz))$/

// Further YAML files may stand in for gate.yaml when a reload names them.
const STAND_IN = /^[^/]+\.yaml$/

function reportUnknownFiles(files: PolicyFiles, found: Findings): void {
  for (const name of files.keys()) {
    if (KNOWN_FILE.test(name)) continue
    const hint = didYouMean(name, ['gate.yaml', 'tools.yaml'])
    if (hint === undefined && STAND_IN.test(name)) continue
    found.warn(wholeFile(name), 'unknown_file', 'not a kind of file the gate reads', hint)
  }
}

function readSource(name: string, texts: SourceTexts, found: Findings): SourceDocument | undefined {
  const text = texts.get(name)
  if (text !== undefined) return parseYaml(name, text, found)
  found.error(wholeFile(name), 'missing_file', `\`${name}\` is missing`)
  return undefined
}

interface GateFiles {
  readonly source: SourceDocument | undefined
  readonly gate: GateFile | undefined
}

function readGateFiles(
  texts: Map<string, string>,
  { gateOverride }: LoadOptions,
  found: Findings,
): GateFiles {
  if (!gateOverride) {
    const source = readSource('gate.yaml', texts, found)
    return { source, gate: source && readGate(source, found) }
  }
  const { name, text } = gateOverride
  texts.set(name, text)
  const source = parseYaml(name, text, found)
  if (!source || !isPlanFile(source)) return { source, gate: source && readGate(source, found) }
  const base = readSource('gate.yaml', texts, found)
  const gate = base && readGate(base, found)
  return { source: base, gate: gate && withPlanFile(gate, source, found) }
}

/** The one guard that a policy has without saying so. */
export const DEFAULT_RATE_LIMIT = 'default_rate_limit'

function defaultRateLimit(gate: GateFile, { defaults }: LoadOptions): readonly RawGuard[] {
  if (gate.hasRateLimits || !defaults) return []
  const value = { kind: 'rate_limit', limit: defaults.ratePerS, per_s: 1, scope: 'agent' }
  const location = startOf(wholeFile('gate.yaml'))
  return [{ path: [], location, value, fallbackId: DEFAULT_RATE_LIMIT }]
}

interface Read {
  readonly files: PolicyFiles
  readonly gate: GateFile
  readonly tools: ToolsFile
  readonly guards: readonly RawGuard[]
  readonly placed: readonly PlacedGuard[]
  readonly derived: ReadonlyMap<string, unknown>
  readonly approvals: Bundle['approvals']
  readonly record: Bundle['record']
  readonly decisionApi: Bundle['decisionApi']
  readonly modules: readonly PolicyModule[]
  readonly must: readonly PolicyCase[]
  readonly options: LoadOptions
}

function toParts(read: Read, found: Findings): PolicyParts {
  const { files, gate, tools, guards, derived, approvals, record, must, options } = read
  const { decisionApi } = read
  return {
    revision: revisionOf(files, revisionExtras(tools, options)),
    loadedAtMs: options.nowMs,
    files: listFiles(files),
    environment: gate.environment,
    plans: gate.plans,
    llm: gate.llm,
    mcp: tools.mcp,
    decisionApi,
    approvals,
    record,
    upstreams: [...tools.upstreams.values()],
    warnings: found.list('warning', POLICY_LIMITS.diagnosticsMax),
    counts: countParts(read),
    must,
    publishing: gate.publishing,
    tools: [...tools.tools.values()],
    guards,
    derived,
  }
}

// What else than the files decides: it must change the revision as well.
function revisionExtras(tools: ToolsFile, options: LoadOptions): [string, string][] {
  const { defaults, gateOverride } = options
  const extras: [string, string][] = [...tools.envUsed].map(([name, value]) => [
    `env ${name}`,
    value,
  ])
  if (defaults) extras.push(['default_rate', String(defaults.ratePerS)])
  if (gateOverride) extras.push([`file ${gateOverride.name}`, gateOverride.text])
  return extras
}

function countParts(parts: Read): Bundle['counts'] {
  return Object.freeze({
    files: parts.files.size,
    guards: parts.placed.length,
    tools: parts.tools.tools.size,
    upstreams: parts.tools.upstreams.size,
    modules: parts.modules.filter(({ entrypoints }) => entrypoints.length > 0).length,
    dataDocuments: [...parts.files.keys()].filter(isDataFile).length,
  })
}

function listFiles(files: PolicyFiles): Bundle['files'] {
  const list = [...files].map(([path, content]) =>
    Object.freeze({ path, sha256: sha256(content), bytes: content.length }),
  )
  return Object.freeze(list.sort((a, b) => (a.path < b.path ? -1 : 1)))
}
