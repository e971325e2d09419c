import path from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Json, JsonObject } from '../model/json.ts'

// One worker thread with one module, without environment, output or more memory than it is given. A thread
// that missed its deadline is never asked again, as its answer to the last question could be taken for one
// to the next.

const WORKER = path.join(import.meta.dirname, 'opa-worker.mjs')
/** A thread that starts on a busy machine takes seconds; what never ends must not hold up a reload for ever. */
const LOAD_MS_MAX = 30_000
const MEMORY_PAGES_MAX = 1024 // 64 MiB
const HEAP_MB_MAX = 128

/** What a module said about itself when it was loaded. */
export interface OpaManifest {
  readonly entrypoints: readonly string[]
  readonly missing: readonly string[]
}

export type OpaResults =
  | { readonly ok: true; readonly results: readonly Json[] }
  | { readonly ok: false; readonly message: string }

interface Settle {
  resolve(message: unknown): void
  reject(error: Error): void
}

/** One thread with one instance of a module. It answers one question at a time. */
export class OpaThread {
  readonly #worker: Worker
  #settle: Settle | undefined
  #dead: Error | undefined

  private constructor(wasm: Uint8Array, data: Uint8Array) {
    this.#worker = new Worker(WORKER, {
      workerData: { wasm, data, memoryPagesMax: MEMORY_PAGES_MAX },
      execArgv: [],
      env: {},
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    })
    this.#worker.stdout.resume() // what a policy prints is nobody's business
    this.#worker.stderr.resume()
    this.#worker.on('message', (message) => this.#finish((one) => one.resolve(message)))
    this.#worker.on('error', (error) => this.#die(error))
    this.#worker.on('exit', () => this.#die(new Error('the policy thread ended')))
    this.#worker.unref()
  }

  /** Loads a module with documents as JSON; both may lie in shared memory. Rejects with what is wrong with it. */
  static async start(
    wasm: Uint8Array,
    data: Uint8Array,
  ): Promise<{ thread: OpaThread; manifest: OpaManifest }> {
    const thread = new OpaThread(wasm, data)
    try {
      const manifest = await thread.#within(LOAD_MS_MAX, () => undefined)
      return { thread, manifest: manifest as OpaManifest }
    } catch (error) {
      await thread.stop()
      throw error
    }
  }

  get isAlive(): boolean {
    return this.#dead === undefined
  }

  /** Rejects when the deadline passes or the thread dies; then the thread is of no more use. */
  async evaluate(
    entrypoints: readonly string[],
    input: JsonObject,
    deadlineMs: number,
  ): Promise<OpaResults> {
    const ask = () => this.#worker.postMessage({ entrypoints, input })
    return (await this.#within(deadlineMs, ask)) as OpaResults
  }

  async stop(): Promise<void> {
    this.#die(new Error('the policy thread was stopped'))
    await this.#worker.terminate()
  }

  async #within(deadlineMs: number, begin: () => void): Promise<unknown> {
    if (this.#dead) throw this.#dead
    this.#worker.ref()
    const answer = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    const late = () => this.#die(new PolicyTimeout(deadlineMs))
    // After a stall of our own the answer may be waiting behind the timer: let it in first.
    const timer = setTimeout(() => setImmediate(late), deadlineMs)
    begin()
    return answer.finally(() => {
      clearTimeout(timer)
      this.#worker.unref()
    })
  }

  #finish(how: (one: Settle) => void): void {
    const settle = this.#settle
    this.#settle = undefined
    if (settle) how(settle)
  }

  #die(error: Error): void {
    if (error instanceof PolicyTimeout && !this.#settle) return
    this.#dead ??= error
    this.#finish((one) => one.reject(error))
  }
}

export class PolicyTimeout extends Error {
  constructor(deadlineMs: number) {
    super(`no answer within ${deadlineMs} ms`)
  }
}
