import fs from 'node:fs/promises'
import path from 'node:path'
import { GatewayError } from '../errors.ts'
import type { PolicyLoader } from './away.ts'
import { type Diagnostic, diagnosticAt, wholeFile } from '../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
import { closeAll, loadBundle, type LoadOptions, type LoadResult } from './load.ts'
import type { Bundle } from '../bundle/types.ts'
import { DirectoryWatch } from './watch.ts'

export interface PolicyStoreOptions
  extends Omit<LoadOptions, 'nowMs' | 'gateOverride' | 'liveFiles'> {
  readonly dir: string
  /** Paths given to `reload` must lie in here. Default: the parent of `dir`. */
  readonly root?: string
  /** Watch the directory. Default: true. */
  readonly watch?: boolean
  /** The clock. Only for recording when things happened. */
  readonly now?: () => number
  /** Loads in another thread; without one, in this. */
  readonly loader?: PolicyLoader
  /** One line for each reload, accepted or refused. */
  readonly log?: PolicyLog
}

export interface PolicyLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type ReloadResult =
  | { readonly ok: true; readonly changed: boolean; readonly bundle: Bundle }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/** The last time a directory was refused, until one is accepted again. */
export interface Rejection {
  readonly atMs: number
  readonly reason: string
  readonly diagnostics: readonly Diagnostic[]
}

export interface PolicyListener {
  onReloaded?(bundle: Bundle, previous: Bundle | undefined, reason: string): void
  onRejected?(diagnostics: readonly Diagnostic[], reason: string): void
}

/** Puts a bundle on record. @throws whatever keeps it from being recorded: then it is not adopted */
export type RecordAdoption = (bundle: Bundle, reason: string) => Promise<void>

interface Source {
  readonly dir: string
  readonly gateFile: string | undefined
}

const RECORD_RETRY_MS = 1_000
const RETIRE_MS = 30_000 // longer than any decision by the old bundle can still be running

/**
 * Holds the bundle that decides. A directory that does not load changes nothing: the last good
 * bundle stays, and what was wrong with the new one is kept to be shown.
 */
export class PolicyStore {
  readonly #options: PolicyStoreOptions
  readonly #listeners = new Set<PolicyListener>()
  readonly #retired = new Set<NodeJS.Timeout>()
  #current: Bundle | undefined
  #rejection: Rejection | undefined
  /** What stood in for `gate.yaml` when the current bundle was made. */
  #override: string | undefined
  #source: Source
  #watch: DirectoryWatch | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #stopped = false
  #pending: Promise<ReloadResult> | undefined
  #record: RecordAdoption = async () => {}
  #retry: NodeJS.Timeout | undefined

  constructor(options: PolicyStoreOptions) {
    this.#options = options
    this.#source = this.#home()
  }

  /** The bundle to decide by. Take it once for each request. @throws GatewayError no_policy */
  get current(): Bundle {
    if (this.#current) return this.#current
    throw new GatewayError('no_policy', 'no policy is loaded')
  }

  /** Set while the directory holds something that was refused. */
  get rejection(): Rejection | undefined {
    return this.#rejection
  }

  /** Loads and starts watching. @throws GatewayError policy_invalid or no_policy, with diagnostics */
  async start(): Promise<void> {
    // Watching comes before the first load, so that no change can fall between the two.
    await this.#watchDir(this.#source.dir)
    const result = await this.reload('start')
    if (result.ok) return
    await this.stop()
    const { diagnostics } = result
    const code = diagnostics.some((one) => one.code === 'no_policy')
      ? 'no_policy'
      : 'policy_invalid'
    const first = diagnostics[0]
    const where = first ? `: ${first.file}:${first.line}:${first.col} ${first.message}` : ''
    throw new GatewayError(code, `the policy does not load${where}`, { details: { diagnostics } })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#watch?.stop()
    this.#watch = undefined
    clearTimeout(this.#retry)
    await this.#tail
    for (const timer of this.#retired) clearTimeout(timer)
    this.#retired.clear()
    if (this.#current) await closeAll(this.#current.modules)
  }

  /** From now on a bundle is recorded before it decides anything. */
  recordBeforeAdopting(record: RecordAdoption): void {
    this.#record = record
  }

  subscribe(listener: PolicyListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Loads the configured directory anew and swaps if all is well. With a path: that directory, or
   * that file in place of `gate.yaml`, until the next reload without one.
   * @throws GatewayError invalid_request when the path is not inside the root
   */
  async reload(reason: string, requested?: string): Promise<ReloadResult> {
    const source = requested === undefined ? this.#home() : await this.#locate(requested)
    return this.#enqueue(() => this.#load(reason, source))
  }

  /** Loads without swapping: a directory or file under the root, or files by content. */
  async check(
    from: string | Readonly<Record<string, string | Uint8Array>> | undefined,
  ): Promise<LoadResult> {
    const source = typeof from === 'string' ? await this.#locate(from) : this.#source
    const options = await this.#loadOptions(source)
    const result = await this.#read(typeof from === 'object' ? from : source.dir, options)
    if (result.ok) await closeAll(result.bundle.modules)
    return result
  }

  readonly #home = (): Source => ({ dir: path.resolve(this.#options.dir), gateFile: undefined })

  // However often the watcher calls while a load waits its turn, one more look is enough.
  #reloadWatched(): Promise<ReloadResult> {
    this.#pending ??= this.#enqueue(() => {
      this.#pending = undefined // a change from here on needs a look that starts later
      return this.#load('watch', this.#source)
    })
    return this.#pending
  }

  // One load at a time: the order of swaps is the order of requests.
  #enqueue(work: () => Promise<ReloadResult>): Promise<ReloadResult> {
    const run = this.#tail.then(work)
    this.#tail = run.catch(() => undefined)
    return run
  }

  async #load(reason: string, source: Source): Promise<ReloadResult> {
    const options = await this.#loadOptions(source)
    const result = await this.#read(source.dir, { ...options, live: this.#liveFor(options) })
    if (!result.ok) {
      const { diagnostics } = result
      // What somebody only tried says nothing about what is on disk.
      const isLive = source.dir === this.#source.dir && source.gateFile === this.#source.gateFile
      if (isLive) this.#rejection = Object.freeze({ atMs: this.#now(), reason, diagnostics })
      this.#refused(diagnostics, reason)
      return { ok: false, diagnostics }
    }
    const { bundle } = result
    if (bundle.revision !== this.#current?.revision) await this.#recorded(bundle, reason)
    if (source.dir !== this.#source.dir) await this.#watchDir(source.dir)
    this.#source = source
    this.#override = options.gateOverride?.text
    this.#rejection = undefined
    return this.#swap(bundle, reason)
  }

  // Not on record, not adopted: the last good bundle stays until it can be recorded.
  async #recorded(bundle: Bundle, reason: string): Promise<void> {
    try {
      await this.#record(bundle, reason)
    } catch (error) {
      await closeAll(bundle.modules)
      throw error
    }
  }

  #read(
    from: string | Readonly<Record<string, string | Uint8Array>>,
    options: LoadOptions & { readonly live?: Bundle | undefined },
  ): Promise<LoadResult> {
    const { loader } = this.#options
    return loader ? loader.load(from, options) : loadBundle(from, options)
  }

  // The watcher sees a directory that a caller has just had loaded; the same files make the same bundle.
  #liveFor({ gateOverride }: LoadOptions): Bundle | undefined {
    return gateOverride?.text === this.#override ? this.#current : undefined
  }

  async #swap(bundle: Bundle, reason: string): Promise<ReloadResult> {
    const previous = this.#current
    if (previous?.revision === bundle.revision) {
      if (bundle !== previous) await closeAll(bundle.modules)
      // The watcher looks more often than there is something to see.
      if (reason !== 'watch') this.#log({ revision: bundle.revision, reason }, 'policy unchanged')
      return { ok: true, changed: false, bundle: previous }
    }
    this.#current = bundle
    if (previous) this.#retire(previous)
    const { revision, counts, warnings } = bundle
    const fields = { revision, previous: previous?.revision, reason, ...counts }
    this.#log({ ...fields, warnings: warnings.length }, 'policy loaded')
    this.#tell((one) => one.onReloaded?.(bundle, previous, reason))
    return { ok: true, changed: true, bundle }
  }

  // Decisions that began with the old bundle finish with it.
  #retire(bundle: Bundle): void {
    if (bundle.modules.length === 0) return
    const timer = setTimeout(() => {
      this.#retired.delete(timer)
      void closeAll(bundle.modules)
    }, RETIRE_MS)
    timer.unref()
    this.#retired.add(timer)
  }

  async #loadOptions(source: Source): Promise<LoadOptions> {
    const base = { ...this.#options, nowMs: this.#now() }
    if (source.gateFile === undefined) return base
    const text = await fs.readFile(source.gateFile, 'utf8')
    return { ...base, gateOverride: { name: path.basename(source.gateFile), text } }
  }

  // The root bounds what a caller may make the gate read, links included.
  async #locate(requested: string): Promise<Source> {
    const root = await fs.realpath(
      this.#options.root ?? path.dirname(path.resolve(this.#options.dir)),
    )
    const file = await fs.realpath(path.resolve(root, requested)).catch(() => undefined)
    const inside = file !== undefined && (file === root || file.startsWith(root + path.sep))
    if (!inside) throw notThere(requested)
    const stat = await fs.stat(file)
    if (stat.isDirectory()) return { dir: path.resolve(root, requested), gateFile: undefined }
    if (!/\.ya?ml$/.test(file) || stat.size > POLICY_LIMITS.yamlBytesMax) throw notThere(requested)
    return { dir: path.resolve(this.#options.dir), gateFile: file }
  }

  async #watchDir(dir: string): Promise<void> {
    if (this.#options.watch === false || this.#stopped) return
    await this.#watch?.stop()
    this.#watch = new DirectoryWatch(dir, () => this.#onChange())
    await this.#watch.start()
  }

  #onChange(): void {
    void this.#reloadWatched().catch((error: unknown) => {
      if (error instanceof GatewayError) return this.#tryAgain(error)
      const message = error instanceof Error ? error.message : String(error)
      const one = diagnosticAt(wholeFile('.'), 'error', 'unreadable', message)
      this.#rejection = Object.freeze({ atMs: this.#now(), reason: 'watch', diagnostics: [one] })
      this.#refused([one], 'watch')
    })
  }

  // What changed on disk could not be put on record: it is looked at again until it can.
  #tryAgain(error: GatewayError): void {
    this.#options.log?.warn({ err: error }, 'policy not adopted: it cannot be recorded yet')
    clearTimeout(this.#retry)
    if (this.#stopped) return
    this.#retry = setTimeout(() => this.#onChange(), RECORD_RETRY_MS).unref()
  }

  #log(fields: object, message: string): void {
    this.#options.log?.info(fields, message)
  }

  #refused(diagnostics: readonly Diagnostic[], reason: string): void {
    const [first] = diagnostics
    const finding =
      first && `${first.file}:${first.line}:${first.col} ${first.code}: ${first.message}`
    const revision = this.#current?.revision
    const fields = { revision, reason, findings: diagnostics.length, first: finding }
    this.#options.log?.warn(
      fields,
      revision ? 'policy refused: the last good one stays' : 'policy refused',
    )
    this.#tell((one) => one.onRejected?.(diagnostics, reason))
  }

  #tell(call: (listener: PolicyListener) => void): void {
    for (const listener of this.#listeners) call(listener)
  }

  #now(): number {
    return (this.#options.now ?? Date.now)()
  }
}

const notThere = (requested: string): GatewayError =>
  new GatewayError('invalid_request', `no policy file or directory \`${requested.slice(0, 200)}\``)
