// Checks bundles away from the thread that answers requests. Plain JavaScript, because a worker does not have the test loader:
// run from src/, it asks that loader for the TypeScript; run from dist/, it just imports.
import fs from 'node:fs'
import os from 'node:os'
import { parentPort } from 'node:worker_threads'

const isSource = import.meta.url.includes('/src/lifecycle/')

async function load(name) {
  if (!isSource) return import(`./${name}.js`)
  const { tsImport } = await import('tsx/esm/api')
  return tsImport(`./${name}.ts`, import.meta.url)
}

// Linux gives each thread a priority of its own: whoever waits for an answer goes before a bundle.
try {
  const thread = Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1))
  os.setPriority(thread, os.constants.priority.PRIORITY_BELOW_NORMAL)
} catch {}

const { problemOf } = await load('signature')
parentPort.on('message', (bundle) => {
  void problemOf(bundle).then((problem) => parentPort.postMessage(problem))
})
