import { Worker } from 'node:worker_threads'
import type { ReplaySays, ReplayTask } from './replay-thread.ts'

// The thread of replays, one for a process: a replay at a time, and a while after the last one it ends. Until then it is
// warm, as is what compiles policies in it.

/** As much as a policy and a page of decisions need; what would need more has to fail, and not the gate. */
const HEAP_MB_MAX = 1_024
const RUN_MS_MAX = 1_800_000
const IDLE_MS = 60_000

const WORKER = new URL('./replay-worker.mjs', import.meta.url)

export type ReplayEnd = Exclude<ReplaySays, { kind: 'progress' }>

/** A replay that takes longer than any should. */
export class ReplayTooLong extends Error {
  constructor() {
    super(`more than ${RUN_MS_MAX / 60_000} minutes`)
  }
}

let worker: Worker | undefined
let idle: NodeJS.Timeout | undefined
let turn: Promise<unknown> = Promise.resolve()

/** Runs one when its turn has come. @throws Error when it is aborted, takes too long, or its thread ends */
export function runReplay(
  task: () => ReplayTask,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<ReplayEnd> {
  const run = turn.then(() => ask(task, onProgress, signal))
  turn = run.catch(() => undefined)
  return run
}

async function ask(
  task: () => ReplayTask,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<ReplayEnd> {
  signal.throwIfAborted()
  clearTimeout(idle)
  worker ??= new Worker(WORKER, { resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX } })
  const asked = worker
  asked.ref()
  try {
    const end = await answerOf(asked, task(), onProgress, signal)
    idle = setTimeout(() => letGo(asked), IDLE_MS).unref()
    return end
  } catch (error) {
    letGo(asked)
    throw error
  } finally {
    asked.unref()
  }
}

function letGo(asked: Worker): void {
  if (worker === asked) worker = undefined
  void asked.terminate()
}

function answerOf(
  asked: Worker,
  task: ReplayTask,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<ReplayEnd> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      clearTimeout(timer)
      asked.off('message', onMessage).off('error', onError).off('exit', onExit)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onMessage = (said: ReplaySays) =>
      said.kind === 'progress' ? onProgress(said.done, said.total) : done(() => resolve(said))
    const onError = (error: Error) => done(() => reject(error))
    const onExit = () => onError(new Error('the thread ended'))
    const onAbort = () => onError(new Error('aborted'))
    const timer = setTimeout(() => onError(new ReplayTooLong()), RUN_MS_MAX)
    asked.on('message', onMessage).on('error', onError).on('exit', onExit)
    signal.addEventListener('abort', onAbort)
    asked.postMessage(task, 'port' in task.reach ? [task.reach.port] : [])
  })
}
