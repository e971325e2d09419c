import { Worker } from 'node:worker_threads'
import type { Answer, Question } from './rego-questions.ts'

/** Longer, and the worker is stopped: tests that never end must not hold up every reload behind them. */
const ANSWER_TIMEOUT_MS = 30_000
/** A compilation makes trees and drops them; with the usual size, half its time is collecting them. */
const YOUNG_MB = 64

// One worker for all reloads: it stays warm, and compiles several times as fast as a new one.
let worker: Worker | undefined
let turn: Promise<unknown> = Promise.resolve()

/** Asks the worker, one question after the other. Rejects when it stops or takes too long. */
export function askWorker(question: Question): Promise<Answer> {
  const run = turn.then(() => ask(question))
  turn = run.catch(() => undefined)
  return run
}

async function ask(question: Question): Promise<Answer> {
  worker ??= new Worker(new URL('./rego-worker.mjs', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
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
    asked.unref()
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
    const onExit = () => fail('the compiler stopped')
    const timer = setTimeout(() => fail('it took too long'), ANSWER_TIMEOUT_MS)
    asked.on('message', onMessage).on('error', onError).on('exit', onExit)
    asked.postMessage(question)
  })
}
