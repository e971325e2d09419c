import { setTimeout as delay } from 'node:timers/promises'
import { DatabaseLate } from './deadline.ts'

/** How long a start waits for a record that cannot be written at once. */
const START_MS = 30_000
const PAUSE_MS = 200
/** Codes of the gate's errors that pass by themselves. */
const PASSING: ReadonlySet<unknown> = new Set([
  'audit_unavailable',
  'store_unavailable',
  'overloaded',
])

/**
 * For what is written at a start, when nobody waits for an answer: a database that is late for once is asked again, rather
 * than the gate not starting. `work` may run more than once.
 */
export async function patiently<Output>(work: () => Promise<Output>): Promise<Output> {
  const deadline = performance.now() + START_MS
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isLate(error) || performance.now() > deadline) throw error
      await delay(PAUSE_MS)
    }
  }
}

/** Of a server that takes a connection and does not say so in time: the driver has no code for it. */
const LATE_CONNECTION = /^(?:Connection terminated due to connection timeout|timeout exceeded)/

const isLate = (error: unknown): boolean =>
  error instanceof DatabaseLate ||
  PASSING.has((error as { code?: unknown }).code) ||
  LATE_CONNECTION.test((error as Error).message)
