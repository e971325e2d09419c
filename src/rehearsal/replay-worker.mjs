// Decides recorded actions again away from the thread that answers requests.
import { parentPort } from 'node:worker_threads'
import { load, yieldToRequests } from '../lib/worker-thread.mjs'

yieldToRequests()
// What rejects ends the thread, and whoever started it is told so.
const { replay } = await load('replay-thread', import.meta.url)
parentPort.on('message', (task) => void replay(task, (said) => parentPort.postMessage(said)))
