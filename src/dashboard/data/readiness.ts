import type { Calls } from '../../client/api.ts'
import { ask, Failure } from './api.ts'

export type Readiness = Calls['GET /readyz']['answer']

/** What the gate depends on: that something is not ready is an answer as well. @throws Failure */
export async function readiness(): Promise<Readiness> {
  try {
    return (await ask('GET /readyz')).body as Readiness
  } catch (error) {
    const body = error instanceof Failure && error.status === 503 ? error.body : undefined
    if (typeof body === 'object' && body && 'checks' in body) return body as Readiness
    throw error
  }
}
