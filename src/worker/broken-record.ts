import type { Logger } from '../lib/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { WebhookSender } from './webhooks.ts'

/** Says that the record was rolled back where it still can be said: in the log, a metric and the webhook. */
export function tellBroken(
  finding: string,
  { log, metrics, webhooks }: { log: Logger; metrics: Metrics; webhooks: WebhookSender },
): void {
  log.fatal({ finding }, 'the audit record was rolled back: no effect starts any more')
  metrics.auditBroken.set(1)
  const alert = { kind: 'alert.audit_broken', message: finding, at: new Date().toISOString() }
  void webhooks.alert(alert).catch((error: unknown) => {
    log.error({ err: error }, 'alert webhook not delivered')
  })
}
