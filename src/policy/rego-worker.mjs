// Compiles and explains Rego away from the thread that answers requests. Plain JavaScript, because a worker does not have
// the test loader: run from src/, it asks that loader for the TypeScript; run from dist/, it just imports.
import { parentPort } from 'node:worker_threads'

const isSource = import.meta.url.includes('/src/policy/')

async function load(name) {
  if (!isSource) return import(`./${name}.js`)
  const { tsImport } = await import('tsx/esm/api')
  return tsImport(`./${name}.ts`, import.meta.url)
}

const { answerQuestion } = await load('rego-questions')
parentPort.on('message', (question) => parentPort.postMessage(answerQuestion(question)))
