// Compiles Rego away from the thread that answers requests. Plain JavaScript, because a worker does not have
// the test loader: run from src/, it asks that loader for the TypeScript; run from dist/, it just imports.
import { parentPort } from 'node:worker_threads'

const isSource = import.meta.url.includes('/src/policy/')

async function compiler() {
  if (!isSource) return import('./rego-sources.js')
  const { tsImport } = await import('tsx/esm/api')
  return tsImport('./rego-sources.ts', import.meta.url)
}

const { compileSources } = await compiler()
parentPort.on('message', ({ sources, data }) =>
  parentPort.postMessage(compileSources(sources, data)),
)
