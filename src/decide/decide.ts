import {
  type Decision,
  type Effect,
  type Obligation,
  ofPhase,
  type Reason,
  type Reservation,
  type TraceStep,
} from '../model/decision.ts'
import type { Facts } from '../model/facts.ts'
import type { JsonObject } from '../model/json.ts'
import type { ActionRequest } from '../model/request.ts'
import type { Tool } from '../model/tool.ts'
import type { Bundle, Guard, GuardInput, ModuleAnswer, PolicyModule } from '../bundle/types.ts'
import { approvalFor } from './approval.ts'
import { atLeast, costOf } from './cost.ts'
import { moduleInput } from './module-input.ts'
import { GATE, precondition, resourceOf } from './preconditions.ts'
import { isForRoles } from '../bundle/roles.ts'
import { UNKNOWN_TOOL } from './unknown-tool.ts'

// One decision. What must hold of any request comes first (there is such a tool, the agent may act), then the guards in the order they
// are written, then the modules of the policy; all are asked, and only then is what they said combined. What fails denies: an
// error in a guard or a module never lets anything through.

/** What guards and modules said so far. */
interface Tally {
  readonly reasons: Reason[]
  readonly shadow: Reason[]
  readonly reservations: Reservation[]
  readonly obligations: Obligation[]
  readonly trace: TraceStep[]
  /** Something said that this may happen, perhaps with a person's approval. */
  isGranted: boolean
}

/** An action that is no tool of the gate: what guards are told of it, and modules, and who carries it out is the caller. */
export interface Elsewhere {
  readonly tool: Tool
  readonly input: JsonObject
}

/**
 * Judges one request by one bundle. Pure: the time is in the facts, nothing is read or written.
 * Any deny wins; else there must be a grant (an allow, or a permission that wants approval), or it is a deny
 * (`no_permission`); else any require_approval holds it; else it is allowed.
 * A promise only when a module of the bundle runs in a worker.
 */
export function decide(
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
  elsewhere?: Elsewhere,
): Decision | Promise<Decision> {
  const tool = elsewhere?.tool ?? bundle.tools.get(request.action.name)
  const tally: Tally = {
    reasons: [],
    shadow: [],
    reservations: [],
    obligations: [],
    trace: [],
    isGranted: false,
  }
  const refusal = precondition(request, facts, bundle, tool)
  if (refusal) return refuseEarly(refusal, request, facts, bundle, tally)
  if (!tool) throw new Error('a request without a tool passed the preconditions')
  const costMicros = elsewhere ? 0n : costOf(request, tool, bundle)
  const input = inputFor(request, facts, bundle, tool, costMicros)
  const guards = elsewhere ? bundle.guardsForAny : bundle.guardsByTool.get(tool.name)
  for (const guard of guards ?? []) run(guard, input, tally)
  if (bundle.modules.length === 0) return conclude(request, facts, bundle, tally)
  return withModules(input, elsewhere?.input ?? moduleInput(input), bundle, tally)
}

/** What guards and modules see of a request. */
export function inputFor(
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
  tool: GuardInput['tool'],
  costMicros: bigint,
): GuardInput {
  return {
    request,
    facts,
    tool,
    resource: resourceOf(request, tool),
    environment: bundle.environment,
    costMicros,
  }
}

// Guards that count requests still count one that is refused before the others are asked: an agent
// must not get unlimited tries by being wrong.
function refuseEarly(
  refusal: Reason,
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
  tally: Tally,
): Decision {
  tally.reasons.push(refusal)
  tally.trace.push(step(GATE, GATE, 'deny', [refusal], {}))
  const guards = bundle.guardsByTool.get(request.action.name) ?? bundle.guardsForAny
  const tool = bundle.tools.get(request.action.name) ?? UNKNOWN_TOOL
  const input = inputFor(request, facts, bundle, tool, atLeast(tool.costMicros, request))
  for (const guard of guards) if (guard.countsRequests) run(guard, input, tally)
  return conclude(request, facts, bundle, tally)
}

function run(guard: Guard, input: GuardInput, tally: Tally): void {
  if (guard.mode === 'off' || !isForRoles(guard, input.facts.agent.roles)) {
    const observed = guard.mode === 'off' ? {} : { roles: [...input.facts.agent.roles] }
    tally.trace.push(guardStep(guard, 'none', NO_REASONS, observed))
    return
  }
  const into = guard.mode === 'enforce' ? tally.reasons : tally.shadow
  try {
    const { outcome, reasons, reservations, observed } = guard.evaluate(input)
    tally.trace.push(guardStep(guard, outcome, reasons, observed))
    for (const reservation of reservations) tally.reservations.push(reservation)
    for (const reason of reasons) into.push(reason)
    if (guard.mode === 'enforce' && guard.grants && GRANTING.has(outcome)) tally.isGranted = true
  } catch (error) {
    const reason = failure(guard)
    const observed = { error: String(error).slice(0, 200) }
    tally.trace.push(guardStep(guard, 'error', [reason], observed))
    into.push(reason)
  }
}

const GRANTING: ReadonlySet<string> = new Set(['allow', 'require_approval'])

const NO_REASONS: readonly Reason[] = Object.freeze([])

const guardStep = (
  { id, kind, mode, location }: Guard,
  outcome: TraceStep['outcome'],
  reasons: readonly Reason[],
  observed: TraceStep['observed'],
): TraceStep => ({ source: id, kind, mode, outcome, location, reasons, observed })

const failure = (guard: Guard): Reason => ({
  code: 'guard_error',
  message: `guard \`${guard.id}\` failed`,
  effect: 'deny',
  source: guard.id,
  location: guard.location,
})

const step = (
  source: string,
  kind: string,
  outcome: TraceStep['outcome'],
  reasons: readonly Reason[],
  observed: TraceStep['observed'],
): TraceStep => ({ source, kind, mode: 'enforce', outcome, reasons, observed })

function withModules(
  input: GuardInput,
  asked: JsonObject,
  bundle: Bundle,
  tally: Tally,
): Decision | Promise<Decision> {
  const answers = bundle.modules.map((module) => ask(module, asked))
  const finish = (all: readonly ModuleAnswer[]): Decision => {
    for (const [at, answer] of all.entries())
      heed(bundle.modules[at] as PolicyModule, answer, tally)
    const decision = conclude(input.request, input.facts, bundle, tally)
    const explains = bundle.modules.some((module) => 'explain' in module)
    return explains ? { ...decision, facts: input.facts } : decision
  }
  if (answers.every((answer): answer is ModuleAnswer => !(answer instanceof Promise))) {
    return finish(answers)
  }
  return Promise.all(answers.map(async (answer) => answer)).then(finish)
}

function ask(
  module: PolicyModule,
  input: ReturnType<typeof moduleInput>,
): ModuleAnswer | Promise<ModuleAnswer> {
  try {
    const answer = module.evaluate(input)
    return answer instanceof Promise ? answer.catch(broken) : answer
  } catch (error) {
    return broken(error)
  }
}

const broken = (error: unknown): ModuleAnswer => ({
  allow: false,
  deny: [],
  requireApproval: [],
  obligations: [],
  error: { code: 'policy_error', message: String(error).slice(0, 200) },
})

function heed(module: PolicyModule, answer: ModuleAnswer, tally: Tally): void {
  const one = moduleStep(module.name, answer)
  tally.reasons.push(...one.reasons)
  tally.obligations.push(...answer.obligations)
  tally.trace.push(one)
  if (answer.allow && !answer.error) tally.isGranted = true
}

/** What a module's answer means for the decision. */
export function moduleStep(name: string, answer: ModuleAnswer): TraceStep {
  const reasons: Reason[] = []
  const add = (effect: Effect, code: string, message: string) =>
    reasons.push({ code, message, effect, source: name })
  if (answer.error) add('deny', answer.error.code, `policy module \`${name}\` gave no answer`)
  for (const one of answer.deny) add('deny', one.code, one.message)
  for (const one of answer.requireApproval) add('require_approval', one.code, one.message)
  if (answer.allow) add('allow', 'module_allow', `\`${name}\` allows it`)
  const outcome = answer.error ? 'error' : (reasons[0]?.effect ?? 'none')
  const observed = answer.error ? { error: answer.error.message } : {}
  return step(name, 'module', outcome, reasons, observed)
}

function conclude(
  request: ActionRequest,
  facts: Facts,
  bundle: Bundle,
  { reasons, shadow, reservations, obligations, trace, isGranted }: Tally,
): Decision {
  const effect = combine(reasons, isGranted)
  const carried = reasons.filter((reason) => reason.effect === effect)
  if (carried.length === 0) carried.push(NO_PERMISSION)
  // What a denied action would have taken is not taken; that it was asked still counts.
  const taken = effect === 'deny' ? ofPhase({ reservations }, 'request') : reservations
  return {
    effect,
    reasons: carried,
    shadow,
    obligations: effect === 'deny' ? [] : obligations,
    reservations: taken,
    approval: approvalFor(request.action.name, facts.agent.roles, bundle.approvals),
    revision: bundle.revision,
    trace,
  }
}

function combine(reasons: readonly Reason[], isGranted: boolean): Effect {
  if (reasons.some((reason) => reason.effect === 'deny')) return 'deny'
  if (!isGranted) return 'deny'
  return reasons.some((reason) => reason.effect === 'require_approval')
    ? 'require_approval'
    : 'allow'
}

const NO_PERMISSION: Reason = Object.freeze({
  code: 'no_permission',
  message: 'no rule permits this',
  effect: 'deny',
  source: GATE,
})
