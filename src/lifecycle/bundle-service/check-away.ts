import { Worker } from 'node:worker_threads'
import type { ToCheck } from './signature.ts'

// To unpack and hash what a service sends takes as long as whoever sends it likes, up to a bound in bytes that is seconds of
// work. So it is done in a thread, one for each bundle, since there is seldom one; what takes longer than any should is refused.

const WORKER = new URL('./check-worker.mjs', import.meta.url)
const CHECK_MS_MAX = 120_000
const HEAP_MB_MAX = 2_048

/** @throws Error with what is wrong with a bundle, or why nobody can say */
export async function checkAway(bundle: ToCheck, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const workerData = bundle
  const worker = new Worker(WORKER, {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  })
  const over = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS_MAX)])
  try {
    const problem = await answerOf(worker, over)
    if (problem !== null) throw new Error(problem)
  } finally {
    void worker.terminate()
  }
}

function answerOf(worker: Worker, over: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error('it cannot be checked: that took too long'))
    over.addEventListener('abort', fail, { once: true })
    const done = (settle: () => void) => {
      over.removeEventListener('abort', fail)
      settle()
    }
    worker
      .once('message', (problem: string | null) => done(() => resolve(problem)))
      .once('error', ({ message }) =>
        done(() => reject(new Error(`it cannot be checked: ${message}`))),
      )
      .once('exit', () => done(() => reject(new Error('it cannot be checked: the thread ended'))))
  })
}
