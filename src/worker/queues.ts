import { findApproval, type Approval } from '../approvals/tasks.ts'
import type { JsonObject } from '../model/json.ts'
import { approvalView } from '../operations/approval-view.ts'
import type { Operations } from '../operations/operations.ts'
import type { Inquiries } from '../inquiries/inquiries.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { Replays } from '../rehearsal/replays.ts'
import type { Sandbox } from '../rehearsal/sandbox.ts'
import type { RecordMask } from '../record/mask.ts'
import { QUEUES } from '../record/outbox.ts'
import type { JobHandler, QueueOptions } from '../store/jobs.ts'
import type { Db } from '../store/tx.ts'
import { callBack } from './access-callbacks.ts'
import type { WebhookSender } from './webhooks.ts'

// What each queue does with a job. A job carries little more than an id: the handler reads what is true by
// now and asks the same pipeline and operations as HTTP does, all of which do nothing when there is nothing
// to do. So a job may come twice or late, and one that is lost is made up for by the sweeper.

const SANDBOX_RETRIES = 2
const WEBHOOK_RETRIES = 8

/** Never retried by the queue what resumes: the sweep wakes what is approved and still held. */
export const QUEUE_OPTIONS: Readonly<Record<string, QueueOptions>> = {
  [QUEUES.resume]: { retryLimit: 0 },
  [QUEUES.expire]: { retryLimit: 5 },
  [QUEUES.sandbox]: { retryLimit: SANDBOX_RETRIES },
  [QUEUES.replay]: { retryLimit: 0 },
  [QUEUES.webhook]: { retryLimit: WEBHOOK_RETRIES },
}

export interface WorkerParts {
  readonly db: Db
  readonly pipeline: Pipeline
  readonly operations: Operations
  readonly sandbox: Sandbox
  readonly replays: Replays
  readonly webhooks: WebhookSender
  readonly mask: RecordMask
  readonly inquiries: Inquiries
  /** What an access request may ask to be called back at. */
  readonly accessCallbacks: readonly string[]
  /** PUBLIC_SERVER_URL; null: links are paths. */
  readonly serverUrl: string | null
}

/** The second entrance: jobs that call the same pipeline as HTTP does. */
export function handlers(parts: WorkerParts): Readonly<Record<string, JobHandler>> {
  const { pipeline, operations, sandbox, replays, webhooks, db, mask, serverUrl } = parts
  // All that a person needs to judge what is held.
  const show = (approval: Approval) =>
    approvalView(db, approval, { bundleOf: pipeline.policies.holding, serverUrl, mask })
  return {
    [QUEUES.resume]: (data) => pipeline.resume(idIn(data, 'action_id')),
    [QUEUES.expire]: (data) => operations.expire(idIn(data, 'approval_id')),
    [QUEUES.sandbox]: (data) => sandbox.run(idIn(data, 'run_id')),
    [QUEUES.replay]: (data) => replays.run(idIn(data, 'replay_id')),
    [QUEUES.webhook]: async (data) => {
      if (data['kind'] === 'access_request') return callBack(data, parts)
      const approvalId = idIn(data, 'approval_id')
      const approval = approvalId === '' ? undefined : await findApproval(db, approvalId)
      await webhooks.send(data, approval && (await show(approval)))
    },
  }
}

function idIn(data: JsonObject, name: string): string {
  const value = data[name]
  return typeof value === 'string' ? value : ''
}
