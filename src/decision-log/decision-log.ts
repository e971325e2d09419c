import { parsePointer } from '../bundle/pointer.ts'
import type { DecisionLogConfig } from '../config.ts'
import type { Bundle } from '../bundle/types.ts'
import type { LogMask } from './rego-mask.ts'
import { DecisionLogSender, type DecisionLogParts } from './sender.ts'

type GivenParts = Omit<DecisionLogParts, 'logMask'> & {
  readonly version: string
  readonly bundle: () => Bundle
}

/** What sends the decision log as it is configured. */
export function decisionLogSender(
  config: DecisionLogConfig,
  { version, bundle, ...parts }: GivenParts,
): DecisionLogSender {
  const { url, token, batch, uploadBytesMax, minDelayS, maxDelayS, labels, masks } = config
  return new DecisionLogSender(
    {
      ...{ url, token, batch, uploadBytesMax },
      delayMs: { min: minDelayS * 1000, max: maxDelayS * 1000 },
      labels: { id: parts.replicaId, version, app: 'portcullis', ...labels },
      masks: masks.flatMap((text) => {
        const steps = parsePointer(text)
        return steps ? [steps] : []
      }),
    },
    { ...parts, logMask: () => logMaskOf(bundle()) },
  )
}

/** The mask of today's policy is for events of yesterday, too: what is to be hidden by now is. */
async function logMaskOf({ documents }: Bundle): Promise<LogMask | undefined> {
  const known = await documents?.documents?.()
  return known?.logMask && ((eventText) => known.logMask?.(eventText))
}
