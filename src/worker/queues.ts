import {
  findApproval,
  overdueApprovals,
  approvedButHeld,
  type ApprovalRow,
} from '../approvals/tasks.ts'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import type { Operations } from '../pipeline/operations.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { Sandbox } from '../pipeline/sandbox.ts'
import type { Turns } from '../pipeline/turns.ts'
import { QUEUES } from '../record/outbox.ts'
import type { JobHandler, QueueOptions } from '../store/jobs.ts'
import type { Db } from '../store/tx.ts'
import type { WebhookSender } from './webhooks.ts'

const SANDBOX_RETRIES = 2
const WEBHOOK_RETRIES = 8
const SWEEP_MS = 1_000
const COUNTERS_EVERY = 60
const RECORD_EVERY = 3_600
/** A wake-up that has not come after this long is taken for lost. */
const LOST_WAKE_UP_MS = 5_000

/** Never retried by the queue what resumes: the sweep wakes what is approved and still held. */
export const QUEUE_OPTIONS: Readonly<Record<string, QueueOptions>> = {
  [QUEUES.resume]: { retryLimit: 0 },
  [QUEUES.expire]: { retryLimit: 5 },
  [QUEUES.sandbox]: { retryLimit: SANDBOX_RETRIES },
  [QUEUES.webhook]: { retryLimit: WEBHOOK_RETRIES },
}

export interface WorkerParts {
  readonly db: Db
  readonly pipeline: Pipeline
  readonly operations: Operations
  readonly turns: Turns
  readonly sandbox: Sandbox
  readonly webhooks: WebhookSender
  readonly log: Logger
  /** All that a person needs to judge what is held. */
  readonly showApproval: (approval: ApprovalRow) => Promise<JsonObject>
  /** Makes the coming weeks of the record and drops those that are old enough. */
  readonly keepRecord: () => Promise<number>
}

/** The second entrance: jobs that call the same pipeline as HTTP does. */
export function handlers(parts: WorkerParts): Readonly<Record<string, JobHandler>> {
  const { pipeline, operations, sandbox, webhooks, db, showApproval } = parts
  return {
    [QUEUES.resume]: (data) => pipeline.resume(idIn(data, 'action_id')),
    [QUEUES.expire]: (data) => operations.expire(idIn(data, 'approval_id')),
    [QUEUES.sandbox]: (data) => sandbox.run(idIn(data, 'run_id')),
    [QUEUES.webhook]: async (data) => {
      const approvalId = idIn(data, 'approval_id')
      const approval = approvalId === '' ? undefined : await findApproval(db, approvalId)
      await webhooks.send(data, approval && (await showApproval(approval)))
    },
  }
}

function idIn(data: JsonObject, name: string): string {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}

/** Finds what a lost wake-up left behind: overdue and approved tasks, actions of dead replicas. */
export class Sweeper {
  readonly #parts: WorkerParts
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #rounds = 0

  constructor(parts: WorkerParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    await this.#sweep()
    this.#timer = setInterval(() => {
      this.#running ??= this.#sweep().finally(() => {
        this.#running = undefined
      })
    }, SWEEP_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  async #sweep(): Promise<void> {
    const { db, operations, pipeline, turns, sandbox, log, keepRecord } = this.#parts
    try {
      const orphans = await this.#orphans()
      if (orphans > 0)
        log.warn({ actions: orphans }, 'actions of a stopped replica are indeterminate')
      if (await this.#hasOrphanedTurns()) await turns.sweep()
      await sandbox.sweep()
      for (const id of await overdueApprovals(db)) await operations.expire(id)
      for (const id of await approvedButHeld(db, LOST_WAKE_UP_MS)) await pipeline.resume(id)
      if (this.#rounds % COUNTERS_EVERY === 0) await operations.sweepCounters()
      if (this.#rounds % RECORD_EVERY === RECORD_EVERY - 1) await keepRecord()
      this.#rounds++
    } catch (error) {
      log.warn({ err: error }, 'sweep failed; it runs again')
    }
  }

  // Looking costs a read; only a find costs a ledger batch.
  async #orphans(): Promise<number> {
    const { db, operations } = this.#parts
    const [row] = await db.query<{ n: bigint }>(
      `select count(*) as n from actions a where state = 'executing' and not exists
         (select 1 from replicas r where r.id = a.replica_id and r.lease_until > clock_timestamp())`,
    )
    return Number(row?.n ?? 0) > 0 ? operations.sweepOrphans() : 0
  }

  async #hasOrphanedTurns(): Promise<boolean> {
    const rows = await this.#parts.db.query(
      `select 1 from turns t where status = 'running' and not exists
         (select 1 from replicas r where r.id = t.replica_id and r.lease_until > clock_timestamp())
       limit 1`,
    )
    return rows.length > 0
  }
}
