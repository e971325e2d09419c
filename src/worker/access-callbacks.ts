import type { Inquiries } from '../inquiries/inquiries.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { RecordMask } from '../record/mask.ts'
import { openedAsk } from '../record/sealed-asks.ts'
import type { WebhookSender } from './webhooks.ts'

// Who asked for access may ask to be called when the task ends (section 13 of the profile). It is told how the task stands and
// nothing that could be enforced: for that it asks the task. What is not listed any more is not called.

export interface CallBackParts {
  readonly inquiries: Inquiries
  readonly mask: RecordMask
  readonly webhooks: WebhookSender
  readonly accessCallbacks: readonly string[]
}

/** @throws Error when it was not accepted: the queue retries */
export async function callBack(
  { task_id: taskId, webhook_id: webhookId }: JsonObject,
  { inquiries, mask, webhooks, accessCallbacks }: CallBackParts,
): Promise<void> {
  if (typeof taskId !== 'string' || typeof webhookId !== 'string') return
  const ended = await inquiries.accessRequests.ended(taskId)
  const kept = ended && openedAsk(mask, taskId, ended.task.sealed)
  const callback = kept?.['callback'] as JsonObject | null | undefined
  if (!ended || !callback || !accessCallbacks.includes(callback['endpoint'] as string)) return
  const { id = null, status = null, status_endpoint: at = null } = ended.shown['task'] as JsonObject
  if (typeof status !== 'string') return
  const { events = null, state = null } = callback
  if (Array.isArray(events) && !events.some((one: Json) => one === status)) return
  await webhooks.post(
    callback['endpoint'] as string,
    {
      type: `access_request.${status}`,
      ...(state === null ? {} : { state }),
      task: { id, status, status_endpoint: at },
    },
    webhookId,
  )
}
