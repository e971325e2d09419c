import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { authenticate, identify, plainRequest, type Step } from './edge.ts'
import { failureHandler } from './errors.ts'
import type { HttpParts } from './parts.ts'

// The way of an action without the framework, which costs about as much as all else that the gate does for
// it: the same steps in the same order, called one after another. Whatever needs more (an origin, another
// spelling of the path, a query) takes the long way, which is the reference: tests send every request by both
// and compare the answers.

/** A call that is answered without the framework. */
export interface DirectCall {
  readonly takes: (method: string, target: string) => boolean
  /** After those of every request: who may, the body, and what is asked. */
  readonly steps: readonly Step[]
}

/** Sends each request the short way where there is one, and else through the app. */
export function frontDoor(
  parts: Pick<HttpParts, 'log' | 'metrics' | 'config' | 'keyRing' | 'failedLogins'>,
  calls: readonly DirectCall[],
  app: RequestListener,
): RequestListener {
  const before = [
    identify(parts.log, parts.metrics, parts.config.trustedProxies),
    plainRequest,
    authenticate(parts.keyRing, parts.failedLogins),
  ]
  const direct = calls.map(({ takes, steps }) => ({ takes, steps: [...before, ...steps] }))
  const failed = failureHandler(parts.log)
  return (req, res) => {
    const { method = '', url = '', headers } = req
    const call =
      headers.origin === undefined ? direct.find((one) => one.takes(method, url)) : undefined
    if (call) void walk(call.steps, req, res).catch((error: unknown) => failed(error, req, res))
    else app(req, res)
  }
}

async function walk(
  steps: readonly Step[],
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  for (const step of steps) {
    const done = step(req, res)
    if (done !== undefined) await done
  }
}
