import { setImmediate as breathe } from 'node:timers/promises'

// Long enough to get on, short enough that a request behind it does not notice.
const SLICE_MS = 5

/** Does something with each of many, and lets whatever else waits for this thread in between. */
export async function inSlices<T>(items: Iterable<T>, each: (item: T) => void): Promise<void> {
  let since = performance.now()
  for (const item of items) {
    each(item)
    if (performance.now() - since < SLICE_MS) continue
    await breathe()
    since = performance.now()
  }
}
