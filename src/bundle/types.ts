import type {
  ApprovalTerms,
  Decision,
  Effect,
  Mode,
  Obligation,
  PolicyLocation,
  Reason,
  Reservation,
  TraceExpression,
  TraceStep,
} from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { Entity } from '../model/inquiry.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { RecordRules } from '../model/record-rules.ts'
import type { ActionRequest, Resource, Target } from '../model/request.ts'
import type { Tool, Upstream } from '../model/tool.ts'
import type { DataImage, Projection } from '../rego/index.ts'
import type { Diagnostic, Place } from '../sources/diagnostics.ts'
import type { PathCheck, PathRules } from './paths.ts'
import type { Regex } from './regex.ts'

/** What a guard looks at. Built once for each decision. */
export interface GuardInput {
  readonly request: ActionRequest
  readonly facts: Facts
  readonly tool: Tool
  readonly resource: Resource
  readonly environment: string
  /** The larger of the tool's fixed cost and the declared one. */
  readonly costMicros: bigint
}

/** What a guard says. `none`: it has nothing to say, which is never an allow. */
export interface GuardAnswer {
  readonly outcome: Effect | 'none'
  readonly reasons: readonly Reason[]
  readonly reservations: readonly Reservation[]
  /** The values it looked at, small enough to show. */
  readonly observed: Readonly<Record<string, Json>>
}

/** A compiled guard. `evaluate` is pure; if it throws, the guard denies with `guard_error`. */
export interface Guard {
  readonly id: string
  readonly kind: string
  readonly mode: Mode
  readonly location: PolicyLocation
  /** Roles it is for; empty: any. */
  readonly roles: ReadonlySet<string>
  /** Whether it counts requests and therefore runs even for an action that is refused early. */
  readonly countsRequests: boolean
  /** Whether what it lets pass or holds is thereby granted; any other guard only tightens. */
  readonly grants: boolean
  /** Whether it is configured to answer `require_approval`. */
  readonly mayHold: boolean
  evaluate(input: GuardInput): GuardAnswer
}

/** One guard as written, checked against its schema, not yet compiled. */
export interface GuardSpec {
  readonly id: string
  readonly kind: string
  readonly mode: Mode
  /** The whole YAML object, defaults not filled in. */
  readonly config: JsonObject
  readonly location: PolicyLocation
  /** Tools it is for, already resolved from its patterns; null: all, also unknown ones. */
  readonly tools: readonly Tool[] | null
}

/** What a guard kind may use while it compiles. Reports go to the diagnostics of the load. */
export interface CompileContext {
  readonly environment: string
  readonly tools: ReadonlyMap<string, Tool>
  /** The tools the guard applies to. */
  readonly subjectTools: readonly Tool[]
  readonly data: JsonObject
  /** Reports an error at a path inside the guard's own YAML. */
  report(path: readonly (string | number)[], code: string, message: string, hint?: string): void
  /** Compiles an RE2 pattern found at `path`; undefined, and reported, when it does not compile. */
  regex(source: string, path: readonly (string | number)[], ignoreCase?: boolean): Regex | undefined
  /** One pattern that matches where any of some valid ones does; undefined when that is too large. */
  join(sources: readonly string[]): Regex | undefined
  /** Reader for a JSON pointer found at `path`; undefined, and reported, when it is not one. */
  pointer(text: string, path: readonly (string | number)[]): PointerReader | undefined
  /** As `pointer`, and the pointer must exist in the args schema of a tool the guard is for. */
  argPointer(text: string, path: readonly (string | number)[]): PointerReader | undefined
  /**
   * Reports at `path` that no tool the guard is for takes this value at a pointer into its args: what waits for it
   * would wait for ever.
   */
  argValue(pointer: string, value: Json, path: readonly (string | number)[]): void
  /** Validator for a JSON Schema found at `path`; undefined, and reported, when it is not one. */
  schema(schema: JsonObject, path: readonly (string | number)[]): ArgsCheck | undefined
  /** Compiles path rules; undefined, and reported, when a directory or glob is no good. */
  pathRules(rules: PathRules): PathCheck | undefined
  /** `name` of a document under `data/`; undefined, and reported, when there is none. */
  dataDocument(name: string, path: readonly (string | number)[]): Json | undefined
  /**
   * What a guard makes of documents under `data/`: plain data, made once where the directory is checked and handed on to
   * where it decides. The key says all that goes into it.
   */
  derive<T>(key: string, make: () => T): T
  /** Of a document that is a table: the columns its header names. */
  dataColumns(name: string): readonly string[] | undefined
  /** Reports an error in a document under `data/`, at an entry of a list or at the header of a table. */
  reportData(
    name: string,
    row: number | 'header',
    code: string,
    message: string,
    hint?: string,
  ): void
}

export type PointerReader = (value: Json) => Json | undefined

/** A kind of guard: its name is also the name of its schema in `schemas/guards/`. */
export interface GuardKind {
  readonly kind: string
  readonly countsRequests?: boolean
  readonly grants?: boolean
  compile(spec: GuardSpec, context: CompileContext): (input: GuardInput) => GuardAnswer
}

/** Undefined when the args fit the schema, else what is wrong with them. */
export type ArgsCheck = (args: JsonObject) => string | undefined

/** What a Rego rule gives as a reason. */
export interface ModuleReason {
  readonly code: string
  readonly message: string
}

/** What package `agent` of a module says. Undefined rules are absent: never allow, never deny. */
export interface ModuleAnswer {
  readonly allow: boolean
  readonly deny: readonly ModuleReason[]
  readonly requireApproval: readonly ModuleReason[]
  readonly obligations: readonly Obligation[]
  /** Set when evaluation failed: the decision denies with this code. */
  readonly error?: {
    readonly code: 'policy_timeout' | 'policy_error' | 'policy_budget_exceeded'
    readonly message: string
  }
}

/** A compiled policy that sees `input` in AuthZEN's words. It never throws: failures are answers. */
export interface PolicyModule {
  readonly name: string
  readonly entrypoints: readonly string[]
  evaluate(input: JsonObject): ModuleAnswer | Promise<ModuleAnswer>
  /** Evaluates once more, slowly and away from decisions, and says which expressions made the answer. */
  explain?(input: JsonObject): Promise<ModuleExplanation>
  /** What can be asked for by path; made when somebody first asks. @throws Error when nothing can */
  documents?(): Promise<PolicyDocuments>
  /** What another thread makes the same module of. */
  readonly parts?: ModuleParts
  /** Stops what the module runs in, when the bundle is no longer used. */
  close?(): Promise<void>
}

/** Documents of a policy by their paths below `data`: packages, rules, and what is in the values of rules. */
export interface PolicyDocuments {
  has(path: readonly string[]): boolean
  /**
   * The value as JSON text, with numbers digit by digit; undefined where there is none.
   * @throws EvalError when the evaluation fails
   */
  answer(path: readonly string[], inputText: string | undefined): string | undefined
  /** `data.system.log.mask` of an event as JSON text; undefined where no rule says any. @throws when the evaluation fails */
  logMask?(eventText: string): string | undefined
}

/** A module as it goes from thread to thread; what is large in it lies in shared memory. */
export type ModuleParts =
  | {
      readonly kind: 'opa'
      readonly name: string
      readonly entrypoints: readonly string[]
      readonly wasm: Uint8Array
      /** JSON. */
      readonly data: Uint8Array
    }
  | {
      readonly kind: 'rego'
      /** Names the program where it was compiled. */
      readonly id: number
      readonly rules: readonly string[]
      readonly module: WebAssembly.Module
      /** What of the input its rules read. */
      readonly reads: Projection
      readonly image: DataImage
      /** The whole program, should it not be known there any more. */
      readonly program: Uint8Array
    }

export type ModuleExplanation =
  | {
      readonly ok: true
      readonly answer: ModuleAnswer
      readonly expressions: readonly TraceExpression[]
      /** How many more there were than are shown. */
      readonly omitted: number
    }
  | { readonly ok: false; readonly message: string }

/** How a bundle decides, for the tests of the bundle itself: that of `decide`. */
export interface PolicyJudge {
  decide(request: ActionRequest, facts: Facts, bundle: Bundle): Decision | Promise<Decision>
  explain(
    trace: Decision['trace'],
    request: ActionRequest,
    facts: Facts,
    bundle: Bundle,
  ): Promise<readonly ExplainedStep[]>
}

/** A case of `tests/*.yaml`: what is asked, and what has to come of it. */
export interface PolicyCase {
  readonly place: Place
  /** The row's own name, or the empty string. */
  readonly name: string
  readonly subject: string
  readonly action: string
  readonly resource: string | null
  readonly request: ActionRequest
  readonly facts: Facts
  readonly effect: Effect
  /** Code of a reason that has to be given; null: any. */
  readonly reason: string | null
  /** No revision may get it wrong, whatever its own tests say. */
  readonly must: boolean
}

/** A step of a trace; that of a module has its expressions, or says why not. */
export type ExplainedStep = TraceStep & {
  readonly expressions?: readonly TraceExpression[]
  readonly expressions_omitted?: number
  readonly expressions_missing?: string
}

/** The Rego of a policy directory. */
export interface ModuleSources {
  readonly sources: ReadonlyMap<string, string>
  readonly data: JsonObject
  /** Names of the sources out of bundles that were built elsewhere. */
  readonly foreign: readonly string[]
  /** Actions that are no tools are asked about, with properties of their own. */
  readonly takesInquiries: boolean
  /** A `test_` rule that does not hold is a warning. */
  readonly tellsTests: boolean
}

/** Compiles the Rego of a policy directory into one module. */
export interface ModuleCompiler {
  compile(sources: ModuleSources): Promise<CompiledModule>
}

/** `module` is null when nothing decides. */
export type Compiled<Module> =
  | {
      readonly ok: true
      readonly module: Module | null
      readonly warnings: readonly Diagnostic[]
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

export type CompiledModule = Compiled<PolicyModule>

export interface BundleFile {
  readonly path: string
  readonly sha256: string
  readonly bytes: number
}

/** Who must agree, for which tools and roles. The first rule that fits decides. */
export interface ApprovalRule {
  readonly tools: ReadonlySet<string> | null
  readonly roles: ReadonlySet<string>
  readonly terms: ApprovalTerms
}

export interface ApprovalRules {
  readonly default: ApprovalTerms
  readonly rules: readonly ApprovalRule[]
}

/** How agents are served over MCP. */
export interface McpPolicy {
  /** How long a call waits for a person. */
  readonly holdMs: number
  /** How old what a server lists may be when one of its tools is called. */
  readonly relistMs: number
}

/** Bounds on change plans. */
export interface PlanPolicy {
  readonly allowedDirs: readonly string[]
  readonly denyGlobs: readonly string[]
  readonly diffLinesMax: number
  /** Judges a path by `allowedDirs` and `denyGlobs`, after refusing whatever is not plain. */
  readonly checkPath: PathCheck
}

/** What a million tokens cost, in micro-units. */
export interface TokenPrice {
  readonly inputMicros: bigint
  readonly outputMicros: bigint
}

/** Which model turns use, and how far one may go. */
export interface LlmPolicy {
  readonly model: string
  readonly temperature: number
  readonly seed: number
  readonly maxTokens: number
  readonly toolCallsMax: number
  readonly timeoutMs: number
  /** Of the model; null: calls cost nothing. */
  readonly price: TokenPrice | null
  /** The author's own words to the model, or ''. */
  readonly system: string
}

/** What of a bundle a protocol looks at: it is asked while the bundle is made, too. */
export type ProtocolRules = Pick<Bundle, 'llm' | 'tools'>

/** A tool with the args it is called with. */
export interface ToolCall {
  readonly tool: Tool
  readonly upstream: Upstream
  readonly args: JsonObject
  /** What the client sends along, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * How a tool becomes a call: the twin of `GuardKind`. An upstream names its protocol; a new one is a folder, and nothing
 * else changes. This half is pure; the other, which calls, is a `Transport`.
 */
export interface Protocol {
  readonly name: string
  /** Tools of its own that every policy has, by the name of their upstream; no file declares these names. */
  readonly own?: {
    readonly tools: readonly Tool[]
    readonly upstreamName: string
    upstream(rules: Pick<Bundle, 'llm'>): Upstream
  }
  /** Its upstreams list their tools: no path stands for one, and its schema is in the words of whoever wrote it. */
  readonly upstreamsListTools?: true
  /** The exact call. @throws GatewayError `invalid_request` where the args do not fit into it */
  target(call: ToolCall, rules: ProtocolRules): Target
  /** What it may cost at most, in micro-units. */
  worstCaseMicros(call: Pick<ToolCall, 'tool' | 'args'>, rules: ProtocolRules): bigint
  /** What the args repeat of a conversation with a model, in which other actions' values may stand. */
  conversation?(args: JsonObject): readonly JsonObject[]
}

/** One compiled policy directory. Immutable: a request is decided by exactly one of these. */
export interface Bundle {
  /** SHA-256 over file names, their contents and substituted environment values. */
  readonly revision: string
  readonly loadedAtMs: number
  readonly environment: string
  readonly files: readonly BundleFile[]
  readonly tools: ReadonlyMap<string, Tool>
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly protocols: ReadonlyMap<string, Protocol>
  readonly guards: readonly Guard[]
  /** The guards that apply to each tool, in the order they are written. */
  readonly guardsByTool: ReadonlyMap<string, readonly Guard[]>
  /** The guards that are not limited to named tools: what an unknown tool meets. */
  readonly guardsForAny: readonly Guard[]
  readonly argsChecks: ReadonlyMap<string, ArgsCheck>
  readonly routes: RouteTable
  readonly approvals: ApprovalRules
  readonly plans: PlanPolicy
  readonly llm: LlmPolicy
  readonly mcp: McpPolicy
  readonly record: RecordRules
  readonly decisionApi: DecisionApi
  readonly data: JsonObject
  /** Those that decide. */
  readonly modules: readonly PolicyModule[]
  /** What can be asked about by path, though none of it need decide. */
  readonly documents: PolicyModule | null
  readonly warnings: readonly Diagnostic[]
  readonly counts: BundleCounts
  /** What no revision may get wrong. */
  readonly must: readonly PolicyCase[]
  /** Who has to agree before another revision is published; null: nobody. */
  readonly publishing: PublishTerms | null
}

/** Whose votes a publish needs. */
export interface PublishTerms {
  readonly quorum: number
  readonly roles: readonly string[]
  readonly expiresMs: number
}

/** What may be asked about by who enforces the answer. */
export interface DecisionApi {
  /** Actions that are no tools, with the types of resources each is for; null: any. */
  readonly actions: ReadonlyMap<string, readonly string[] | null>
  /** Whether a question takes what asking takes, such as a rate; else it takes nothing. */
  readonly consumes: boolean
  /** Whether a denial says all its reasons, or the code of the first alone. */
  readonly disclosesReasons: boolean
  readonly opa: {
    /** Steps to the document that a question without a path is about. */
    readonly default: readonly string[]
    /** Whether `agent/allow` is what the whole gate says, guards included, and not the rule alone. */
    readonly guards: boolean
  }
  readonly extAuthz: {
    /** Agents by the principals that Envoy knows them as, such as `spiffe://…`. */
    readonly principals: ReadonlyMap<string, string>
  }
  /** How a hook of Claude Code is answered. */
  readonly claude: {
    /** Whether an allow overrides the client's own permissions. */
    readonly grants: boolean
    /** Whether the person in front of the client is asked where one must approve; else it is denied. */
    readonly asksLocally: boolean
  }
  readonly accessRequests: AccessRequestRules
  /** What a search looks through, by type; subjects of type `agent` are the registry's. */
  readonly subjects: ReadonlyMap<string, readonly Entity[]>
  readonly resources: ReadonlyMap<string, readonly Entity[]>
}

/** How people are asked for what an enforcement point was denied (AuthZEN's access requests). */
export interface AccessRequestRules {
  /** How long after a denial it may be asked for. */
  readonly requestableMs: number
  /** How long an approval counts. */
  readonly approvedMs: number
  /** How long a task is answered after the time to decide it is over. */
  readonly keptMs: number
  /** Whether an approval counts for any number of evaluations until its time is over; else for one. */
  readonly isReusable: boolean
  /** Members of the context that an approval is bound to; null: all but those that differ each time. */
  readonly context: readonly string[] | null
}

export interface BundleCounts {
  readonly files: number
  readonly guards: number
  readonly tools: number
  readonly upstreams: number
  readonly modules: number
  readonly dataDocuments: number
}

/** One step of a path template: a literal, the name of a parameter, or both in turn, text first and last. */
export type RouteSegment =
  | { readonly literal: string }
  | { readonly param: string }
  | { readonly texts: readonly string[]; readonly params: readonly string[] }

export interface Route {
  readonly tool: Tool
  readonly segments: readonly RouteSegment[]
}

/** Routes by upstream and method, most specific first. */
export interface RouteTable {
  readonly byUpstream: ReadonlyMap<string, ReadonlyMap<string, readonly Route[]>>
}
