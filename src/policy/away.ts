// Loads policy directories in a thread of their own. There, everything is read, unpacked, parsed, compiled, checked and
// tested; what comes back is plain data in pieces, large things in shared memory, of which this thread composes the bundle
// in slices. A request waits for none of it.
import v8 from 'node:v8'
import type { Tool } from '../model/tool.ts'
import type { JsonObject } from '../model/json.ts'
import { composeBundle, type Kinds, type PolicyParts } from './compose.ts'
import { type Diagnostic, diagnosticAt, wholeFile } from '../sources/diagnostics.ts'
import { deepFreeze } from '../lib/freeze.ts'
import type { RawGuard } from './guards.ts'
import { checkPolicy, closeAll, type LoadOptions, type LoadResult } from './load.ts'
import { startOpaModule } from '../engines/opa-module.ts'
import { SOURCES_HERE } from '../engines/rego-compiler.ts'
import { RegoModule, type RegoParts, type RegoSources } from '../engines/rego-module.ts'
import type { QueryParts } from '../engines/rego-queries.ts'
import { inSlices } from './slices.ts'
import { type GivenContents, type TestedPolicy, testPolicy } from './test-run.ts'
import type {
  Bundle,
  ModuleCompiler,
  ModuleExplanation,
  ModuleParts,
  PolicyJudge,
  PolicyModule,
} from '../bundle/types.ts'

/** Loads a directory, or files by content; what it takes is plain, but for the bundle that is live. */
export interface PolicyLoader {
  load(
    from: string | Readonly<Record<string, string | Uint8Array>>,
    request: LoadRequest & { readonly live?: Bundle | undefined },
  ): Promise<LoadResult>
  /** Runs every test of the files. */
  test(files: GivenContents, request: LoadRequest): Promise<TestedPolicy>
}

export type LoadRequest = Pick<
  LoadOptions,
  'env' | 'nowMs' | 'defaults' | 'gateOverride' | 'liveFiles' | 'tests'
>

/** What the thread is asked. */
export type Question =
  | {
      readonly kind: 'load'
      readonly from: string | Readonly<Record<string, string | Uint8Array>>
      readonly request: LoadRequest
    }
  | { readonly kind: 'explain'; readonly parts: RegoParts; readonly input: JsonObject }
  | { readonly kind: 'queries'; readonly parts: RegoParts }
  | { readonly kind: 'test'; readonly files: GivenContents; readonly request: LoadRequest }

export type Answer =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'rejected'; readonly diagnostics: readonly Diagnostic[] }
  | ({ readonly kind: 'loaded' } & Packed)
  | { readonly kind: 'explained'; readonly explanation: ModuleExplanation }
  | { readonly kind: 'queries'; readonly queries: QueryParts | string }
  | { readonly kind: 'tested'; readonly report: TestedPolicy }

// ---- in that thread

/** What checks and tests a directory there. */
export interface Checking extends Kinds {
  readonly compiler: ModuleCompiler
  readonly judge: PolicyJudge
}

export async function answerQuestion(question: Question, checking: Checking): Promise<Answer> {
  if (question.kind === 'explain') {
    const explanation = await SOURCES_HERE.explain(question.parts, question.input)
    return { kind: 'explained', explanation }
  }
  if (question.kind === 'queries') {
    return { kind: 'queries', queries: await queriesOf(question.parts) }
  }
  if (question.kind === 'test') {
    const options = { ...question.request, ...checking }
    return { kind: 'tested', report: await testPolicy(question.files, options) }
  }
  const checked = await checkPolicy(question.from, { ...question.request, ...checking })
  if (checked.kind === 'unchanged') return checked
  if (checked.kind === 'rejected') return { kind: 'rejected', diagnostics: checked.diagnostics }
  const { bundle, parts } = checked
  const all = bundle.documents
    ? [...new Set([...bundle.modules, bundle.documents])]
    : bundle.modules
  const modules = all.flatMap((module) => module.parts ?? [])
  await closeAll(all)
  return { kind: 'loaded', ...pack(parts), modules }
}

/** What can be asked for by path, or why nothing can. */
async function queriesOf(parts: RegoParts): Promise<QueryParts | string> {
  try {
    return await SOURCES_HERE.queries(parts)
  } catch (error) {
    return (error as Error).message
  }
}

/** Parts in pieces that are each quickly read. */
interface Packed {
  readonly pieces: readonly Uint8Array[]
  readonly derived: ReadonlyMap<string, unknown>
  readonly modules: readonly ModuleParts[]
}

type Piece =
  | Partial<Pick<PolicyParts, 'tools' | 'guards'>>
  | Omit<PolicyParts, 'tools' | 'guards' | 'derived'>

const TOOLS_PER_PIECE = 20
const GUARDS_PER_PIECE = 50

function pack({ tools, guards, derived, ...rest }: PolicyParts): Omit<Packed, 'modules'> {
  const pieces: Piece[] = [
    rest,
    ...chunks(tools, TOOLS_PER_PIECE).map((some) => ({ tools: some })),
    ...chunks(guards, GUARDS_PER_PIECE).map((some) => ({ guards: some })),
  ]
  return { pieces: pieces.map((piece) => v8.serialize(piece)), derived }
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size)
  return Array.from({ length: count }, (_, at) => items.slice(at * size, (at + 1) * size))
}

// ---- in the thread that decides

/** @throws Error when the thread stopped or took too long */
export type Ask = (question: Question) => Promise<Answer>

/** Loads by asking a thread. */
export function loaderOf(ask: Ask, kinds: Kinds): PolicyLoader {
  const sources = sourcesBehind(ask)
  return {
    async load(from, { live, ...given }) {
      const request = live ? { ...given, liveFiles: live.files } : given
      const answer = await askOrReject(ask, { kind: 'load', from, request: plain(request) })
      if (answer.kind === 'unchanged' && live) return { ok: true, bundle: live }
      if (answer.kind === 'loaded')
        return { ok: true, bundle: await compose(answer, kinds, sources) }
      const diagnostics = answer.kind === 'rejected' ? answer.diagnostics : []
      return { ok: false, diagnostics: deepFreeze(diagnostics), files: new Map() }
    },
    async test(files, request) {
      const answer = await askOrReject(ask, { kind: 'test', files, request: plain(request) })
      if (answer.kind === 'tested') return answer.report
      return { ok: false, diagnostics: answer.kind === 'rejected' ? answer.diagnostics : [] }
    },
  }
}

function sourcesBehind(ask: Ask): RegoSources {
  return {
    async explain(parts, input) {
      const answer = await ask({ kind: 'explain', parts, input })
      if (answer.kind === 'explained') return answer.explanation
      return { ok: false, message: 'the compiler gave no answer' }
    },
    async queries(parts) {
      const answer = await ask({ kind: 'queries', parts })
      if (answer.kind !== 'queries') throw new Error('the compiler gave no answer')
      if (typeof answer.queries === 'string') throw new Error(answer.queries)
      return answer.queries
    },
  }
}

const plain = ({
  env,
  nowMs,
  defaults,
  gateOverride,
  liveFiles,
  tests,
}: LoadRequest): LoadRequest => ({
  env,
  nowMs,
  ...(tests ? { tests } : {}),
  ...(defaults ? { defaults } : {}),
  ...(gateOverride ? { gateOverride } : {}),
  ...(liveFiles ? { liveFiles } : {}),
})

async function askOrReject(ask: Ask, question: Question): Promise<Answer> {
  try {
    return await ask(question)
  } catch (error) {
    const message = `the load stopped: ${(error as Error).message}`
    return {
      kind: 'rejected',
      diagnostics: [diagnosticAt(wholeFile('.'), 'error', 'load_failed', message)],
    }
  }
}

async function compose(packed: Packed, kinds: Kinds, sources: RegoSources): Promise<Bundle> {
  const parts = await unpack(packed)
  const modules: PolicyModule[] = []
  try {
    for (const one of packed.modules) {
      modules.push(one.kind === 'rego' ? new RegoModule(one, sources) : await startOpaModule(one))
    }
    return await composeBundle(parts, modules, kinds)
  } catch (error) {
    await closeAll(modules)
    throw error
  }
}

async function unpack({ pieces, derived }: Packed): Promise<PolicyParts> {
  const [tools, guards]: [Tool[], RawGuard[]] = [[], []]
  let rest: object = {}
  await inSlices(pieces, (bytes) => {
    const piece = deepFreeze(v8.deserialize(bytes)) as Piece
    if ('revision' in piece) rest = piece
    if ('tools' in piece) tools.push(...(piece.tools ?? []))
    if ('guards' in piece) guards.push(...(piece.guards ?? []))
  })
  return { ...(rest as Omit<PolicyParts, 'tools' | 'guards' | 'derived'>), tools, guards, derived }
}
