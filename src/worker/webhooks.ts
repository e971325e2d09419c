import { createHmac } from 'node:crypto'
import { request } from 'undici'
import { newId } from '../lib/ids.ts'
import { secretsOf } from '../lib/webhook-secrets.ts'
import type { JsonObject } from '../model/json.ts'
import type { CheckpointSink } from '../record/checkpoints.ts'
import type { Metrics } from '../telemetry/metrics.ts'

// Notices leave through the queue, whose jobs are part of the batch that caused them: a notice of something
// that was rolled back cannot exist, and one that fails is sent again under the same id. So a receiver may
// get one twice and knows it by its id. The answer of a receiver is not read beyond its status.

const TIMEOUT_MS = 10_000

/**
 * Signed notifications, in the form of the Standard Webhooks specification: `webhook-id`,
 * `webhook-timestamp`, and `webhook-signature: v1,<base64 HMAC-SHA-256 of id.timestamp.body>`, one signature
 * for each secret, so that a receiver goes on understanding while a secret is replaced.
 */
export class WebhookSender {
  readonly #approvalUrl: string | null
  readonly #alertUrl: string | null
  readonly #secrets: readonly Buffer[]
  readonly #metrics: Metrics

  constructor(options: {
    approvalUrl: string | null
    alertUrl: string | null
    secret: string | null
    metrics: Metrics
  }) {
    this.#approvalUrl = options.approvalUrl
    this.#alertUrl = options.alertUrl
    this.#secrets = secretsOf(options.secret ?? '')
    this.#metrics = options.metrics
  }

  /** Delivers one notification. @throws Error when it was not accepted with a 2xx: the queue retries. */
  async send(job: JsonObject, approval: JsonObject | undefined): Promise<void> {
    const isAlert = job['kind'] === 'alert' || job['to'] === 'alerts'
    const url = isAlert ? this.#alertUrl : this.#approvalUrl
    if (!url) return
    const { webhook_id: id, type = null } = job
    await this.post(
      url,
      { type, ...payload(job, approval) },
      typeof id === 'string' ? id : undefined,
    )
  }

  /** Delivers an alert at once, past the queue: for what the queue's own database is the trouble of. */
  async alert(alert: JsonObject): Promise<void> {
    if (this.#alertUrl) await this.post(this.#alertUrl, { type: alert['kind'] ?? null, alert })
  }

  /** A notification that is sent again keeps its id, by which the receiver knows it. */
  async post(url: string, body: JsonObject, id = newId('whk')): Promise<void> {
    const timestamp = String(Math.floor(Date.now() / 1000))
    const text = JSON.stringify({ id, timestamp: new Date().toISOString(), ...body })
    const { statusCode, body: answer } = await request(url, {
      method: 'POST',
      body: text,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'portcullis',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': this.#sign(`${id}.${timestamp}.${text}`),
      },
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    })
    await answer.dump()
    const isAccepted = statusCode >= 200 && statusCode < 300
    this.#metrics.webhooks.inc({ result: isAccepted ? 'accepted' : 'refused' })
    if (!isAccepted) throw new Error(`the webhook answered ${statusCode}`)
  }

  #sign(text: string): string {
    return this.#secrets
      .map((secret) => `v1,${createHmac('sha256', secret).update(text).digest('base64')}`)
      .join(' ')
  }
}

/** Where signed checkpoints go besides their file. */
export function checkpointSinks(webhooks: WebhookSender, url: string | null): CheckpointSink[] {
  if (url === null) return []
  return [
    (checkpoint) =>
      webhooks.post(url, {
        type: 'checkpoint',
        checkpoint: { ...checkpoint, size: Number(checkpoint.size) },
      }),
  ]
}

// An approval comes with all that `GET /approvals/{id}` shows, so that a person can judge from the message.
function payload(job: JsonObject, approval: JsonObject | undefined): JsonObject {
  if (job['kind'] === 'test') return { test: { by: job['by'] ?? null } }
  // Jobs that were queued by the version before have it as `alert`.
  if (!approval) return { alert: job['entry'] ?? job['alert'] ?? null }
  const at = `/approvals/${job['approval_id'] as string}`
  return {
    approval: {
      ...approval,
      approve: `${at}/approve`,
      deny: `${at}/deny`,
    },
  }
}
