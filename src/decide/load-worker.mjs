// Loads policies and explains Rego away from the thread that answers requests. Plain JavaScript, because a worker does not have
// the test loader: run from src/, it asks that loader for the TypeScript; run from dist/, it just imports.
import fs from 'node:fs'
import os from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'

const isSource = import.meta.url.includes('/src/decide/')

async function load(name) {
  if (!isSource) return import(`./${name}.js`)
  const { tsImport } = await import('tsx/esm/api')
  return tsImport(`./${name}.ts`, import.meta.url)
}

// Linux gives each thread a priority of its own: whoever waits for an answer goes before a load. Not the lowest: beside a
// process that computes, a load would get a sixtieth of a core, and nobody could change a policy. Elsewhere there is no such
// file, and a load takes its fair share.
function yieldToRequests() {
  try {
    const thread = Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1))
    os.setPriority(thread, os.constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {}
}
// The first load of a start is what everybody waits for.
if (!workerData?.isAwaited) yieldToRequests()

const { answer, collectGarbage, prepare } = await load('load')

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
