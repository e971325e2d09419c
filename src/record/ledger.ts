import pg from 'pg'
import type { Client, ClientConfig } from 'pg'
import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { entryHash } from '../lib/chain.ts'
import type { Logger } from '../lib/log.ts'
import type { AuditDraft, AuditEntry } from '../model/audit.ts'
import type { KillRow, Tx } from '../store/tx.ts'

export type { Tx } from '../store/tx.ts'

/** A kind of ledger write. All inputs of one kind in a batch are applied together, in order. */
export interface LedgerKind<Input, Output> {
  readonly name: string
  /** Kinds run in ascending order within a batch: what stops things runs before what starts them. */
  readonly order: number
  apply(tx: Tx, inputs: readonly Input[]): Promise<readonly (Output | GatewayError)[]>
  /** Runs first in a later batch for inputs whose commit got no answer: undo what nobody acted on. */
  recover?(tx: Tx, inputs: readonly Input[]): Promise<void>
}

interface Pending {
  readonly kind: LedgerKind<unknown, unknown>
  readonly input: unknown
  readonly deadlineMs: number
  readonly resolve: (output: unknown) => void
  readonly reject: (error: unknown) => void
}

const BATCH_MAX = 256
const QUEUE_MAX = 20_000
const RECONNECT_DELAY_MS = 100
/** A deadline is counted in slices: while this thread could not run, no answer could be read either. */
const DEADLINE_SLICES = 5
const RECOVERY_DELAY_MS = 250
const NOTIFY_CHANNEL = 'portcullis_ledger'
const DATA_ERROR = /^(?:22|23|42|54)/ // SQLSTATE classes that blame a statement, not the server

/**
 * The single writer of everything that matters: actions, budgets, approvals, kill switch, audit.
 * Callers queue operations; batches of them run in one transaction each, under one row lock that
 * replicas share, and are acknowledged after COMMIT. One fsync serves a whole batch, the chain
 * has one order, and nothing that reads before it writes can be overtaken.
 */
export class Ledger {
  readonly #config: ClientConfig
  readonly #log: Logger
  readonly #deadlineMs: number
  readonly #queue: Pending[] = []
  readonly #unanswered: Pending[] = []
  #client: Client | undefined
  #running = false
  #stopped = false
  #retryAt = 0
  #recoveryTimer: NodeJS.Timeout | undefined
  #listener: (entries: readonly AuditEntry[]) => void = () => {}

  constructor(options: { config: ClientConfig; log: Logger; deadlineMs: number }) {
    this.#config = options.config
    this.#log = options.log
    this.#deadlineMs = options.deadlineMs
  }

  async start(): Promise<void> {
    this.#client = await this.#connect()
  }

  /** Finishes what is queued, then refuses. */
  async stop(): Promise<void> {
    while (this.#running || this.#queue.length > 0) await new Promise(setImmediate)
    this.#stopped = true
    await this.#client?.end().catch(() => {})
  }

  /** Called with the entries of each batch after it is durable, in chain order. */
  onCommitted(listener: (entries: readonly AuditEntry[]) => void): void {
    this.#listener = listener
  }

  /**
   * Queues one input; resolves after COMMIT.
   * @throws GatewayError `audit_unavailable` when the record cannot be written in time: nothing that
   *   depends on it may happen.
   */
  submit<Input, Output>(
    kind: LedgerKind<Input, Output>,
    input: Input,
    deadlineMs: number = this.#deadlineMs,
  ): Promise<Output> {
    if (this.#stopped) return Promise.reject(unavailable('the gate is stopping'))
    if (this.#queue.length >= QUEUE_MAX)
      return Promise.reject(unavailable('the record is overloaded'))
    return new Promise<Output>((resolve, reject) => {
      this.#queue.push({
        kind,
        input,
        deadlineMs,
        resolve: resolve as (output: unknown) => void,
        reject,
      })
      this.#schedule()
    })
  }

  /**
   * A rare write of its own kind; a GatewayError thrown by `work` undoes only this one. A large one may
   * be given longer than claims are, and holds up what shares its batch for as long.
   */
  write<Output>(work: (tx: Tx) => Promise<Output>, deadlineMs?: number): Promise<Output> {
    const kind = SINGLE as LedgerKind<(tx: Tx) => Promise<Output>, Output>
    return this.submit(kind, work, deadlineMs)
  }

  #schedule(): void {
    if (this.#running) return
    this.#running = true
    // The rest of this tick may queue more; they share the batch.
    setImmediate(() => void this.#drain())
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0) await this.#runBatch(this.#queue.splice(0, BATCH_MAX))
    } finally {
      this.#running = false
    }
  }

  async #runBatch(batch: readonly Pending[]): Promise<void> {
    try {
      const client = await this.#liveClient()
      const batchTx = new Batch(client, this.#unanswered.splice(0), batch)
      const results = await this.#withDeadline(client, batchTx)
      for (const [pending, result] of results) settle(pending, result)
      this.#listener(batchTx.entries)
      batchTx.runAfterCommit()
    } catch (error) {
      await this.#failed(batch, error)
    }
  }

  // A statement that never returns must not hold the gate: the connection is cut, and what may or
  // may not have been committed is recovered by the next batch.
  async #withDeadline(client: Client, batch: Batch): Promise<Map<Pending, unknown>> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const deadlineMs = Math.max(...batch.pending.map((one) => one.deadlineMs))
      let left = DEADLINE_SLICES
      timer = setInterval(() => {
        if (--left === 0) reject(new BrokenConnection('deadline passed'))
      }, deadlineMs / DEADLINE_SLICES)
    })
    try {
      return await Promise.race([batch.run(), late])
    } catch (error) {
      if (!isDataError(error)) this.#discard(client)
      if (batch.commitSent || batch.recovering.length > 0) {
        this.#unanswered.push(...batch.recovering, ...(batch.commitSent ? batch.pending : []))
      }
      throw error
    } finally {
      clearInterval(timer)
    }
  }

  async #failed(batch: readonly Pending[], error: unknown): Promise<void> {
    this.#log.error({ err: error, operations: batch.length }, 'ledger batch failed')
    this.#scheduleRecovery()
    if (isDataError(error) && batch.length > 1) {
      // One of them is at fault; alone, the others succeed.
      for (const pending of batch) await this.#runBatch([pending])
      return
    }
    const refusal = unavailable('the record cannot be written', error)
    for (const pending of batch) pending.reject(refusal)
  }

  // Recovery rides on the next batch; when nobody writes, an empty one carries it.
  #scheduleRecovery(): void {
    if (this.#unanswered.length === 0 || this.#recoveryTimer || this.#stopped) return
    this.#recoveryTimer = setTimeout(() => {
      this.#recoveryTimer = undefined
      this.write(async () => {}).catch(() => this.#scheduleRecovery())
    }, RECOVERY_DELAY_MS).unref()
  }

  async #liveClient(): Promise<Client> {
    if (this.#client) return this.#client
    if (performance.now() < this.#retryAt) throw new BrokenConnection('reconnecting')
    this.#retryAt = performance.now() + RECONNECT_DELAY_MS
    this.#client = await this.#connect()
    return this.#client
  }

  async #connect(): Promise<Client> {
    const client = new pg.Client({ ...this.#config, connectionTimeoutMillis: this.#deadlineMs })
    client.on('error', (error) => {
      this.#log.warn({ err: error }, 'ledger connection failed')
      this.#discard(client)
    })
    client.on('end', () => this.#discard(client))
    await client.connect()
    return client
  }

  #discard(client: Client): void {
    if (this.#client === client) this.#client = undefined
    client.end().catch(() => {})
    const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } }
    connection?.stream?.destroy()
  }
}

class BrokenConnection extends Error {}

function settle(pending: Pending, result: unknown): void {
  if (result instanceof GatewayError) pending.reject(result)
  else pending.resolve(result)
}

function unavailable(message: string, cause?: unknown): GatewayError {
  return new GatewayError('audit_unavailable', message, { cause, retryAfterS: 1 })
}

// A RangeError is what canonical JSON makes of an entry it cannot hold.
function isDataError(error: unknown): boolean {
  if (error instanceof RangeError) return true
  return DATA_ERROR.test((error as { code?: string }).code ?? '')
}

const SINGLE: LedgerKind<(tx: Tx) => Promise<unknown>, unknown> = {
  name: 'single',
  order: 0,
  async apply(tx, works) {
    const outputs: unknown[] = []
    for (const work of works) outputs.push(await runAlone(tx as Batch, work))
    return outputs
  },
}

async function runAlone(batch: Batch, work: (tx: Tx) => Promise<unknown>): Promise<unknown> {
  const mark = batch.mark()
  await batch.query('savepoint one')
  try {
    const output = await work(batch)
    await batch.query('release savepoint one')
    return output
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    await batch.query('rollback to savepoint one')
    batch.undoTo(mark)
    return error
  }
}

interface HeadRow {
  readonly audit_seq: bigint
  readonly audit_hash: string
  readonly kill_epoch: bigint
  readonly now: Date
}

interface Mark {
  readonly drafts: number
  readonly after: number
  readonly epoch: bigint
}

class Batch implements Tx {
  readonly pending: readonly Pending[]
  readonly recovering: readonly Pending[]
  readonly entries: AuditEntry[] = []
  readonly #client: Client
  readonly #drafts: AuditDraft[] = []
  readonly #after: (() => void)[] = []
  commitSent = false
  nowMs = 0
  killRows: readonly KillRow[] = []
  killEpoch = 0n

  constructor(client: Client, recovering: readonly Pending[], pending: readonly Pending[]) {
    this.#client = client
    this.recovering = recovering
    this.pending = pending
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.#client.query(text, values as unknown[])
    return rows as Row[]
  }

  append(draft: AuditDraft): void {
    this.#drafts.push(draft)
  }

  raiseKillEpoch(): bigint {
    this.killEpoch += 1n
    return this.killEpoch
  }

  afterCommit(action: () => void): void {
    this.#after.push(action)
  }

  runAfterCommit(): void {
    for (const action of this.#after) action()
  }

  mark(): Mark {
    return { drafts: this.#drafts.length, after: this.#after.length, epoch: this.killEpoch }
  }

  undoTo(mark: Mark): void {
    this.#drafts.length = mark.drafts
    this.#after.length = mark.after
    this.killEpoch = mark.epoch
  }

  async run(): Promise<Map<Pending, unknown>> {
    try {
      const head = await this.#lockHead()
      for (const [kind, group] of byKind(this.recovering)) {
        await kind.recover?.(
          this,
          group.map(({ input }) => input),
        )
      }
      const results = new Map<Pending, unknown>()
      for (const [kind, group] of byKind(this.pending)) {
        const outputs = await kind.apply(
          this,
          group.map(({ input }) => input),
        )
        group.forEach((pending, index) => results.set(pending, outputs[index]))
      }
      await this.#writeHead(head)
      this.commitSent = true
      await this.#client.query('commit')
      return results
    } catch (error) {
      if (!this.commitSent) await this.#client.query('rollback').catch(() => {})
      throw error
    }
  }

  // Two statements: the second must not read with a snapshot from before the wait for the lock.
  async #lockHead(): Promise<HeadRow> {
    const answers = (await this.#client.query(LOCK_HEAD)) as unknown as { rows: unknown[] }[]
    const head = answers[1]?.rows[0] as HeadRow
    this.nowMs = head.now.getTime()
    this.killEpoch = head.kill_epoch
    this.killRows = (answers[2]?.rows ?? []) as KillRow[]
    return head
  }

  async #writeHead(head: HeadRow): Promise<void> {
    if (this.#drafts.length === 0 && this.killEpoch === head.kill_epoch) return
    this.#chain(head)
    const last = this.entries.at(-1)
    const column = <Key extends keyof AuditEntry>(key: Key) => this.entries.map((e) => e[key])
    await this.#client.query(APPEND, [
      column('seq'),
      column('kind'),
      column('agentId'),
      column('tool'),
      column('effect'),
      column('actionId'),
      column('body'),
      column('prevHash'),
      column('hash'),
      new Date(this.nowMs),
      last?.seq ?? head.audit_seq,
      last?.hash ?? head.audit_hash,
      this.killEpoch,
      `${last?.seq ?? head.audit_seq}:${this.killEpoch}`,
    ])
  }

  #chain(head: HeadRow): void {
    const at = new Date(this.nowMs).toISOString()
    let seq = head.audit_seq
    let prevHash = head.audit_hash
    for (const draft of this.#drafts) {
      seq += 1n
      const entry = chained(draft, seq, at, prevHash)
      this.entries.push(entry)
      prevHash = entry.hash
    }
  }
}

function chained(draft: AuditDraft, seq: bigint, at: string, prevHash: string): AuditEntry {
  const { kind, agentId, tool, effect, actionId, detail } = draft
  const body = canonicalJson({
    ...detail,
    seq: Number(seq),
    at,
    kind,
    agent_id: agentId,
    tool,
    effect,
    action_id: actionId,
  })
  const hash = entryHash(prevHash, body)
  return { seq, at, kind, agentId, tool, effect, actionId, body, prevHash, hash, detail }
}

function byKind(pending: readonly Pending[]): [LedgerKind<unknown, unknown>, readonly Pending[]][] {
  const groups = new Map<LedgerKind<unknown, unknown>, Pending[]>()
  for (const one of pending) {
    const group = groups.get(one.kind)
    if (group) group.push(one)
    else groups.set(one.kind, [one])
  }
  return [...groups].sort(([a], [b]) => a.order - b.order)
}

const LOCK_HEAD = `begin isolation level read committed;
select audit_seq, audit_hash, kill_epoch, greatest(at, date_trunc('milliseconds', clock_timestamp())) as now
  from ledger_head for update;
select agent, tool, upstream, reason, actor, epoch, engaged_at as "engagedAt" from kill_switches`

const APPEND = `with entries as (
  insert into audit_entries
    (seq, at, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
  select seq, $10, kind, agent_id, tool, effect, action_id, body, prev_hash, hash
  from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[]) as e (seq, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
), head as (
  update ledger_head set audit_seq = $11, audit_hash = $12, kill_epoch = $13, at = $10
)
select pg_notify('${NOTIFY_CHANNEL}', $14)`

/** The channel each durable batch is announced on, with `<head seq>:<kill epoch>`. */
export const LEDGER_CHANNEL = NOTIFY_CHANNEL
