import { periodOf } from '../agents/counters.ts'
import type { Reservation } from '../model/decision.ts'
import type { CounterStand } from '../record/decision-facts.ts'

// Counters of a replay. The record says what each counter stood at when an action was decided, whoever had counted on it by
// then; what is kept here is only by how much decisions of the replay that came out otherwise have moved it since. So a
// policy that decides everything as it was decided meets exactly the counters that were met, and one that refuses the
// first of two mails meets one mail less. A counter that the record does not know (a new guard, or another length of its
// window) begins at zero, and is named. An approved action takes when it is approved, as it did.

/** As `agents/counters.ts` cuts a window. */
const SLOTS_PER_WINDOW = 12
/** Of counters that are remembered; beyond it those that were not asked for the longest begin anew. */
const COUNTERS_MAX = 100_000

/** What one action did to counters, by the record and in the replay. */
export interface Taking {
  readonly atMs: number
  readonly stands: readonly CounterStand[]
  readonly taken: readonly Reservation[]
  /** When it was executed after a person agreed; null: it was not held, or never executed. */
  readonly resumedMs: number | null
  /** Held in the replay too: then it takes what it took, when it did. */
  readonly isHeld: boolean
  /** It failed, so that its money was given back. */
  readonly isReleased: boolean
}

interface Moved {
  /** What was taken more than on record, by slot of a window; a budget has one slot a period. */
  readonly slots: Map<string, bigint>
  /** distinct: until when a member counts that the record does not have, or does not that it has. */
  readonly added: Map<string, number>
  readonly removed: Map<string, number>
  /** What the record said last. */
  base: { used: bigint; atMs: number } | undefined
}

interface Later {
  readonly atMs: number
  readonly stand: CounterStand
}

export class ReplayedCounters {
  readonly #moved = new Map<string, Moved>()
  readonly #unknown = new Set<string>()
  #later: Later[] = []
  #nowMs = 0
  #stands: ReadonlyMap<string, CounterStand> = new Map()
  #onRecord = false

  /** Counters that the record does not know, by the guard they belong to. */
  get begunAtZero(): readonly string[] {
    return [...this.#unknown]
  }

  /** Moves on to an action. */
  at(nowMs: number, stands: readonly CounterStand[]): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
    this.#stands = new Map(stands.map((one) => [idOf(one.key, one.span), one]))
    if (this.#later.length > 0) this.#catchUp()
  }

  /** The same with what the record says alone: whether it fits without what the replay changed. */
  asRecorded<T>(ask: () => T): T {
    this.#onRecord = true
    try {
      return ask()
    } finally {
      this.#onRecord = false
    }
  }

  crossings(): readonly [] {
    return []
  }

  fits(one: Reservation): boolean {
    const id = idOf(one.key, spanOf(one))
    const stand = this.#stands.get(id)
    if (one.kind === 'distinct') return this.#fitsDistinct(one, id, stand)
    return this.#base(id, one, stand) + this.#delta(id, one) + one.amount <= one.limit
  }

  /** Takes note of how an action came out. */
  settle({ atMs, stands, taken, resumedMs, isHeld, isReleased }: Taking): void {
    for (const stand of stands) {
      const moved = this.#of(idOf(stand.key, stand.span))
      moved.base = { used: stand.used + (stand.taken ? stand.amount : 0n), atMs }
      if (stand.kind === 'budget' && isReleased) continue
      if (stand.taken && stand.kind !== 'distinct') this.#move(stand, -1n, atMs)
      else if (!stand.taken && resumedMs !== null && stand.phase === 'effect' && !isHeld) {
        this.#later.push({ atMs: resumedMs, stand })
      }
    }
    for (const one of taken) {
      if (one.kind === 'distinct' || (one.kind === 'budget' && isReleased)) continue
      this.#move({ ...one, span: spanOf(one) }, 1n, atMs)
    }
    this.#settleMembers(stands, taken, atMs)
  }

  #settleMembers(
    stands: readonly CounterStand[],
    taken: readonly Reservation[],
    atMs: number,
  ): void {
    const isCounted = ({ kind }: { kind: string }) => kind === 'distinct'
    const known = new Map(
      stands.filter(isCounted).map((one) => [idOf(one.key, one.span), one] as const),
    )
    const takes = new Map(taken.filter(isCounted).map((one) => [idOf(one.key, spanOf(one)), one]))
    for (const id of new Set([...known.keys(), ...takes.keys()])) {
      const [stand, take] = [known.get(id), takes.get(id)]
      const all = stand?.members ?? take?.members ?? []
      const fresh = new Set(stand?.fresh ?? all)
      const untilMs = atMs + Number(stand?.span ?? take?.windowMs)
      moveMembers(this.#of(id), { all, fresh, untilMs }, stand?.taken ?? false, !!take)
    }
  }

  #base(id: string, one: Reservation, stand: CounterStand | undefined): bigint {
    if (stand) return stand.used
    const last = this.#moved.get(id)?.base
    if (!last) {
      this.#unknown.add(one.key.slice(0, one.key.indexOf(':')))
      return 0n
    }
    if (one.kind === 'budget') {
      return periodOf(one, last.atMs) === periodOf(one, this.#nowMs) ? last.used : 0n
    }
    return last.atMs > this.#nowMs - one.windowMs ? last.used : 0n
  }

  #delta(id: string, one: Reservation): bigint {
    const moved = this.#moved.get(id)
    if (this.#onRecord || !moved) return 0n
    if (one.kind === 'budget') return moved.slots.get(periodOf(one, this.#nowMs)) ?? 0n
    const oldest = slotAt(this.#nowMs, one.windowMs) - SLOTS_PER_WINDOW
    let sum = 0n
    for (const [slot, amount] of moved.slots) {
      if (Number(slot) >= oldest) sum += amount
      else moved.slots.delete(slot)
    }
    return sum
  }

  #fitsDistinct(one: Reservation, id: string, stand: CounterStand | undefined): boolean {
    const moved = this.#onRecord ? undefined : this.#moved.get(id)
    const isIn = (set: Map<string, number> | undefined, member: string) =>
      (set?.get(member) ?? 0) > this.#nowMs
    const added = countAfter(moved?.added, this.#nowMs)
    const removed = countAfter(moved?.removed, this.#nowMs)
    const known = this.#base(id, one, stand) + BigInt(added - removed)
    const unseen = stand ? new Set(stand.fresh) : new Set(one.members)
    const fresh = new Set(
      one.members.filter(
        (member) =>
          (unseen.has(member) && !isIn(moved?.added, member)) || isIn(moved?.removed, member),
      ),
    )
    return known + BigInt(fresh.size) <= one.limit
  }

  #move(
    stand: Pick<CounterStand, 'key' | 'span' | 'kind' | 'amount'>,
    sign: bigint,
    atMs: number,
  ): void {
    const moved = this.#of(idOf(stand.key, stand.span))
    const slot =
      stand.kind === 'budget'
        ? periodOf({ period: stand.span as 'day' }, atMs)
        : String(slotAt(atMs, Number(stand.span)))
    const amount = (moved.slots.get(slot) ?? 0n) + sign * stand.amount
    if (amount === 0n) moved.slots.delete(slot)
    else moved.slots.set(slot, amount)
  }

  #of(id: string): Moved {
    const known = this.#moved.get(id)
    if (known) {
      if (this.#moved.size < COUNTERS_MAX / 2) return known
      this.#moved.delete(id) // and in again as the last that was asked for
      this.#moved.set(id, known)
      return known
    }
    const made: Moved = { slots: new Map(), added: new Map(), removed: new Map(), base: undefined }
    this.#moved.set(id, made)
    if (this.#moved.size > COUNTERS_MAX) {
      const [first] = this.#moved.keys()
      if (first !== undefined) this.#moved.delete(first)
    }
    return made
  }

  // What took when a person agreed, and takes elsewhere or not at all in the replay.
  #catchUp(): void {
    const due = this.#later.filter(({ atMs }) => atMs <= this.#nowMs)
    if (due.length === 0) return
    this.#later = this.#later.filter(({ atMs }) => atMs > this.#nowMs)
    for (const { stand, atMs } of due) {
      if (stand.kind !== 'distinct') this.#move(stand, -1n, atMs)
      else {
        const { members: all, fresh, span } = stand
        const members = { all, fresh: new Set(fresh), untilMs: atMs + Number(span) }
        moveMembers(this.#of(idOf(stand.key, span)), members, true, false)
      }
    }
  }
}

const idOf = (key: string, span: string): string => `${span} ${key}`

const spanOf = ({ period, windowMs }: Reservation): string => period ?? String(windowMs)

const slotAt = (atMs: number, windowMs: number): number =>
  Math.floor(atMs / Math.max(1, Math.ceil(windowMs / SLOTS_PER_WINDOW)))

function countAfter(set: Map<string, number> | undefined, nowMs: number): number {
  if (!set) return 0
  for (const [member, untilMs] of set) if (untilMs <= nowMs) set.delete(member)
  return set.size
}

interface Members {
  readonly all: readonly string[]
  /** Those that the record did not know yet. */
  readonly fresh: ReadonlySet<string>
  readonly untilMs: number
}

function moveMembers(
  { added, removed }: Moved,
  { all, fresh, untilMs }: Members,
  isOnRecord: boolean,
  isTaken: boolean,
): void {
  for (const member of all) {
    if (isOnRecord && isTaken) {
      removed.delete(member)
      added.delete(member) // the record has it itself from here on
    } else if (isOnRecord) {
      if (fresh.has(member) && !added.delete(member)) removed.set(member, untilMs)
    } else if (!removed.delete(member) && fresh.has(member)) added.set(member, untilMs)
  }
}
