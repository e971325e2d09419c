import { sha256 } from '../lib/canonical.ts'
import type { Facts } from '../model/facts.ts'
import type { Db } from '../store/tx.ts'

// What a decision was judged by beside its request: the agent as it was, the answers of look-ups, the time, the agent's
// limits, and what each counter stood at. It is written with the action and never changed, so that the same request
// can be decided again later by another policy, and so that nobody has to guess what was true then.

/** Look-ups may be as large as an upstream's answer; that much is not kept twice. */
const FACTS_CHARS_MAX = 32_768

/** A counter as an action found it. */
export interface CounterStand {
  readonly key: string
  /** What it is counted in: milliseconds of a window, or the period of a budget. */
  readonly span: string
  readonly kind: 'budget' | 'window' | 'distinct'
  readonly phase: 'request' | 'effect'
  readonly used: bigint
  readonly amount: bigint
  /** Whether the action took it at once. */
  readonly taken: boolean
  /** distinct: its members, and which of them were new. */
  readonly members: readonly string[]
  readonly fresh: readonly string[]
}

/** What was known when an action was decided. */
export interface DecisionFacts {
  readonly facts: Facts
  /** By the ledger, at that moment; null where it knew no such agent. */
  readonly limits: { readonly monthly: bigint | null; readonly perAction: bigint | null } | null
  readonly counters: readonly CounterStand[]
  /** Nobody would have come back for it. */
  readonly cannotBeHeld: boolean
  /** It came with files, whose contents are not on record. */
  readonly hasFiles: boolean
  /** Some of it is on record as digests only. */
  readonly isMasked: boolean
}

/** The same as it is stored. */
interface StoredFacts {
  readonly at: number
  readonly agent: Facts['agent']
  readonly lookups?: Facts['lookups']
  readonly unavailable?: Facts['unavailable']
  readonly limits?: readonly [string | null, string | null] | null
  readonly counters?: readonly StoredStand[]
  readonly cannot_be_held?: true
  readonly files?: true
  readonly masked?: true
}

type StoredStand = readonly [
  kind: string,
  phase: string,
  key: string,
  span: string,
  used: string,
  amount: string,
  taken: 0 | 1,
  members?: readonly string[],
  fresh?: readonly string[],
]

/** As an action keeps it; of what is too large, that it was, with its digest. */
export function factsText(known: DecisionFacts): string {
  const { facts, limits, counters, cannotBeHeld, hasFiles, isMasked } = known
  const { id, name, owner, roles, status, properties } = facts.agent
  const stored: StoredFacts = {
    at: facts.nowMs,
    agent: { id, name, owner, roles, status, properties },
    ...(isEmpty(facts.lookups) ? {} : { lookups: facts.lookups }),
    ...(isEmpty(facts.unavailable) ? {} : { unavailable: facts.unavailable }),
    ...(limits?.monthly === null && limits.perAction === null
      ? {}
      : { limits: limits && [textOf(limits.monthly), textOf(limits.perAction)] }),
    ...(counters.length === 0 ? {} : { counters: counters.map(storedStand) }),
    ...(cannotBeHeld ? { cannot_be_held: true } : {}),
    ...(hasFiles ? { files: true } : {}),
    ...(isMasked ? { masked: true } : {}),
  }
  const text = JSON.stringify(stored)
  if (text.length <= FACTS_CHARS_MAX) return text
  return JSON.stringify({ partial: 'size', sha256: sha256(text) })
}

const isEmpty = (one: object): boolean => Object.keys(one).length === 0
const textOf = (one: bigint | null): string | null => (one === null ? null : String(one))
const bigintOf = (one: string | null): bigint | null => (one === null ? null : BigInt(one))

function storedStand(one: CounterStand): StoredStand {
  const { kind, phase, key, span, used, amount, taken, members, fresh } = one
  const base = [kind, phase, key, span, String(used), String(amount), taken ? 1 : 0] as const
  return members.length === 0 ? base : [...base, members, fresh]
}

/** What was stored; why nothing can be made of it, where nothing can. */
export function readFacts(text: string): DecisionFacts | 'not_recorded' | 'too_large' {
  if (text === '') return 'not_recorded'
  const stored = JSON.parse(text) as StoredFacts & { readonly partial?: string }
  if (stored.partial !== undefined) return 'too_large'
  const { at, agent, lookups = {}, unavailable = {}, counters = [] } = stored
  const limits = stored.limits === undefined ? ([null, null] as const) : stored.limits
  return {
    facts: { nowMs: at, agent, lookups, unavailable },
    limits: limits && { monthly: bigintOf(limits[0]), perAction: bigintOf(limits[1]) },
    counters: counters.map(standOf),
    cannotBeHeld: stored.cannot_be_held ?? false,
    hasFiles: stored.files ?? false,
    isMasked: stored.masked ?? false,
  }
}

const standOf = ([kind, phase, key, span, used, amount, taken, members, fresh]: StoredStand) => ({
  kind: kind as CounterStand['kind'],
  phase: phase as CounterStand['phase'],
  key,
  span,
  used: BigInt(used),
  amount: BigInt(amount),
  taken: taken === 1,
  members: members ?? [],
  fresh: fresh ?? [],
})

/** What the first decision of an action saw; null: too much to keep; undefined: it was not kept. */
export async function factsOfAction(db: Db, id: string): Promise<Facts | null | undefined> {
  const [row] = await db.query<{ facts: string }>('select facts from actions where id = $1', [id])
  const read = readFacts(row?.facts ?? '')
  if (typeof read === 'object') return read.facts
  return read === 'too_large' ? null : undefined
}
