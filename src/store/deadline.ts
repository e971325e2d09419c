import type { ClientBase } from 'pg'

/** A deadline is counted in slices: while this thread could not run, no answer could be read either. */
const SLICES = 5

/** Calls `onLate` after `ms` in which this thread could run; the answer stops the clock. */
export function deadline(ms: number, onLate: () => void): () => void {
  let left = SLICES
  const timer = setInterval(() => {
    if (--left > 0) return
    clearInterval(timer)
    onLate()
  }, ms / SLICES)
  return () => clearInterval(timer)
}

/** Ends a connection without waiting for the other side, which may never answer. */
export function cut(client: ClientBase): void {
  const known = client as unknown as {
    end(): Promise<void>
    connection?: { stream?: { destroy(): void } }
  }
  known.end().catch(() => {})
  known.connection?.stream?.destroy()
}

/** Whoever is asked to close answers within this; behind a broken network nobody ever does. */
const END_MS = 1_000

/** Waits for `closing`, and calls `onLate` where the other side does not answer it. */
export async function ended(closing: Promise<unknown>, onLate: () => void): Promise<void> {
  let answered = () => {}
  const late = new Promise<void>((resolve) => {
    answered = deadline(END_MS, () => {
      onLate()
      resolve()
    })
  })
  await Promise.race([closing.catch(() => {}), late])
  answered()
}

/** No answer came in time: whether the statement ran is not known, and its connection is gone. */
export class DatabaseLate extends Error {
  readonly code = 'ETIMEDOUT'

  constructor() {
    super('the database did not answer in time')
  }
}
