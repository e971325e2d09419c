import type { Action, Calls, DryRun, Held, Json, Performed } from './api.ts'
import { GateError } from './errors.ts'
import { type Gate, send, type Sending } from './send.ts'

/** A call of the API, as `METHOD /path`. */
export type CallName = keyof Calls

type Optional<Name extends string, Type> = object extends Type
  ? { readonly [name in Name]?: Type }
  : { readonly [name in Name]: Type }

/** What a call takes: its path's variables, its query and its body, as far as it has them. */
export type Given<Name extends CallName> = Optional<'path', Calls[Name]['path']> &
  Optional<'query', Calls[Name]['query']> &
  (undefined extends Calls[Name]['body']
    ? { readonly body?: Calls[Name]['body'] }
    : { readonly body: Calls[Name]['body'] }) &
  Sending

export interface ActOptions extends Sending {
  /** Why, in the agent's words; whoever approves reads it. */
  readonly reason?: string
  readonly context?: Readonly<Record<string, Json>>
  readonly resource?: { readonly type: string; readonly id: string }
  readonly cost?: string | number
}

export interface WaitOptions {
  /** How long at most; 10 minutes if not said. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface GuardOptions extends ActOptions, WaitOptions {
  /** Told when a person has to approve, before the wait for it begins. */
  readonly onHeld?: (held: Held) => void | Promise<void>
}

const TIMEOUT_MS = 600_000
/** The longest that one question may wait for an answer. */
const WAIT_S_MAX = 60

/** Calls a gate: as an agent with `act`, `wait` and `guard`, and for everything else by the name of the call. */
export class Portcullis {
  readonly #gate: Gate

  constructor(gate: Gate) {
    this.#gate = gate
  }

  /** Any call of the API. @throws GateError */
  async call<Name extends CallName>(
    name: Name,
    ...[given]: object extends Given<Name> ? [given?: Given<Name>] : [given: Given<Name>]
  ): Promise<Calls[Name]['answer']> {
    const [method = '', template = ''] = name.split(' ')
    const { path = {}, query = {}, body, ...sending } = (given ?? {}) as LooselyGiven
    const route = address(template, path, query)
    return (await send(this.#gate, method, route, body, sending)) as Calls[Name]['answer']
  }

  /** One action: carried out, or held until a person approves. @throws GateError where it is refused */
  async act(
    tool: string,
    args: object = {},
    { idempotencyKey, signal, ...more }: ActOptions = {},
  ): Promise<Performed | Held> {
    const sending = { ...(idempotencyKey && { idempotencyKey }), ...(signal && { signal }) }
    const body = { tool, args, ...more }
    return (await send(this.#gate, 'POST', '/act', body, sending)) as Performed | Held
  }

  /** What would be decided, without doing it. @throws GateError where it could not even be asked */
  async check(tool: string, args: object = {}, options: ActOptions = {}): Promise<DryRun> {
    const { idempotencyKey: _, signal, ...more } = options
    const body = { tool, args, ...more, dry_run: true }
    return (await send(this.#gate, 'POST', '/act', body, signal ? { signal } : {})) as DryRun
  }

  /** An action once it is final, or as it stands when the time is up: `status` tells. @throws GateError */
  async wait(
    action: string | Held,
    { timeoutMs = TIMEOUT_MS, signal }: WaitOptions = {},
  ): Promise<Action> {
    const id = typeof action === 'string' ? action : action.action_id
    const until = Date.now() + timeoutMs
    for (;;) {
      const leftS = Math.max(0, Math.ceil((until - Date.now()) / 1000))
      const found = await this.call('GET /actions/{id}', {
        path: { id },
        query: { wait_s: Math.min(leftS, WAIT_S_MAX) },
        ...(signal && { signal }),
      })
      const isOpen = found.status === 'held' || found.status === 'executing'
      if (!isOpen || Date.now() >= until) return found
    }
  }

  /**
   * A function that does what the tool does, through the gate: it answers with the body that the upstream answered with,
   * after the wait for an approval where one is needed.
   * @throws GateError when it is refused, denied, or fails; its message is fit for a model to read
   */
  guard<Args extends object = Readonly<Record<string, Json>>, Answer extends Json = Json>(
    tool: string,
    options: GuardOptions = {},
  ): (args: Args) => Promise<Answer> {
    const { timeoutMs, onHeld, ...acting } = options
    const waiting = {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(acting.signal && { signal: acting.signal }),
    }
    return async (args) => {
      const first = await this.act(tool, args, acting)
      if (first.decision === 'allow')
        return bodyOf(tool, { ...first, id: first.action_id }) as Answer
      await onHeld?.(first)
      return bodyOf(tool, await this.wait(first, waiting)) as Answer
    }
  }
}

interface LooselyGiven extends Sending {
  readonly path?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

function address(
  template: string,
  path: Readonly<Record<string, string>>,
  query: Readonly<Record<string, unknown>>,
): string {
  const route = template.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(path[name] ?? ''),
  )
  const members = Object.entries(query).filter(([, value]) => value !== undefined)
  if (members.length === 0) return route
  const text = members.map(([name, value]) => [name, [value].flat().join(',')])
  return `${route}?${new URLSearchParams(text as [string, string][]).toString()}`
}

type Ended = Pick<Action, 'id' | 'status' | 'result' | 'error' | 'approval'>

function bodyOf(tool: string, { id, status, result, error, approval }: Ended): Json {
  if (status === 'succeeded') return result?.body ?? null
  const by = approval?.decided_by ? ` by ${approval.decided_by}` : ''
  const why = [error?.message, approval?.reason].find((text) => text)
  const answer = result
    ? `: the upstream answers ${result.status} ${JSON.stringify(result.body)}`
    : ''
  const message = `${tool} is ${status}${by}${why ? `: ${why}` : answer}`
  throw new GateError(`action_${status}`, message, { actionId: id })
}
