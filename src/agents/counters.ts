import type { Reservation } from '../model/decision.ts'
import { bigintArray, intArray, textArray } from '../store/arrays.ts'
import { ahead, type Tx } from '../store/tx.ts'

// What a batch counts. A sliding window is a row for each twelfth of its length, and one twelfth more is counted
// than the window has, so that the sum is never too small. A row is named by when its twelfth ends, whatever the length,
// so that two policies that give one window two lengths (one that was published, a canary) count each other's. Of distinct recipients the members themselves are kept,
// since one that was written to before takes nothing. A budget is money: what is spent and what is only reserved
// count alike, and the row refuses to go over its limit by itself, so that a mistake here loses a batch and not
// the bound. All of it is read once for the batch, taken from in memory in the order of the claims, and written
// once.

/** Sub-buckets a sliding window is counted in; one extra makes the count never too small. */
const SLOTS_PER_WINDOW = 12
/** Ends of twelfths are larger; numbers of the shortest twelfth there may be, of a second's, are smaller for centuries. */
const OLD_SLOTS_BELOW = 100_000_000_000
const EPOCH_DATE = '1970-01-01'

/** Money of a budget that is reserved for an action until its outcome is known. */
export interface Charge {
  readonly key: string
  readonly periodStart: string
  readonly amount: string
}

/** A soft threshold that a reservation crossed, once a period. */
export interface Crossing {
  readonly key: string
  readonly percent: number
  readonly limit: bigint
  readonly used: bigint
}

interface BudgetState {
  readonly key: string
  readonly periodStart: string
  used: bigint
  added: bigint
  limit: bigint
  alertedPercent: number
}

interface WindowState {
  readonly key: string
  readonly windowMs: number
  /** When the twelfth of now ends, in ms since the epoch. */
  readonly slot: bigint
  readonly expiresAt: Date
  used: bigint
  added: bigint
}

interface DistinctState {
  readonly key: string
  readonly expiresAt: Date
  readonly members: Set<string>
  readonly touched: Set<string>
}

/** What a simulated counter begins at: money in micro-units, or a count. */
export type CounterStart = (key: string, isMoney: boolean) => bigint

/**
 * Budgets, windows and distinct counts of one ledger batch: read once, checked and taken in memory
 * in order, written once. Batches do not overlap, so nothing can slip in between.
 */
export class Counters {
  readonly #nowMs: number
  readonly #budgets = new Map<string, BudgetState>()
  /** By key: one for each length that it is asked about with. */
  readonly #windows = new Map<string, WindowState[]>()
  readonly #distinct = new Map<string, DistinctState>()

  #start: CounterStart = () => 0n

  private constructor(nowMs: number) {
    this.#nowMs = nowMs
  }

  /** Sends the reads of windows and distinct counts, which may travel ahead; budgets are settled by others of the batch. */
  static begin(tx: Tx, reservations: readonly Reservation[]): CountersRead {
    const ofKind = (kind: Reservation['kind']) => reservations.filter((one) => one.kind === kind)
    return {
      windows: ahead(readWindows(tx, ofKind('window'))),
      members: ahead(readMembers(tx, ofKind('distinct'))),
    }
  }

  static async load(
    tx: Tx,
    reservations: readonly Reservation[],
    begun: CountersRead = Counters.begin(tx, reservations),
  ): Promise<Counters> {
    const counters = new Counters(tx.nowMs)
    const budgets = ahead(
      counters.#loadBudgets(
        tx,
        reservations.filter(({ kind }) => kind === 'budget'),
      ),
    )
    for (const one of reservations) {
      if (one.kind === 'window') counters.#addWindow(one)
      else if (one.kind === 'distinct') counters.#addDistinct(one)
    }
    for (const { key, slotMs, used } of await begun.windows) {
      for (const window of counters.#windows.get(key) ?? []) {
        if (String(slotMsOf(window.windowMs)) === slotMs) window.used = BigInt(used)
      }
    }
    for (const { key, member } of await begun.members) {
      counters.#distinct.get(key)?.members.add(member)
    }
    await budgets
    return counters
  }

  /**
   * Counters that nothing is read into and nothing written from: for playing a scenario. `start` says
   * what a counter stands at when it is first needed.
   */
  static simulated(nowMs: number, start: CounterStart): Counters {
    const counters = new Counters(nowMs)
    counters.#start = start
    return counters
  }

  /** Makes the counters of these reservations known, where they are not yet. */
  prepare(reservations: readonly Reservation[]): void {
    for (const one of reservations) {
      if (one.kind === 'window' && !this.#knownWindow(one)) {
        this.#addWindow(one).used = this.#start(one.key, false)
      } else if (one.kind === 'distinct' && !this.#distinct.has(one.key)) {
        const { members } = this.#addDistinct(one)
        const begun = this.#start(one.key, false) // who they are is not known, and does not matter
        for (let n = begun < one.limit ? begun : one.limit; n > 0n; n--) members.add(`#${n}`)
      } else if (one.kind === 'budget' && !this.#budgets.has(budgetId(one, this.#nowMs))) {
        this.#addBudget(one).used = this.#start(one.key, true)
      }
    }
  }

  fits(reservation: Reservation): boolean {
    const { key, limit, amount, members } = reservation
    switch (reservation.kind) {
      case 'budget':
        return this.#budget(reservation).used + amount <= limit
      case 'window':
        return this.#window(reservation).used + amount <= limit
      case 'distinct': {
        const known = this.#distinctState(key).members
        const added = new Set(members.filter((member) => !known.has(member)))
        return BigInt(known.size + added.size) <= limit
      }
    }
  }

  /** What a counter stands at before this is taken, and which of its members are new. */
  stand(reservation: Reservation): { readonly used: bigint; readonly fresh: readonly string[] } {
    if (reservation.kind === 'budget') return { used: this.#budget(reservation).used, fresh: [] }
    if (reservation.kind === 'window') return { used: this.#window(reservation).used, fresh: [] }
    const { members } = this.#distinctState(reservation.key)
    const fresh = new Set(reservation.members.filter((member) => !members.has(member)))
    return { used: BigInt(members.size), fresh: [...fresh] }
  }

  /** What a budget has reserved and settled by now, in micro-units. */
  used(reservation: Reservation): bigint {
    return this.#budget(reservation).used
  }

  /** Takes it; of a budget, as a charge. A budget must fit (the database refuses otherwise); windows count even beyond. */
  take(reservation: Reservation): Charge | undefined {
    const { key, amount, members } = reservation
    if (reservation.kind === 'budget') return this.#takeBudget(reservation)
    if (reservation.kind === 'window') {
      this.#window(reservation).added += amount
      for (const window of this.#windows.get(key) ?? []) window.used += amount
      return undefined
    }
    const state = this.#distinctState(key)
    for (const member of members) {
      state.members.add(member)
      state.touched.add(member)
    }
    return undefined
  }

  /** Takes all of these; answers what is charged for them. */
  takeAll(reservations: readonly Reservation[]): readonly Charge[] {
    return reservations.flatMap((one) => this.take(one) ?? [])
  }

  /** Whether it would fit if nobody had taken anything: then it is a matter of time. */
  static fitsAlone({ kind, amount, limit, members }: Reservation): boolean {
    if (kind === 'budget') return false // a period may be long, and a person can raise it
    return kind === 'window' ? amount <= limit : BigInt(new Set(members).size) <= limit
  }

  /**
   * When each of these, which do not fit at the moment, will fit if nobody takes more; ms since the epoch, by
   * reservation. Asked after `flush`, so that what this batch took counts.
   */
  async opensAt(tx: Tx, reservations: readonly Reservation[]): Promise<Map<Reservation, number>> {
    const openings = new Map<Reservation, number>()
    const waiting = reservations.filter((one) => Counters.fitsAlone(one))
    const windows = waiting.filter(({ kind }) => kind === 'window')
    if (windows.length > 0) {
      const rows = await tx.query<{ key: string; slot: bigint; amount: bigint }>(SLOTS, [
        [...new Set(windows.map(({ key }) => key))],
        this.#nowMs - Math.max(...windows.map(({ windowMs }) => countedMs(windowMs))),
      ])
      for (const one of windows) openings.set(one, windowOpens(one, rows, this.#nowMs))
    }
    const distinct = waiting.filter(({ kind }) => kind === 'distinct')
    if (distinct.length > 0) {
      const rows = await tx.query<{ key: string; member: string; at: Date }>(MEMBERS_BY_AGE, [
        distinct.map(({ key }) => key),
        distinct.map(({ windowMs }) => new Date(this.#nowMs - windowMs)),
      ])
      for (const one of distinct) openings.set(one, distinctOpens(one, rows, this.#nowMs))
    }
    return openings
  }

  flush(tx: Tx): void {
    this.#flushWindows(tx)
    this.#flushDistinct(tx)
    this.#flushBudgets(tx)
  }

  #budget(reservation: Reservation): BudgetState {
    const state = this.#budgets.get(budgetId(reservation, this.#nowMs))
    if (!state) throw new Error(`budget ${reservation.key} was not loaded`)
    return state
  }

  #window(reservation: Reservation): WindowState {
    const state = this.#knownWindow(reservation)
    if (!state) throw new Error(`window ${reservation.key} was not loaded`)
    return state
  }

  #knownWindow({ key, windowMs }: Reservation): WindowState | undefined {
    return this.#windows.get(key)?.find((one) => one.windowMs === windowMs)
  }

  #distinctState(key: string): DistinctState {
    const state = this.#distinct.get(key)
    if (!state) throw new Error(`distinct count ${key} was not loaded`)
    return state
  }

  /** The soft thresholds that taking this would cross, once a period. */
  crossings(reservation: Reservation): readonly Crossing[] {
    if (reservation.kind !== 'budget' || reservation.thresholds.length === 0) return []
    const { limit, amount, thresholds } = reservation
    const state = this.#budget(reservation)
    const used = state.used + amount
    const percent = limit === 0n ? 100 : Number((used * 100n) / limit)
    return thresholds
      .filter((share) => share <= percent && share > state.alertedPercent)
      .map((share) => ({ key: state.key, percent: share, limit, used }))
  }

  #takeBudget(reservation: Reservation): Charge {
    const state = this.#budget(reservation)
    const { limit, amount } = reservation
    const crossed = this.crossings(reservation).map(({ percent }) => percent)
    state.alertedPercent = Math.max(state.alertedPercent, ...crossed)
    state.used += amount
    state.added += amount
    state.limit = limit
    return { key: state.key, periodStart: state.periodStart, amount: String(amount) }
  }

  #addWindow(reservation: Reservation): WindowState {
    const known = this.#knownWindow(reservation)
    if (known) return known
    const { key, windowMs } = reservation
    const slotMs = slotMsOf(windowMs)
    const expiresAt = new Date(this.#nowMs + windowMs + 2 * Number(slotMs))
    const slot = (BigInt(this.#nowMs) / slotMs + 1n) * slotMs
    const state = { key, windowMs, slot, expiresAt, used: 0n, added: 0n }
    this.#windows.set(key, [...(this.#windows.get(key) ?? []), state])
    return state
  }

  #addDistinct({ key, windowMs }: Reservation): DistinctState {
    const expiresAt = new Date(this.#nowMs + windowMs)
    const state = { key, expiresAt, members: new Set<string>(), touched: new Set<string>() }
    this.#distinct.set(key, state)
    return state
  }

  #addBudget(reservation: Reservation): BudgetState {
    const { key, limit } = reservation
    const periodStart = periodOf(reservation, this.#nowMs)
    const state = { key, periodStart, used: 0n, added: 0n, limit, alertedPercent: 0 }
    this.#budgets.set(budgetId(reservation, this.#nowMs), state)
    return state
  }

  async #loadBudgets(tx: Tx, reservations: readonly Reservation[]): Promise<void> {
    if (reservations.length === 0) return
    for (const reservation of reservations) this.#addBudget(reservation)
    const states = [...this.#budgets.values()]
    const rows = await tx.query<{ id: string; used: bigint; alerted: number }>(LOAD_BUDGETS, [
      states.map(({ key }) => key),
      states.map(({ periodStart }) => periodStart),
    ])
    for (const { id, used, alerted } of rows) {
      const state = this.#budgets.get(id)
      if (state) Object.assign(state, { used, alertedPercent: alerted })
    }
  }

  #flushWindows(tx: Tx): void {
    const changed = atOneEndEach(
      [...this.#windows.values()].flat().filter(({ added }) => added > 0n),
    )
    if (changed.length === 0) return
    tx.send(ADD_WINDOWS, [
      textArray(changed.map(({ key }) => key)),
      bigintArray(changed.map(({ slot }) => slot)),
      bigintArray(changed.map(({ added }) => added)),
      changed.map(({ expiresAt }) => expiresAt),
    ])
  }

  #flushDistinct(tx: Tx): void {
    const rows = [...this.#distinct.values()].flatMap(({ key, expiresAt, touched }) =>
      [...touched].map((member) => ({ key, member, expiresAt })),
    )
    if (rows.length === 0) return
    tx.send(ADD_MEMBERS, [
      textArray(rows.map(({ key }) => key)),
      textArray(rows.map(({ member }) => member)),
      rows.map(({ expiresAt }) => expiresAt),
      new Date(this.#nowMs),
    ])
  }

  #flushBudgets(tx: Tx): void {
    const changed = [...this.#budgets.values()].filter(({ added }) => added > 0n)
    if (changed.length === 0) return
    tx.send(RESERVE_BUDGETS, [
      textArray(changed.map(({ key }) => key)),
      textArray(changed.map(({ periodStart }) => periodStart)),
      bigintArray(changed.map(({ limit }) => limit)),
      bigintArray(changed.map(({ added }) => added)),
      intArray(changed.map(({ alertedPercent }) => alertedPercent)),
      changed.length,
    ])
  }
}

/** What `Counters.begin` asked for. */
export interface CountersRead {
  readonly windows: Promise<
    readonly { readonly key: string; readonly slotMs: string; readonly used: string }[]
  >
  readonly members: Promise<readonly { readonly key: string; readonly member: string }[]>
}

function readWindows(tx: Tx, reservations: readonly Reservation[]): CountersRead['windows'] {
  const lengths = reservations.map(({ key, windowMs }) => ({ key, slotMs: slotMsOf(windowMs) }))
  const asked = [...new Map(lengths.map((one) => [`${one.slotMs} ${one.key}`, one])).values()]
  if (asked.length === 0) return Promise.resolve([])
  return tx.query(LOAD_WINDOWS, [
    textArray(asked.map(({ key }) => key)),
    bigintArray(asked.map(({ slotMs }) => slotMs)),
  ])
}

// One statement inserts no row twice: two lengths whose twelfths end at the same moment share theirs.
function atOneEndEach(windows: readonly WindowState[]): readonly WindowState[] {
  const rows = new Map<string, WindowState>()
  for (const one of windows) {
    const id = `${one.slot} ${one.key}`
    const known = rows.get(id)
    const expiresAt = known && known.expiresAt > one.expiresAt ? known.expiresAt : one.expiresAt
    rows.set(id, { ...one, expiresAt, added: one.added + (known?.added ?? 0n) })
  }
  return [...rows.values()]
}

function readMembers(tx: Tx, reservations: readonly Reservation[]): CountersRead['members'] {
  const windows = new Map(reservations.map(({ key, windowMs }) => [key, BigInt(windowMs)]))
  if (windows.size === 0) return Promise.resolve([])
  return tx.query(LOAD_MEMBERS, [
    textArray([...windows.keys()]),
    bigintArray([...windows.values()]),
  ])
}

const slotMsOf = (windowMs: number): bigint =>
  BigInt(Math.max(1, Math.ceil(windowMs / SLOTS_PER_WINDOW)))

/** How long what was taken counts after its twelfth has ended. */
const countedMs = (windowMs: number): number => SLOTS_PER_WINDOW * Number(slotMsOf(windowMs))

// A slot counts until the window has wholly passed it.
function windowOpens(
  { key, amount, limit, windowMs }: Reservation,
  rows: readonly { key: string; slot: bigint; amount: bigint }[],
  nowMs: number,
): number {
  const counted = countedMs(windowMs)
  const own = rows.filter((row) => row.key === key && Number(row.slot) > nowMs - counted)
  let over = own.reduce((sum, row) => sum + row.amount, 0n) + amount - limit
  for (const row of own) {
    over -= row.amount
    if (over <= 0n) return Number(row.slot) + counted
  }
  return nowMs
}

function distinctOpens(
  { key, members, limit, windowMs }: Reservation,
  rows: readonly { key: string; member: string; at: Date }[],
  nowMs: number,
): number {
  const asked = new Set(members)
  const others = rows.filter((row) => row.key === key && !asked.has(row.member))
  const leaving = others[others.length + asked.size - Number(limit) - 1]
  return leaving ? leaving.at.getTime() + windowMs : nowMs
}

/** What becomes of a charge. `spent` settles less than was charged and gives the rest back. */
export interface Settlement extends Charge {
  readonly outcome: 'settle' | 'release'
  readonly spent?: bigint | undefined
}

/** What becomes of all charges of an action, which its row has as text. */
export const settlementsOf = (
  { reserved }: { readonly reserved: string },
  outcome: Settlement['outcome'],
  spent?: bigint,
): readonly Settlement[] =>
  (JSON.parse(reserved) as Charge[]).map((charge) => ({ ...charge, outcome, spent }))

/** What is spent of the charge to one budget of an action, of which the upstream says what it came to. */
export function spentOf(
  { reserved }: { readonly reserved: string },
  key: string,
  spent: bigint,
): bigint {
  const charge = (JSON.parse(reserved) as Charge[]).find((one) => one.key === key)
  return charge ? settledPart({ ...charge, outcome: 'settle', spent }, BigInt(charge.amount)) : 0n
}

/** Turns charges into spent money (`settle`) or gives them back (`release`). */
export function settleBudgets(tx: Tx, charges: readonly Settlement[]): void {
  const totals = new Map<string, { charge: Charge; settle: bigint; all: bigint }>()
  for (const charge of charges) {
    const id = `${charge.key}@${charge.periodStart}`
    const total = totals.get(id) ?? { charge, settle: 0n, all: 0n }
    const amount = BigInt(charge.amount)
    totals.set(id, {
      charge,
      settle: total.settle + settledPart(charge, amount),
      all: total.all + amount,
    })
  }
  if (totals.size === 0) return
  const rows = [...totals.values()]
  tx.send(SETTLE_BUDGETS, [
    textArray(rows.map(({ charge }) => charge.key)),
    textArray(rows.map(({ charge }) => charge.periodStart)),
    bigintArray(rows.map(({ all }) => all)),
    bigintArray(rows.map(({ settle }) => settle)),
  ])
}

// Never more than was charged: the limit holds whatever an upstream says it cost.
function settledPart({ outcome, spent }: Settlement, amount: bigint): bigint {
  if (outcome === 'release') return 0n
  return spent === undefined || spent > amount ? amount : spent
}

/** Removes counters that no window reaches any more. */
export async function sweepCounters(tx: Tx): Promise<void> {
  const now = new Date(tx.nowMs)
  await tx.query('delete from window_counts where expires_at < $1', [now])
  await tx.query('delete from window_members where expires_at < $1', [now])
}

function budgetId(reservation: Reservation, nowMs: number): string {
  return `${reservation.key}@${periodOf(reservation, nowMs)}`
}

/** First day of the budget period that `nowMs` falls in, UTC, as `YYYY-MM-DD`. */
export function periodOf(reservation: Pick<Reservation, 'period'>, nowMs: number): string {
  const date = new Date(nowMs).toISOString().slice(0, 10)
  if (reservation.period === 'day') return date
  return reservation.period === 'month' ? `${date.slice(0, 7)}-01` : EPOCH_DATE
}

// A gate of a version before numbers its rows by twelfths of its own length, which are small numbers: what it wrote, and
// writes beside this one during an upgrade, counts for the same length as ever.
const LOAD_WINDOWS = `select key, slot_ms::text as "slotMs", sum(amount)::text as used from (
    select q.key, q.slot_ms, c.amount
    from unnest($1::text[], $2::bigint[]) as q (key, slot_ms)
    join window_counts c on c.key = q.key
      and c.slot > (extract(epoch from ledger_now()) * 1000)::bigint - ${SLOTS_PER_WINDOW} * q.slot_ms
    union all
    select q.key, q.slot_ms, c.amount
    from unnest($1::text[], $2::bigint[]) as q (key, slot_ms)
    join window_counts c on c.key = q.key
      and c.slot >= (extract(epoch from ledger_now()) * 1000)::bigint / q.slot_ms - ${SLOTS_PER_WINDOW}
      and c.slot < ${OLD_SLOTS_BELOW}
  ) as counted
  group by key, slot_ms`

const LOAD_MEMBERS = `select q.key, m.member
  from unnest($1::text[], $2::bigint[]) as q (key, window_ms)
  join window_members m on m.key = q.key
    and m.last_at > ledger_now() - q.window_ms * interval '1 ms'`

const SLOTS = `select c.key, c.slot, c.amount
  from window_counts c where c.key = any($1::text[]) and c.slot > $2::bigint
  order by c.slot`

const MEMBERS_BY_AGE = `select m.key, m.member, m.last_at as at
  from unnest($1::text[], $2::timestamptz[]) as q (key, since)
  join window_members m on m.key = q.key and m.last_at > q.since
  order by m.last_at`

const LOAD_BUDGETS = `select b.key || '@' || b.period_start::text as id,
    b.settled + b.reserved as used, b.alerted_percent as alerted
  from unnest($1::text[], $2::text[]) as q (key, period_start)
  join budgets b on b.key = q.key and b.period_start = q.period_start::date`

const ADD_WINDOWS = `insert into window_counts (key, slot, amount, expires_at)
  select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[])
  on conflict (key, slot) do update set amount = window_counts.amount + excluded.amount,
    expires_at = greatest(window_counts.expires_at, excluded.expires_at)`

const ADD_MEMBERS = `insert into window_members (key, member, expires_at, last_at)
  select key, member, expires_at, $4::timestamptz
  from unnest($1::text[], $2::text[], $3::timestamptz[]) as m (key, member, expires_at)
  on conflict (key, member) do update
    set last_at = excluded.last_at, expires_at = excluded.expires_at`

const RESERVE_BUDGETS = `with reserved as (
  insert into budgets (key, period_start, limit_micros, reserved, alerted_percent)
  select key, period_start::date, limit_micros, reserved, alerted
  from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::int[])
    as q (key, period_start, limit_micros, reserved, alerted)
  on conflict (key, period_start) do update
    set reserved = budgets.reserved + excluded.reserved, limit_micros = excluded.limit_micros,
      alerted_percent = excluded.alerted_percent
    where budgets.settled + budgets.reserved + excluded.reserved <= excluded.limit_micros
  returning key
)
select ledger_require((select count(*) from reserved) = $6::int, 'a budget changed outside the ledger')`

const SETTLE_BUDGETS = `update budgets b
  set reserved = b.reserved - q.amount, settled = b.settled + q.settled
  from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as q (key, period_start, amount, settled)
  where b.key = q.key and b.period_start = q.period_start::date`
