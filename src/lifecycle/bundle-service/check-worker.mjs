// Checks bundles away from the thread that answers requests.
import { parentPort } from 'node:worker_threads'
import { load, yieldToRequests } from '../../lib/worker-thread.mjs'

yieldToRequests()
const { problemOf } = await load('signature', import.meta.url)
parentPort.on('message', (bundle) => {
  void problemOf(bundle).then((problem) => parentPort.postMessage(problem))
})
