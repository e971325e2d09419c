import { Worker } from 'node:worker_threads'
import type { ToCheck } from './signature.ts'

// To unpack and hash what a service sends takes as long as whoever sends it likes, up to a bound in bytes that is seconds of
// work. So it is done in a thread, which ends a while after the last one; what takes longer than any should is refused.

const WORKER = new URL('./check-worker.mjs', import.meta.url)
const CHECK_MS_MAX = 120_000
const IDLE_MS = 10_000
const HEAP_MB_MAX = 2_048

/** Checks one bundle after another. */
export class CheckThread {
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined

  /** @throws Error with what is wrong with a bundle, or why nobody can say */
  async check(bundle: ToCheck, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    clearTimeout(this.#idle)
    const asked = (this.#worker ??= this.#begin())
    asked.ref()
    const over = AbortSignal.any([signal, AbortSignal.timeout(CHECK_MS_MAX)])
    const problem = await answerOf(asked, bundle, over).catch((error: unknown) => {
      this.end()
      throw error
    })
    asked.unref()
    this.#idle = setTimeout(() => this.end(), IDLE_MS).unref()
    if (problem !== null) throw new Error(problem)
  }

  #begin(): Worker {
    const worker = new Worker(WORKER, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } })
    // Also one that nobody waits for any more must not end the process with it.
    return worker
      .on('error', () => {})
      .on('exit', () => {
        if (this.#worker === worker) this.#worker = undefined
      })
  }

  end(): void {
    clearTimeout(this.#idle)
    void this.#worker?.terminate()
    this.#worker = undefined
  }
}

function answerOf(asked: Worker, bundle: ToCheck, over: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      over.removeEventListener('abort', onOver)
      asked.off('message', onMessage).off('error', onError).off('exit', onExit)
      settle()
    }
    const fail = (why: string) => done(() => reject(new Error(`it cannot be checked: ${why}`)))
    const onMessage = (problem: string | null) => done(() => resolve(problem))
    const onError = ({ message }: Error) => fail(message)
    const onExit = () => fail('the thread ended')
    const onOver = () => fail('that took too long')
    over.addEventListener('abort', onOver)
    asked.on('message', onMessage).on('error', onError).on('exit', onExit)
    asked.postMessage(bundle)
  })
}
