// Loads policies and explains Rego away from the thread that answers requests.
import { parentPort, workerData } from 'node:worker_threads'
import { load, yieldToRequests } from '../lib/worker-thread.mjs'

// The first load of a start is what everybody waits for.
if (!workerData?.isAwaited) yieldToRequests()

const { answer, collectGarbage, prepare } = await load('load', import.meta.url)

const IDLE_MS = 500
let idle
const whenIdle = () => {
  clearTimeout(idle)
  idle = setTimeout(() => (prepare() ? whenIdle() : collectGarbage()), IDLE_MS)
  idle.unref()
}

// The pieces of a load are handed over, not copied; shared memory stays shared.
const transfersOf = ({ pieces = [] }) => pieces.map(({ buffer }) => buffer)

// What rejects ends the thread, and whoever asked is told so.
async function reply(question) {
  const answered = await answer(question)
  parentPort.postMessage(answered, transfersOf(answered))
  yieldToRequests()
  whenIdle()
}

parentPort.on('message', (question) => {
  // What is only to be ready for later begins when nobody asks, or the next load would wait for it.
  clearTimeout(idle)
  void reply(question)
})
