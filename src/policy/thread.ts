import { Worker } from 'node:worker_threads'
import type { Answer, Ask, Question } from './away.ts'

/** Longer, and the thread is stopped: a load that never ends must not hold up every reload behind it. */
const ANSWER_TIMEOUT_MS = 120_000
/** A load makes trees and drops them; with the usual size, half its time is collecting them. */
const YOUNG_MB = 64

/**
 * Asks one thread, one question after the other, and starts it anew when it stopped or took too long. It stays warm from
 * one reload to the next: a warm compiler is several times as fast as a new one. With `idleMs` it ends when it was asked
 * nothing for that long.
 */
export function threadOf(file: URL, idleMs?: number): Ask {
  let worker: Worker | undefined
  let turn: Promise<unknown> = Promise.resolve()
  let idle: NodeJS.Timeout | undefined
  const rest = (asked: Worker): void => {
    asked.unref()
    if (idleMs === undefined) return
    idle = setTimeout(() => {
      if (worker === asked) worker = undefined
      void asked.terminate()
    }, idleMs).unref()
  }
  const ask = async (question: Question): Promise<Answer> => {
    clearTimeout(idle)
    worker ??= new Worker(file, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      workerData: { isAwaited: idleMs === undefined },
    })
    const asked = worker
    asked.ref()
    try {
      return await answerOf(asked, question)
    } catch (error) {
      worker = undefined
      void asked.terminate()
      throw error
    } finally {
      rest(asked)
    }
  }
  return (question) => {
    const run = turn.then(() => ask(question))
    turn = run.catch(() => undefined)
    return run
  }
}

function answerOf(asked: Worker, question: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      clearTimeout(timer)
      asked.off('message', onMessage).off('error', onError).off('exit', onExit)
      settle()
    }
    const fail = (message: string) => done(() => reject(new Error(message)))
    const onMessage = (answer: Answer) => done(() => resolve(answer))
    const onError = (error: Error) => fail(error.message)
    const onExit = () => fail('the thread ended')
    const timer = setTimeout(() => fail('it took too long'), ANSWER_TIMEOUT_MS)
    asked.on('message', onMessage).on('error', onError).on('exit', onExit)
    asked.postMessage(question)
  })
}
