import type { Obligation } from '../model/decision.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { type OpaResults, OpaThread, PolicyTimeout } from './opa-thread.ts'
import { isObject } from '../bundle/pointer.ts'
import { DECIDING, PACKAGE } from './rego-program.ts'
import { closest } from '../lib/suggest.ts'
import { shareBytes } from './shared.ts'
import type { ModuleAnswer, ModuleParts, ModuleReason, PolicyModule } from '../bundle/types.ts'

// Modules that `opa build` made are other people's code, without a budget inside that ends them. So each
// runs in a thread with bounded memory and is given a deadline: one that hangs is stopped from outside,
// fails this decision closed, and its next thread has been standing by. Questions are asked one at a time;
// who waits too long gets an error and not a late answer.

const DEADLINE_MS = 100
const QUEUE_MAX = 256
const WAIT_MS_MAX = 1_000 // behind others that hang; after that the answer is no longer wanted

/** Rules the gate asks for; the package alone is all of them in one object. */
const RULES = DECIDING
const ENTRYPOINTS: readonly string[] = [PACKAGE, ...RULES.map((rule) => `${PACKAGE}/${rule}`)]

export type LoadedOpa =
  | { readonly ok: true; readonly module: PolicyModule }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint?: string }

/** Loads a module built by `opa build -t wasm`. */
export async function loadOpaModule(
  name: string,
  wasm: Uint8Array,
  data: JsonObject,
): Promise<LoadedOpa> {
  try {
    const [code, documents] = [shareBytes(wasm), shareBytes(Buffer.from(JSON.stringify(data)))]
    const { thread, manifest } = await OpaThread.start(code, documents)
    const entrypoints = manifest.entrypoints.filter((one) => ENTRYPOINTS.includes(one))
    const problem = manifestProblem(manifest, entrypoints)
    const parts = { kind: 'opa', name, wasm: code, data: documents, entrypoints } as const
    if (!problem) return { ok: true, module: new OpaModule(parts, thread) }
    await thread.stop()
    return { ok: false, ...problem }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { ok: false, code: 'module_load', message: `does not load: ${message.slice(0, 200)}` }
  }
}

type OpaParts = Extract<ModuleParts, { kind: 'opa' }>

/** Starts a module that was loaded in another thread. Rejects when it does not start. */
export async function startOpaModule(parts: OpaParts): Promise<PolicyModule> {
  const { thread } = await OpaThread.start(parts.wasm, parts.data)
  return new OpaModule(parts, thread)
}

function manifestProblem(
  { entrypoints, missing }: { entrypoints: readonly string[]; missing: readonly string[] },
  usable: readonly string[],
): { code: string; message: string; hint?: string } | undefined {
  if (missing.length > 0) {
    const message = `needs builtins the gate does not have: ${missing.join(', ')}`
    return { code: 'module_builtin', message }
  }
  const near = entrypoints.map((one) => meantFor(one)).find((one) => one !== undefined)
  if (usable.length === 0) {
    const hint = near
      ? `did you mean \`${near.meant}\`?`
      : `build with -e ${ENTRYPOINTS.join(' -e ')}`
    return { code: 'module_entrypoints', message: 'has no entrypoint of package `agent`', hint }
  }
  if (!near) return undefined
  const message = `nobody asks for its entrypoint \`${near.name}\``
  return { code: 'unknown_rule', message, hint: `did you mean \`${near.meant}\`?` }
}

// A bundle may hold what others ask for, but hardly what differs by a letter or two from what the gate does.
function meantFor(name: string): { name: string; meant: string } | undefined {
  if (ENTRYPOINTS.includes(name)) return undefined
  const cut = name.lastIndexOf('/')
  const [path, rule] = [name.slice(0, cut), name.slice(cut + 1)]
  const [nearPath, nearRule] = [closest(path, [PACKAGE]), closest(rule, RULES)]
  if (nearPath === undefined || nearRule === undefined) return undefined
  return path === nearPath || rule === nearRule
    ? { name, meant: `${nearPath}/${nearRule}` }
    : undefined
}

/**
 * A module in a thread. One question at a time; the next thread stands by, so that one that had to
 * be stopped is replaced without a pause.
 */
class OpaModule implements PolicyModule {
  readonly name: string
  readonly entrypoints: readonly string[]
  readonly parts: OpaParts
  #thread: Promise<OpaThread>
  #spare: Promise<OpaThread> | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  constructor(parts: OpaParts, thread: OpaThread) {
    this.name = parts.name
    this.entrypoints = Object.freeze([...parts.entrypoints])
    this.parts = parts
    this.#thread = Promise.resolve(thread)
  }

  async evaluate(input: JsonObject): Promise<ModuleAnswer> {
    if (this.#waiting >= QUEUE_MAX) return failed('policy_timeout', 'too many evaluations wait')
    this.#waiting++
    const sinceMs = performance.now()
    const run = this.#tail.then(() => this.#ask(input, sinceMs)).finally(() => this.#waiting--)
    this.#tail = run
    return run
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#tail
    const threads = await Promise.allSettled([this.#thread, this.#spare])
    for (const one of threads) if (one.status === 'fulfilled') await one.value?.stop()
  }

  async #ask(input: JsonObject, sinceMs: number): Promise<ModuleAnswer> {
    if (performance.now() - sinceMs > WAIT_MS_MAX) {
      return failed('policy_timeout', 'waited too long for its turn')
    }
    // Started when there is something to do, so that modules of which nothing is asked have one thread each.
    this.#spare ??= this.#startThread()
    try {
      const thread = await this.#living()
      const results = await thread.evaluate(this.entrypoints, input, DEADLINE_MS)
      return toAnswer(this.entrypoints, results)
    } catch (error) {
      this.#replace()
      const code = error instanceof PolicyTimeout ? 'policy_timeout' : 'policy_error'
      return failed(code, error instanceof Error ? error.message : String(error))
    }
  }

  async #living(): Promise<OpaThread> {
    const thread = await this.#thread
    if (thread.isAlive) return thread
    this.#replace()
    return this.#thread
  }

  #replace(): void {
    if (this.#closed) return
    void this.#thread.then((old) => old.stop()).catch(() => undefined)
    this.#thread = this.#spare ?? this.#startThread()
    this.#spare = this.#startThread()
  }

  #startThread(): Promise<OpaThread> {
    const started = OpaThread.start(this.parts.wasm, this.parts.data).then(({ thread }) => thread)
    started.catch(() => undefined) // whoever needs it will see
    return started
  }
}

function failed(code: 'policy_timeout' | 'policy_error', message: string): ModuleAnswer {
  const nothing = { allow: false, deny: [], requireApproval: [], obligations: [] }
  return { ...nothing, error: { code, message } }
}

/** Reads the answers of OPA: `[{"result": value}]` for each entrypoint, `[]` for undefined. */
export function toAnswer(entrypoints: readonly string[], answer: OpaResults): ModuleAnswer {
  if (!answer.ok) return failed('policy_error', answer.message)
  const rules = new Map<string, Json>()
  for (const [at, entrypoint] of entrypoints.entries()) {
    const value = resultOf(answer.results[at])
    if (value === undefined) continue
    if (entrypoint !== 'agent') rules.set(entrypoint.slice('agent/'.length), value)
    else if (isObject(value)) for (const rule of RULES) addRule(rules, rule, value)
  }
  return readRules(rules)
}

function addRule(rules: Map<string, Json>, rule: string, all: JsonObject): void {
  const value = Object.hasOwn(all, rule) ? all[rule] : undefined
  if (value !== undefined && !rules.has(rule)) rules.set(rule, value)
}

function resultOf(set: Json | undefined): Json | undefined {
  const first: unknown = Array.isArray(set) ? set[0] : undefined
  return isObject(first as Json | undefined) ? (first as JsonObject)['result'] : undefined
}

/** Turns the values of the rules into an answer. What is misshapen never weakens it. */
export function readRules(rules: ReadonlyMap<string, Json>): ModuleAnswer {
  const deny = readReasons(rules.get('deny'), 'rego_deny')
  const hold = readReasons(rules.get('require_approval'), 'rego_require_approval')
  const obligations = readObligations(rules.get('obligations'))
  if (!deny || !hold || !obligations) {
    return failed('policy_error', 'deny, require_approval or obligations has the wrong shape')
  }
  return { allow: rules.get('allow') === true, deny, requireApproval: hold, obligations }
}

function readReasons(value: Json | undefined, code: string): readonly ModuleReason[] | undefined {
  if (value === undefined || value === false) return []
  if (value === true) return [{ code, message: code }]
  if (!Array.isArray(value)) return undefined
  return (value as readonly Json[]).map((one) => readReason(one, code))
}

const MESSAGE_LENGTH_MAX = 500

function readReason(value: Json, fallback: string): ModuleReason {
  if (typeof value === 'string')
    return { code: fallback, message: value.slice(0, MESSAGE_LENGTH_MAX) }
  const code = isObject(value) ? value['code'] : undefined
  const message = isObject(value) ? value['message'] : undefined
  const text = typeof message === 'string' ? message : JSON.stringify(value)
  const plain = typeof code === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(code)
  return { code: plain ? code : fallback, message: text.slice(0, MESSAGE_LENGTH_MAX) }
}

function readObligations(value: Json | undefined): readonly Obligation[] | undefined {
  if (value === undefined) return []
  if (!Array.isArray(value)) return undefined
  const all = (value as readonly Json[]).map(readObligation)
  return all.every((one): one is Obligation => one !== undefined) ? all : undefined
}

function readObligation(value: Json): Obligation | undefined {
  if (!isObject(value)) return undefined
  const { id, type, properties = {} } = value
  if (typeof type !== 'string' || !isObject(properties)) return undefined
  return { id: typeof id === 'string' ? id : type, type, properties }
}
