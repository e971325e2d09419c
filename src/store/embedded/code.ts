import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

// PostgreSQL as WebAssembly is nine megabytes of code. A compiled module can be handed to other threads, which then share it, and with
// it what the engine has optimised so far: a database that is opened anew, or another one in the process, is fast from the start.

let compiled: WebAssembly.Module | undefined

/** The code of the embedded database, compiled once in a process. */
export function databaseCode(): WebAssembly.Module {
  if (compiled) return compiled
  const entry = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  compiled = new WebAssembly.Module(fs.readFileSync(path.join(path.dirname(entry), 'pglite.wasm')))
  return compiled
}
