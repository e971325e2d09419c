import { newId } from '../lib/ids.ts'
import type { AuditDraft } from '../model/audit.ts'
import type { Job, JobSink } from '../store/tx.ts'
import type { Jobs } from '../store/jobs.ts'

/**
 * What has to happen after a batch, queued in it: an approval's expiry and notice, the resumption of what
 * was approved, the webhook of an alert, a sandbox run. A job is never lost nor left over, because nothing
 * of it depends on what runs after COMMIT.
 */

export const QUEUES = {
  resume: 'portcullis.resume',
  expire: 'portcullis.expire',
  webhook: 'portcullis.webhook',
  sandbox: 'portcullis.sandbox',
  replay: 'portcullis.replay',
} as const

export const resumeJob = (actionId: string): Job => ({
  queue: QUEUES.resume,
  data: { action_id: actionId },
})

export const expiryJob = (approvalId: string, expiresAt: Date): Job => ({
  queue: QUEUES.expire,
  data: { approval_id: approvalId },
  startAfterMs: expiresAt.getTime(),
})

export const approvalNotice = (approvalId: string): Job => ({
  queue: QUEUES.webhook,
  data: {
    kind: 'approval',
    webhook_id: newId('whk'),
    type: 'approval.requested',
    approval_id: approvalId,
  },
  notice: 'approvals',
})

/** Tells who asked for access that the task has ended. */
export const accessNotice = (taskId: string): Job => ({
  queue: QUEUES.webhook,
  data: { kind: 'access_request', webhook_id: newId('whk'), task_id: taskId },
})

/** Tells of an alert by the entry that records it. */
export const alertNotice = (entry: AuditDraft): Job => ({
  queue: QUEUES.webhook,
  data: { kind: 'alert', webhook_id: newId('whk'), type: entry.kind },
  entry,
  notice: 'alerts',
})

/** A notice that says nothing but that it came, by the same way as all others. */
export const testNotice = (to: NonNullable<Job['notice']>, by: string): Job => ({
  queue: QUEUES.webhook,
  data: { kind: 'test', webhook_id: newId('whk'), type: 'webhook.test', to, by },
  notice: to,
})

export const sandboxJob = (runId: string): Job => ({
  queue: QUEUES.sandbox,
  data: { run_id: runId },
})

export const replayJob = (replayId: string): Job => ({
  queue: QUEUES.replay,
  data: { replay_id: replayId },
})

/** Puts the jobs of a batch into their queues, but for notices that nobody is configured to get. */
export class Outbox implements JobSink {
  readonly #jobs: Jobs
  readonly #notices: Readonly<Record<NonNullable<Job['notice']>, boolean>>

  constructor(jobs: Jobs, notices: { readonly approvals: boolean; readonly alerts: boolean }) {
    this.#jobs = jobs
    this.#notices = notices
  }

  async put(...[tx, job]: Parameters<JobSink['put']>): Promise<void> {
    if (job.notice && !this.#notices[job.notice]) return
    await this.#jobs.sendIn(tx, job)
  }
}
