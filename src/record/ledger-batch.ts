import type { Writable } from 'node:stream'
import type { Client, QueryResult } from 'pg'
import { GatewayError } from '../errors.ts'
import { canonicalMerged } from '../lib/canonical.ts'
import { entryColumns, entryHash } from '../lib/chain.ts'
import type { AuditDraft, AuditEntry } from '../model/audit.ts'
import type { JsonObject } from '../model/json.ts'
import { bigintArray, textArray } from '../store/arrays.ts'
import type { Job, JobSink, EngagedSwitch, Tx } from '../store/tx.ts'
import type { Floor, HeadFloor } from '../store/head-floor.ts'
import type { Lane } from './ledger-queue.ts'

// One ledger batch is one transaction: the head row is locked, what the batch needs is read after the wait
// for that lock, operations run kind by kind, and entries, head and everything else commit together. The
// head moves (`batch_no`) with every batch, also with one that leaves no entry, so that nothing guarded is
// ever written without it.
//
// On a server, statements are pipelined: those that are asked for before the next wait leave in one packet,
// named, so that the server has parsed and planned them before. A batch of claims and outcomes takes two
// round trips: the lock with the kinds' first reads, then the writes with COMMIT. In a transaction where a
// statement failed, COMMIT answers ROLLBACK without an error, so its tag decides and nothing else does.

/** A kind of ledger write. All inputs of one kind in a batch are applied together, in order. */
export interface LedgerKind<Input, Output, Begun = unknown> {
  readonly name: string
  /** Kinds run in ascending order within a batch: what stops things runs before what starts them. */
  readonly order: number
  /**
   * Sends the statements that `apply` begins with, without waiting: they travel with the lock. They count by
   * the database's `ledger_now()`, because the batch's time is not known yet, and read nothing that an earlier
   * kind of the batch writes in its `apply`.
   */
  begin?(tx: Tx, inputs: readonly Input[]): Begun
  /** What it waits with; `write` unless said otherwise. */
  readonly lane?: Lane
  /** For new work: the agent whose turn it takes. */
  agentOf?(input: Input): string
  apply(tx: Tx, inputs: readonly Input[], begun: Begun): Promise<readonly (Output | GatewayError)[]>
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
  /** The time of the batch. */
  readonly at: Date
  readonly switches: readonly SwitchJson[] | null
}

type SwitchJson = Omit<EngagedSwitch, 'epoch' | 'engagedAt'> & {
  readonly epoch: number
  readonly engaged_at: string
}

/** What a server says beside its answers. */
interface Notice {
  readonly severity?: string | undefined
  readonly message?: string | undefined
}

/** How the statements of a batch travel. */
export interface BatchWire {
  readonly client: Client
  /** Whether statements are named and share packets: a server's session. The embedded database takes one at a time. */
  readonly isPipelined: boolean
  /** The replica that writes, for those who hear of it. */
  readonly origin: string
}

/** Names of agents by id, as they are inside the batch. */
export type AgentNames = (tx: Tx, ids: readonly string[]) => Promise<ReadonlyMap<string, string>>

interface Mark {
  readonly drafts: number
  readonly jobs: number
  readonly after: number
  readonly epoch: bigint
  readonly switches: readonly EngagedSwitch[]
}

export class Batch implements Tx {
  readonly entries: AuditEntry[] = []
  readonly #wire: BatchWire
  readonly #floor: HeadFloor
  readonly #jobSink: JobSink
  readonly #agentNames: AgentNames
  readonly #drafts: AuditDraft[] = []
  readonly #entryOf = new Map<JsonObject, AuditEntry>()
  readonly #jobs: Job[] = []
  readonly #after: (() => void)[] = []
  #sent: Promise<unknown>[] = []
  #corked = false
  /** Where statements do not share packets, the next waits for the answer to this one. */
  #lastAsked: Promise<unknown> = Promise.resolve()
  #switches: readonly EngagedSwitch[] = []
  commitSent = false
  nowMs = 0
  killEpoch = 0n

  constructor(wire: BatchWire, floor: HeadFloor, jobSink: JobSink, agentNames: AgentNames) {
    this.#wire = wire
    this.#floor = floor
    this.#jobSink = jobSink
    this.#agentNames = agentNames
  }

  get switches(): readonly EngagedSwitch[] {
    return this.#switches
  }

  /** What was to run once the batch is durable. */
  get after(): readonly (() => void)[] {
    return this.#after
  }

  async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    const { rows } = await this.#ask(text, values)
    return rows as Row[]
  }

  send(text: string, values: readonly unknown[]): void {
    const answer = this.#ask(text, values)
    answer.catch(() => {}) // looked at in `settled`
    this.#sent.push(answer)
  }

  /** Waits for what was sent. @throws the first error of it */
  async settled(): Promise<void> {
    await Promise.all(this.#sent.splice(0))
  }

  #ask(text: string, values?: readonly unknown[]): Promise<QueryResult> {
    const { client, isPipelined } = this.#wire
    if (!isPipelined) return this.#askInTurn(text, values)
    this.#cork(client)
    if (!values) return client.query(text)
    const name = nameOf(text)
    return client.query({ ...(name ? { name } : {}), text, values: values as unknown[] })
  }

  #askInTurn(text: string, values?: readonly unknown[]): Promise<QueryResult> {
    const answer = this.#lastAsked.then(() => this.#wire.client.query(text, values as unknown[]))
    this.#lastAsked = answer.catch(() => {})
    return answer
  }

  // What is asked before the next real wait leaves in one write: one packet, one wake-up of the server.
  #cork(client: Client): void {
    if (this.#corked) return
    const { stream } = (client as unknown as { connection: { stream: Writable } }).connection
    this.#corked = true
    stream.cork()
    process.nextTick(() => {
      this.#corked = false
      stream.uncork()
    })
  }

  append(draft: AuditDraft): void {
    if (this.#floor.sealed) throw new GatewayError('audit_unavailable', this.#floor.sealed)
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
      const groups = byKind(pending)
      const locking = this.#lockHead()
      locking.catch(() => {})
      // What is not known yet may come before: then nothing travels ahead.
      const isPlain = recovering.length === 0 && groups.every(([kind]) => kind.begin !== undefined)
      const begun = isPlain
        ? groups.map(([kind, group]) => kind.begin?.(this, inputsOf(group)))
        : []
      const head = await locking
      for (const [kind, group] of byKind(recovering)) {
        await kind.recover?.(this, inputsOf(group))
      }
      const results = new Map<Op, unknown>()
      for (const [at, [kind, group]] of groups.entries()) {
        const inputs = inputsOf(group)
        const outputs = await kind.apply(this, inputs, begun[at] ?? kind.begin?.(this, inputs))
        group.forEach((one, index) => results.set(one, outputs[index]))
      }
      this.#chain(head, await this.#missingNames())
      await this.#putJobs()
      const moved = this.#writeHead(head)
      await this.#commit()
      this.#floor.raise(moved.audit_seq, moved.audit_hash)
      return results
    } catch (error) {
      if (!this.commitSent) await this.#rollBack()
      throw error
    }
  }

  // The tag decides, both ways: a transaction in which a statement failed answers COMMIT with ROLLBACK and no
  // error, and one whose failures were undone to a savepoint answers COMMIT.
  async #commit(): Promise<void> {
    this.commitSent = true
    let doubt: string | undefined
    const onNotice = ({ severity, message }: Notice) => {
      if (severity === 'WARNING') doubt = message
    }
    this.#wire.client.on('notice', onNotice)
    const [committed, ...others] = await Promise.allSettled([this.#ask('commit'), ...this.#sent])
    this.#wire.client.off('notice', onNotice)
    if (committed.status === 'rejected') throw committed.reason
    // A standby did not confirm it, and what waited was told to go on: it may be lost with this server.
    if (doubt !== undefined) throw new Error(`the commit is in doubt: ${doubt}`)
    if (committed.value.command === 'COMMIT') return
    this.commitSent = false
    const failed = others.find(({ status }) => status === 'rejected')
    throw failed?.status === 'rejected' ? failed.reason : new Error('the batch was rolled back')
  }

  async #rollBack(): Promise<void> {
    await Promise.allSettled([...this.#sent, this.#ask('rollback')])
  }

  async #lockHead(): Promise<Head> {
    const floor = this.#floor.current
    const [began, locked] = await Promise.all([this.#ask(BEGIN), this.#ask(LOCK, [])])
    const head = locked.rows[0] as Head
    // A lock without a transaction around it is gone already.
    if (began.command !== 'BEGIN') throw new Error('the transaction of the batch did not begin')
    this.nowMs = head.at.getTime()
    this.killEpoch = head.kill_epoch
    this.#switches = (head.switches ?? []).map(({ epoch, engaged_at: at, ...rest }) => ({
      ...rest,
      epoch: BigInt(epoch),
      engagedAt: new Date(at),
    }))
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
    await Promise.all(
      this.#jobs.map(({ entry, ...job }) => {
        const recorded = entry && this.#entryOf.get(entry.detail)
        const carried = recorded ? { entry: JSON.parse(recorded.body) as JsonObject } : {}
        return this.#jobSink.put(this, { ...job, data: { ...job.data, ...carried } })
      }),
    )
  }

  #writeHead(head: Head): Pick<Head, 'audit_seq' | 'audit_hash'> {
    const last = this.entries.at(-1)
    const moved = {
      audit_seq: last?.seq ?? head.audit_seq,
      audit_hash: last?.hash ?? head.audit_hash,
    }
    const column = (
      key: 'kind' | 'agentId' | 'tool' | 'effect' | 'actionId' | 'body' | 'prevHash' | 'hash',
    ) => textArray(this.entries.map((entry) => entry[key]))
    this.send(APPEND, [
      bigintArray(this.entries.map(({ seq }) => seq)),
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
      this.#notice(moved.audit_seq),
      last !== undefined || this.killEpoch !== head.kill_epoch,
    ])
    return moved
  }

  /** What is announced: how far the record goes, and what others have to look into. */
  #notice(seq: bigint): string {
    const queues = new Set(this.#jobs.filter((job) => !job.startAfterMs).map(({ queue }) => queue))
    return [seq, this.killEpoch, this.#wire.origin, [...queues].join(',')].join(':')
  }

  /** Of agents whose entries do not say it: whoever reads along has no table of agents. A trip that decisions and outcomes spare. */
  async #missingNames(): Promise<ReadonlyMap<string, string>> {
    const nameless = this.#drafts.filter(
      ({ agentId, detail }) => agentId !== '' && !('agent_name' in detail),
    )
    if (nameless.length === 0) return NO_NAMES
    return this.#agentNames(this, [...new Set(nameless.map(({ agentId }) => agentId))])
  }

  #chain(head: Head, names: ReadonlyMap<string, string>): void {
    const at = new Date(this.nowMs).toISOString()
    let seq = head.audit_seq
    let prevHash = head.audit_hash
    for (const draft of this.#drafts) {
      seq += 1n
      const entry = chained(named(draft, names), seq, at, prevHash)
      this.entries.push(entry)
      this.#entryOf.set(draft.detail, entry)
      prevHash = entry.hash
    }
  }
}

const NO_NAMES: ReadonlyMap<string, string> = new Map()

function named(draft: AuditDraft, names: ReadonlyMap<string, string>): AuditDraft {
  const name = names.get(draft.agentId)
  if (name === undefined || 'agent_name' in draft.detail) return draft
  return { ...draft, detail: { agent_name: name, ...draft.detail } }
}

function chained(draft: AuditDraft, seq: bigint, at: string, prevHash: string): AuditEntry {
  const { detail } = draft
  const { kind, agentId, tool, effect, actionId } = draft
  const columns = { seq, at, kind, agentId, tool, effect, actionId }
  const body = canonicalMerged(detail, entryColumns(columns))
  return { ...columns, detail, body, prevHash, hash: entryHash(prevHash, body) }
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

/** Names of the statements that a session has prepared; what is made up as it goes is not kept for ever. */
const names = new Map<string, string>()
const NAMES_MAX = 200

function nameOf(text: string): string | undefined {
  const known = names.get(text)
  if (known !== undefined || names.size >= NAMES_MAX) return known
  const name = `l${names.size}`
  names.set(text, name)
  return name
}

const BEGIN = 'begin isolation level read committed'

const LOCK = 'select * from ledger_lock()'

const HASH_AT = 'select hash from audit_entries where seq = $1'

/** The channel each durable batch is announced on, with `<head seq>:<kill epoch>:<replica>:<queues>`. */
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
