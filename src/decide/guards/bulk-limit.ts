import type { Reason, Reservation } from '../../model/decision.ts'
import type { Json } from '../../model/json.ts'
import type {
  CompileContext,
  GuardInput,
  GuardKind,
  GuardSpec,
  PointerReader,
} from '../../bundle/types.ts'
import { effectOf, reasonOf, says } from '../answers.ts'
import { counterKey, type Scope } from '../counters.ts'
import { reservationOf, windowOf } from '../reservation.ts'
import {
  canonicalRecipient,
  declaredRecipients,
  memberDigest,
  readersByTool,
  valuesAt,
} from '../recipients.ts'

interface WindowConfig {
  readonly count: 'actions' | 'items' | 'recipients'
  readonly limit: number
  readonly per_s: number
  readonly scope?: Scope
}

interface Config {
  readonly max_items?: number
  readonly windows?: readonly WindowConfig[]
}

type Readers = ReadonlyMap<string, readonly PointerReader[]>
type Taker = (input: GuardInput, items: number) => Reservation

/** Items in one action; actions, items or distinct recipients in a sliding window. */
export const bulkLimit: GuardKind = { kind: 'bulk_limit', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const config = spec.config as unknown as Config
  const items = readersByTool(context, (tool) => (tool.items === null ? [] : [tool.items]))
  const recipients = declaredRecipients(context)
  checkCountable(config, spec, context)
  const takers = (config.windows ?? []).map((window) => takerFor(spec, window, recipients))
  const effect = effectOf(spec)
  const max = config.max_items ?? Number.POSITIVE_INFINITY
  const tooMany = reasonOf(spec, effect, 'too_many_items', `more than ${max} items in one action`)
  const uncountable = reasonOf(spec, 'deny', 'items_uncountable', 'items cannot be counted')
  return (input: GuardInput) => {
    const count = countItems(
      items.get(input.request.action.name)?.[0],
      input.request.action.properties,
    )
    if (count === undefined) return says([uncountable], { items: '(not countable)' })
    const reasons: Reason[] = count > max ? [tooMany] : []
    return says(
      reasons,
      { items: count },
      takers.map((take) => take(input, count)),
    )
  }
}

// A window over recipients of a tool that declares none would never fill.
function checkCountable(config: Config, spec: GuardSpec, context: CompileContext): void {
  if (spec.tools === null) return
  for (const [index, window] of (config.windows ?? []).entries()) {
    const silent = context.subjectTools.find(
      (tool) => window.count === 'recipients' && tool.recipients.length === 0,
    )
    if (!silent) continue
    const message = `tool \`${silent.name}\` declares no \`recipients\`, so nothing would be counted`
    context.report(['windows', index, 'count'], 'nothing_to_check', message)
  }
}

function countItems(read: PointerReader | undefined, args: Json): number | undefined {
  const value = read?.(args)
  if (value === undefined || value === null) return 1
  if (Array.isArray(value)) return value.length
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function takerFor(spec: GuardSpec, window: WindowConfig, recipients: Readers): Taker {
  const { count, limit, per_s: perS, scope = 'agent' } = window
  const message = `more than ${limit} ${count} in ${perS} s`
  const kind = count === 'recipients' ? 'distinct' : 'window'
  const exceeded = reasonOf(spec, effectOf(spec), `bulk_${count}`, message)
  const fixed = windowOf(spec, { kind, phase: 'effect', limit, perS, exceeded })
  return (input, items) => {
    const members = count === 'recipients' ? membersOf(input, recipients) : []
    const amount = count === 'actions' ? 1 : count === 'items' ? items : members.length
    const key = counterKey(spec, scope, input, `${count}:${perS}`)
    return reservationOf(fixed, key, BigInt(amount), members)
  }
}

const PLAIN = { ids: true, stripPlusTags: false, ignoreDots: false }

// Something unreadable still counts as someone: it must not slip under the limit.
function membersOf({ request }: GuardInput, readers: Readers): readonly string[] {
  const values = valuesAt(readers.get(request.action.name) ?? [], request.action.properties)
  const members = values.map((value) =>
    memberDigest(canonicalRecipient(value, PLAIN)?.canonical ?? JSON.stringify(value)),
  )
  return [...new Set(members)]
}
