import type { Client } from 'pg'
import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { entryColumns, entryHash } from '../lib/chain.ts'
import type { AuditDraft, AuditEntry } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import type { Job, JobSink, EngagedSwitch, Tx } from '../store/tx.ts'
import type { Floor, HeadFloor } from '../store/head-floor.ts'

// One ledger batch is one transaction: the head row is locked, what the batch needs is read after the wait
// for that lock, operations run kind by kind, and entries, head and everything else commit together. The
// head moves (`batch_no`) with every batch, also with one that leaves no entry, so that nothing guarded is
// ever written without it.

/** A kind of ledger write. All inputs of one kind in a batch are applied together, in order. */
export interface LedgerKind<Input, Output> {
  readonly name: string
  /** Kinds run in ascending order within a batch: what stops things runs before what starts them. */
  readonly order: number
  apply(tx: Tx, inputs: readonly Input[]): Promise<readonly (Output | GatewayError)[]>
  /** Runs first in a later batch for inputs whose commit got no answer: undo what nobody acted on. */
  recover?(tx: Tx, inputs: readonly Input[]): Promise<void>
}

/** An operation that waits for its batch. */
export interface Operation {
  readonly kind: LedgerKind<unknown, unknown>
  readonly input: unknown
}

interface Head {
  readonly audit_seq: bigint
  readonly audit_hash: string
  readonly kill_epoch: bigint
  readonly at: Date
}

interface Mark {
  readonly drafts: number
  readonly jobs: number
  readonly after: number
  readonly epoch: bigint
  readonly switches: readonly EngagedSwitch[]
}

export class Batch implements Tx {
  readonly entries: AuditEntry[] = []
  readonly #client: Client
  readonly #floor: HeadFloor
  readonly #jobSink: JobSink
  readonly #drafts: AuditDraft[] = []
  readonly #jobs: Job[] = []
  readonly #after: (() => void)[] = []
  #switches: readonly EngagedSwitch[] = []
  commitSent = false
  nowMs = 0
  killEpoch = 0n

  constructor(client: Client, floor: HeadFloor, jobSink: JobSink) {
    this.#client = client
    this.#floor = floor
    this.#jobSink = jobSink
  }

  get switches(): readonly EngagedSwitch[] {
    return this.#switches
  }

  /** What was to run once the batch is durable. */
  get after(): readonly (() => void)[] {
    return this.#after
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const { rows } = await this.#client.query(text, values as unknown[])
    return rows as Row[]
  }

  append(draft: AuditDraft): void {
    this.#drafts.push(draft)
  }

  enqueue(job: Job): void {
    this.#jobs.push(job)
  }

  changeKillSwitches(rows: readonly EngagedSwitch[]): void {
    this.#switches = rows
  }

  raiseKillEpoch(): bigint {
    this.killEpoch += 1n
    return this.killEpoch
  }

  afterCommit(action: () => void): void {
    this.#after.push(action)
  }

  mark(): Mark {
    return {
      drafts: this.#drafts.length,
      jobs: this.#jobs.length,
      after: this.#after.length,
      epoch: this.killEpoch,
      switches: this.#switches,
    }
  }

  undoTo(mark: Mark): void {
    this.#drafts.length = mark.drafts
    this.#jobs.length = mark.jobs
    this.#after.length = mark.after
    this.killEpoch = mark.epoch
    this.#switches = mark.switches
  }

  /** Recovers, applies and commits; the answers by operation. */
  async run<Op extends Operation>(
    recovering: readonly Operation[],
    pending: readonly Op[],
  ): Promise<Map<Op, unknown>> {
    try {
      const head = await this.#lockHead()
      for (const [kind, group] of byKind(recovering)) {
        await kind.recover?.(this, inputsOf(group))
      }
      const results = new Map<Op, unknown>()
      for (const [kind, group] of byKind(pending)) {
        const outputs = await kind.apply(this, inputsOf(group))
        group.forEach((one, index) => results.set(one, outputs[index]))
      }
      this.#chain(head)
      await this.#putJobs()
      const moved = await this.#writeHead(head)
      this.commitSent = true
      await this.#client.query('commit')
      this.#floor.raise(moved.audit_seq, moved.audit_hash)
      return results
    } catch (error) {
      if (!this.commitSent) await this.#client.query('rollback').catch(() => {})
      throw error
    }
  }

  // Statements of their own: each must read with a snapshot, and a clock, from after the wait for the lock.
  async #lockHead(): Promise<Head> {
    const floor = this.#floor.current
    const answers = (await this.#client.query(LOCK_HEAD)) as unknown as { rows: unknown[] }[]
    const [, heads, clock, switches] = answers
    const head = heads?.rows[0] as Head
    const now = (clock?.rows[0] as { now: Date } | undefined)?.now ?? head.at
    this.nowMs = Math.max(head.at.getTime(), now.getTime())
    this.killEpoch = head.kill_epoch
    this.#switches = (switches?.rows ?? []) as EngagedSwitch[]
    await this.#assertGrown(floor, head)
    return head
  }

  async #assertGrown(floor: Floor, head: Head): Promise<void> {
    const isOurs = floor.seq === head.audit_seq || floor.seq === 0n
    const [entry] = isOurs ? [] : await this.query<{ hash: string }>(HASH_AT, [floor.seq])
    const seen = {
      seq: head.audit_seq,
      hash: head.audit_hash,
      hashAtFloor: entry?.hash ?? null,
    }
    if (this.#floor.accepts(floor, seen)) return
    throw new GatewayError('audit_unavailable', this.#floor.finding as string)
  }

  async #putJobs(): Promise<void> {
    for (const { entry, ...job } of this.#jobs) {
      const recorded = entry && this.entries.find(({ detail }) => detail === entry.detail)
      const carried = recorded ? { entry: JSON.parse(recorded.body) as JsonObject } : {}
      await this.#jobSink.put(this, { ...job, data: { ...job.data, ...carried } })
    }
  }

  async #writeHead(head: Head): Promise<Pick<Head, 'audit_seq' | 'audit_hash'>> {
    const last = this.entries.at(-1)
    const moved = {
      audit_seq: last?.seq ?? head.audit_seq,
      audit_hash: last?.hash ?? head.audit_hash,
    }
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
      moved.audit_seq,
      moved.audit_hash,
      this.killEpoch,
      `${moved.audit_seq}:${this.killEpoch}`,
      last !== undefined || this.killEpoch !== head.kill_epoch,
    ])
    return moved
  }

  #chain(head: Head): void {
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
  const { detail } = draft
  const body = canonicalJson({ ...detail, ...entryColumns({ ...draft, seq, at }) })
  const hash = entryHash(prevHash, body)
  return { ...draft, seq, at, body, prevHash, hash }
}

const inputsOf = (group: readonly Operation[]): unknown[] => group.map(({ input }) => input)

function byKind<Op extends Operation>(
  operations: readonly Op[],
): [LedgerKind<unknown, unknown>, readonly Op[]][] {
  const groups = new Map<LedgerKind<unknown, unknown>, Op[]>()
  for (const one of operations) {
    const group = groups.get(one.kind)
    if (group) group.push(one)
    else groups.set(one.kind, [one])
  }
  return [...groups].sort(([a], [b]) => a.order - b.order)
}

const LOCK_HEAD = `begin isolation level read committed;
select audit_seq, audit_hash, kill_epoch, at from ledger_head for update;
select date_trunc('milliseconds', clock_timestamp()) as now;
select agent, tool, upstream, reason, actor, epoch, engaged_at as "engagedAt" from kill_switches`

const HASH_AT = 'select hash from audit_entries where seq = $1'

/** The channel each durable batch is announced on, with `<head seq>:<kill epoch>`. */
export const LEDGER_CHANNEL = 'portcullis_ledger'

const APPEND = `with entries as (
  insert into audit_entries
    (seq, at, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
  select seq, $10, kind, agent_id, tool, effect, action_id, body, prev_hash, hash
  from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[]) as e (seq, kind, agent_id, tool, effect, action_id, body, prev_hash, hash)
), head as (
  update ledger_head set audit_seq = $11, audit_hash = $12, kill_epoch = $13, at = greatest(at, $10),
    batch_no = batch_no + 1
)
select case when $15::boolean then pg_notify('${LEDGER_CHANNEL}', $14) end`
