import fs from 'node:fs/promises'
import path from 'node:path'
import { GatewayError } from '../errors.ts'
import type { LoadRequest, PolicyLoader } from './away.ts'
import { type Diagnostic, diagnosticAt, wholeFile } from '../sources/diagnostics.ts'
import { POLICY_LIMITS } from '../sources/limits.ts'
import { closeAll, loadBundle, type LoadOptions, type LoadResult } from './load.ts'
import { heldCases } from './must-cases.ts'
import type { Bundle, PolicyJudge } from '../bundle/types.ts'
import type { TestedPolicy } from './test-run.ts'
import { DirectoryWatch } from './watch.ts'

// Everything that would become the policy goes through one queue, so that two loads never overlap and the last one
// asked for is the one that stays. A load ends in one of three ways: refused (the last good bundle goes on
// deciding, and why is kept to be shown), not recorded (the same, and it is tried again), or adopted, which is one
// assignment. What was replaced is closed only when no decision can be running by it any more.

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
  /** Loads what is only to be looked at; default: `loader`, whose reloads wait for it then. */
  readonly draftLoader?: PolicyLoader
  /** What asks a bundle that is about to decide for what no revision may get wrong. */
  readonly judge?: PolicyJudge
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

/** What came of a rehearsal. */
export type Rehearsed =
  | { readonly ok: true; readonly bundle: Bundle }
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

/** Files by content, with what stands in for `gate.yaml` where something does. */
export interface GivenFiles {
  readonly files: Readonly<Record<string, Uint8Array>>
  readonly standIn?: { readonly name: string; readonly text: string } | undefined
}

/** A policy that is kept elsewhere than in a directory. */
export type ReadPolicy = () => Promise<GivenFiles>

/** A bundle that is about to decide, with the files it was made of. */
export interface Candidate {
  readonly bundle: Bundle
  readonly reason: string
  /** Who wanted it; '' where nobody did but the files. */
  readonly author: string
  /** A file of the bundle, as it is now where it was read from. */
  readonly content: (path: string) => Promise<Uint8Array>
  readonly standIn: { readonly name: string; readonly text: string } | null
}

/** Puts a bundle on record. @throws whatever keeps it from being recorded: then it is not adopted */
export type RecordAdoption = (candidate: Candidate) => Promise<void>

/** How something becomes the policy that is not in the directory yet. */
export interface Adopting {
  readonly reason: string
  readonly author?: string
  /** What a rollback returns to was tested when it was new: its tests are told, and do not stop it. */
  readonly isRollback?: boolean
  /** It is the policy already, by the say of what it follows: what this gate decides by has none. */
  readonly isPublished?: boolean
  /** Asked when its turn has come: what is live already need not be loaded again. */
  readonly isWanted?: (live: Bundle) => boolean
  /** In place of the store's own; it also puts the files where the policy is kept. */
  readonly record?: RecordAdoption
}

type Source =
  | { readonly kind: 'directory'; readonly dir: string; readonly gateFile: string | undefined }
  | { readonly kind: 'given'; readonly read: ReadPolicy }

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
  #standIn: Candidate['standIn'] = null
  /** What a reload without a path loads: the directory, or what is kept elsewhere. */
  #home: Source
  #source: Source
  #watch: DirectoryWatch | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #stopped = false
  #pending: Promise<ReloadResult> | undefined
  #record: RecordAdoption = async () => {}
  #retry: NodeJS.Timeout | undefined

  constructor(options: PolicyStoreOptions) {
    this.#options = options
    this.#home = { kind: 'directory', dir: path.resolve(options.dir), gateFile: undefined }
    this.#source = this.#home
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

  /**
   * Loads and starts watching; what is kept elsewhere is not watched.
   * @throws GatewayError policy_invalid or no_policy, with diagnostics
   */
  async start(from?: ReadPolicy): Promise<void> {
    if (from) this.#home = { kind: 'given', read: from }
    this.#source = this.#home
    // Watching comes before the first load, so that no change can fall between the two.
    await this.#watchSource(this.#source)
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

  /** Notes that what would become the policy cannot: it could not be had, or is not to be believed. What decides stays. */
  refuse(diagnostics: readonly Diagnostic[], reason: string): void {
    this.#rejection = Object.freeze({ atMs: this.#now(), reason, diagnostics })
    this.#refused(diagnostics, reason)
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
  async reload(reason: string, requested?: string, author = ''): Promise<ReloadResult> {
    const source = requested === undefined ? this.#home : await this.#locate(requested)
    return this.#enqueue(() => this.#load(source, { reason, author }))
  }

  /**
   * Loads what is given and swaps if all is well and `how.record` has put it where the policy is kept. Loads of the
   * directory wait meanwhile, so that none sees half of it.
   */
  adopt(read: ReadPolicy, how: Adopting): Promise<ReloadResult> {
    return this.#enqueue(() => this.#load({ kind: 'given', read }, how))
  }

  /** What is live, as it was before it was adopted: for what was loaded before anything could be recorded. */
  async asCandidate(reason: string): Promise<Candidate> {
    const { content } = await this.#opened(this.#source)
    return { bundle: this.current, reason, author: '', content, standIn: this.#standIn }
  }

  /** What another thread loads a policy with, as this store would. */
  get loading(): LoadRequest {
    const { env, defaults } = this.#options
    return { env, nowMs: this.#now(), ...(defaults ? { defaults } : {}) }
  }

  /** Runs every test of a policy, in the thread of drafts. @throws Error where there is none */
  test(given: GivenFiles): Promise<TestedPolicy> {
    const loader = this.#draftLoader
    if (!loader)
      throw new Error('tests run where policies are loaded, and this store has no loader')
    const base = { ...this.#options, nowMs: this.#now() }
    return loader.test(given.files, { ...base, ...overrideOf(given.standIn) })
  }

  /** Everything of `adopt` but to record and to adopt. */
  async rehearse(given: GivenFiles, how: Pick<Adopting, 'isRollback'>): Promise<Rehearsed> {
    const result = await this.prepare(given, how)
    if (result.ok) await closeAll(result.bundle.modules)
    return result
  }

  /** The same, with a bundle that can decide; who has it retires it. */
  async prepare(given: GivenFiles, how: Pick<Adopting, 'isRollback'>): Promise<Rehearsed> {
    const result = await this.draft(given, how.isRollback ? 'told' : 'hold')
    if (!result.ok) return result
    const diagnostics = await this.#unheld(result.bundle, how)
    if (diagnostics.length === 0) return result
    await closeAll(result.bundle.modules)
    return { ok: false, diagnostics }
  }

  /** Loads without swapping, to be looked at or asked; who has it closes its modules. */
  async draft(given: GivenFiles, tests: NonNullable<LoadOptions['tests']>): Promise<LoadResult> {
    const base = { ...this.#options, nowMs: this.#now() }
    const options = { ...base, ...(tests ? { tests } : {}), ...overrideOf(given.standIn) }
    return this.#read(given.files, options, this.#draftLoader)
  }

  /** Loads without swapping: a directory or file under the root, or files by content. */
  async check(
    from: string | Readonly<Record<string, string | Uint8Array>> | undefined,
  ): Promise<LoadResult> {
    const source = typeof from === 'string' ? await this.#locate(from) : this.#source
    const { options, files } = await this.#opened(source)
    const read = typeof from === 'object' ? from : files
    const result = await this.#read(read, options, this.#draftLoader)
    if (result.ok) await closeAll(result.bundle.modules)
    return result
  }

  // However often the watcher calls while a load waits its turn, one more look is enough.
  #reloadWatched(): Promise<ReloadResult> {
    this.#pending ??= this.#enqueue(() => {
      this.#pending = undefined // a change from here on needs a look that starts later
      return this.#load(this.#source, { reason: 'watch' })
    })
    return this.#pending
  }

  // One load at a time: the order of swaps is the order of requests.
  #enqueue(work: () => Promise<ReloadResult>): Promise<ReloadResult> {
    const run = this.#tail.then(work)
    this.#tail = run.catch(() => undefined)
    return run
  }

  async #load(source: Source, how: Adopting): Promise<ReloadResult> {
    const { reason, isWanted } = how
    if (this.#current && isWanted?.(this.#current) === false) {
      return { ok: true, changed: false, bundle: this.#current }
    }
    const { options, files, content } = await this.#opened(source)
    const tests: Pick<LoadOptions, 'tests'> = how.isRollback ? { tests: 'told' } : {}
    const live = this.#liveFor(options)
    const result = await this.#read(files, { ...options, ...tests, live })
    const { diagnostics } = result.ok
      ? { diagnostics: await this.#unheld(result.bundle, how) }
      : result
    if (!result.ok || diagnostics.length > 0) {
      if (result.ok) await closeAll(result.bundle.modules)
      // What somebody only tried says nothing about what is on disk.
      if (sameSource(source, this.#source)) {
        this.#rejection = Object.freeze({ atMs: this.#now(), reason, diagnostics })
      }
      this.#refused(diagnostics, reason)
      return { ok: false, diagnostics }
    }
    const { bundle } = result
    const standIn = options.gateOverride ?? null
    // What somebody wants to be the policy may be that for this gate alone.
    if (how.record || bundle.revision !== this.#current?.revision) {
      const { author = '' } = how
      await this.#recorded({ bundle, reason, author, content, standIn }, how.record ?? this.#record)
    }
    // What was given has been put where the policy is kept by now.
    await this.#settle(source.kind === 'given' ? this.#home : source)
    this.#standIn = standIn
    const isBack = this.#rejection !== undefined
    this.#rejection = undefined
    return this.#swap(bundle, reason, isBack)
  }

  async #settle(source: Source): Promise<void> {
    if (!sameFolder(source, this.#source)) await this.#watchSource(source)
    this.#source = source
  }

  // Asked of the very bundle that would decide; what decides now has a say in what follows it.
  async #unheld(
    bundle: Bundle,
    { isRollback = false, isPublished = false }: Pick<Adopting, 'isRollback' | 'isPublished'>,
  ): Promise<readonly Diagnostic[]> {
    const { judge } = this.#options
    if (!judge || bundle === this.#current) return []
    return heldCases(bundle, isPublished ? undefined : this.#current, judge, isRollback)
  }

  // Not on record, not adopted: the last good bundle stays until it can be recorded.
  async #recorded(candidate: Candidate, record: RecordAdoption): Promise<void> {
    try {
      await record(candidate)
    } catch (error) {
      await closeAll(candidate.bundle.modules)
      throw error
    }
  }

  #read(
    from: string | Readonly<Record<string, string | Uint8Array>>,
    options: LoadOptions & { readonly live?: Bundle | undefined },
    loader = this.#options.loader,
  ): Promise<LoadResult> {
    return loader ? loader.load(from, options) : loadBundle(from, options)
  }

  // The watcher sees a directory that a caller has just had loaded; the same files make the same bundle.
  #liveFor({ gateOverride }: LoadOptions): Bundle | undefined {
    return gateOverride?.text === this.#standIn?.text ? this.#current : undefined
  }

  async #swap(bundle: Bundle, reason: string, isBack: boolean): Promise<ReloadResult> {
    const previous = this.#current
    if (previous?.revision === bundle.revision) {
      if (bundle !== previous) await closeAll(bundle.modules)
      // The watcher looks more often than there is something to see, but for the way back from what was refused.
      const message = isBack ? 'policy in order again: unchanged' : 'policy unchanged'
      if (isBack || reason !== 'watch') this.#log({ revision: bundle.revision, reason }, message)
      return { ok: true, changed: false, bundle: previous }
    }
    this.#current = bundle
    if (previous) this.retire(previous)
    const { revision, counts, warnings } = bundle
    const fields = { revision, previous: previous?.revision, reason, ...counts }
    this.#log({ ...fields, warnings: warnings.length }, 'policy loaded')
    this.#tell((one) => one.onReloaded?.(bundle, previous, reason))
    return { ok: true, changed: true, bundle }
  }

  /** Decisions that began with a bundle finish with it; then it is closed. */
  retire(bundle: Bundle): void {
    if (bundle.modules.length === 0) return
    const timer = setTimeout(() => {
      this.#retired.delete(timer)
      void closeAll(bundle.modules)
    }, RETIRE_MS)
    timer.unref()
    this.#retired.add(timer)
  }

  /** What is loaded, how, and where each file can be read again. */
  async #opened(source: Source): Promise<Opened> {
    const base = { ...this.#options, nowMs: this.#now() }
    if (source.kind === 'given') {
      const { files, standIn } = await source.read()
      const content = async (name: string) => files[name] ?? NOTHING
      return { options: { ...base, ...overrideOf(standIn) }, files, content }
    }
    const { dir, gateFile } = source
    const content = (name: string) => fs.readFile(path.join(dir, name))
    if (gateFile === undefined) return { options: base, files: dir, content }
    const text = await fs.readFile(gateFile, 'utf8')
    const override = overrideOf({ name: path.basename(gateFile), text })
    return { options: { ...base, ...override }, files: dir, content }
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
    const kind = 'directory'
    if (stat.isDirectory()) {
      return { kind, dir: path.resolve(root, requested), gateFile: undefined }
    }
    if (!/\.ya?ml$/.test(file) || stat.size > POLICY_LIMITS.yamlBytesMax) throw notThere(requested)
    return { kind, dir: path.resolve(this.#options.dir), gateFile: file }
  }

  async #watchSource(source: Source): Promise<void> {
    if (this.#options.watch === false || this.#stopped) return
    await this.#watch?.stop()
    this.#watch = undefined
    if (source.kind === 'given') return
    this.#watch = new DirectoryWatch(source.dir, () => this.#onChange())
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

  get #draftLoader(): PolicyLoader | undefined {
    return this.#options.draftLoader ?? this.#options.loader
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

interface Opened {
  readonly options: LoadOptions
  readonly files: string | GivenFiles['files']
  readonly content: Candidate['content']
}

const NOTHING = new Uint8Array()

const overrideOf = (standIn: GivenFiles['standIn']): Pick<LoadOptions, 'gateOverride'> =>
  standIn ? { gateOverride: standIn } : {}

/** Whether both are watched, or not, alike. */
const sameFolder = (a: Source, b: Source): boolean =>
  a.kind === 'directory' ? b.kind === 'directory' && a.dir === b.dir : b.kind === 'given'

const sameSource = (a: Source, b: Source): boolean =>
  a.kind === 'directory'
    ? b.kind === 'directory' && a.dir === b.dir && a.gateFile === b.gateFile
    : b.kind === 'given' && a.read === b.read

const notThere = (requested: string): GatewayError =>
  new GatewayError('invalid_request', `no policy file or directory \`${requested.slice(0, 200)}\``)
