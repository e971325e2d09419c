// What every thread that works beside the one that answers requests does first. Plain JavaScript, because a worker does not
// have the test loader: run from src/, it asks that loader for the TypeScript; run from dist/, it just imports.
import fs from 'node:fs'
import os from 'node:os'

const isSource = import.meta.url.endsWith('/src/lib/worker-thread.mjs')

/** The module of that name beside the worker whose `import.meta.url` is given. */
export async function load(name, beside) {
  if (!isSource) return import(new URL(`${name}.js`, beside).href)
  const { tsImport } = await import('tsx/esm/api')
  return tsImport(`./${name}.ts`, beside)
}

/**
 * Linux gives each thread a priority of its own: whoever waits for an answer goes first. Not the lowest: beside a process
 * that computes, this thread would get a sixtieth of a core, and what was asked of it would never end. Elsewhere there is no
 * such file, and it takes its fair share.
 */
export function yieldToRequests() {
  try {
    const thread = Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1))
    os.setPriority(thread, os.constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {}
}
