import type { KeyObject } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { sha256 } from '../../lib/canonical.ts'
import type { Logger } from '../../lib/log.ts'
import type { GivenFiles, PolicyStore } from '../../policy/store.ts'
import { DirectoryWatch } from '../../policy/watch.ts'
import { diagnosticAt, Findings, wholeFile } from '../../sources/diagnostics.ts'
import { readPolicyDir } from '../../sources/files.ts'
import { CheckThread } from './check-away.ts'
import { BundleDownload, type BundleService } from './download.ts'
import { bundleKey } from './signature.ts'

// A policy whose Rego and documents come from a bundle service, beside the guards and tools of a directory: one revision of both.
// What was downloaded and checked is one more file of the directory, and goes the way that every policy goes. Where it does
// not load, or none can be had, the last good policy decides; the last good bundle is kept on disk too, for a start while the
// service is away.

/** What the bundle is called among the files of the policy. */
export const SERVED_FILE = 'served.tar.gz'
const KEPT_FILE = 'policy-bundle.tar.gz'
/** After a failure: soon at first, then as seldom as after a success. */
const RETRY_MS = 1_000
/** What was kept will do for a start; nobody waits longer for a service that says nothing. */
const FIRST_MS = 5_000
/** One that keeps requests open is asked again at once; one that says so and does not must not be asked in a circle. */
const BREATH_MS = 100

export interface ServedBy extends BundleService {
  /** Seconds between two requests, up to twice as long. */
  readonly pollS: number
  /** PEM; null: bundles are not signed. */
  readonly publicKeyFile: string | null
  readonly scope: string
}

export interface ServedHome {
  readonly policyDir: string
  readonly dataDir: string
}

export class ServedPolicy {
  readonly #home: ServedHome
  readonly #service: ServedBy
  readonly #policies: PolicyStore
  readonly #log: Logger
  readonly #download: BundleDownload
  readonly #key: KeyObject | null
  readonly #checks = new CheckThread()
  readonly #ending = new AbortController()
  readonly #watch: DirectoryWatch
  #bundle: Buffer | undefined
  #running: Promise<void> | undefined
  #problem: string | undefined
  #failures = 0
  /** What was downloaded is not what decides, and nobody said that it may not. */
  #isDue = false
  /** It was not what the service had before. */
  #isNew = false

  /** @throws Error when the key of signatures cannot be read */
  constructor(home: ServedHome, service: ServedBy, policies: PolicyStore, log: Logger) {
    this.#home = home
    this.#service = service
    this.#policies = policies
    this.#log = log
    this.#download = new BundleDownload(service)
    const { publicKeyFile: file } = service
    this.#key = file === null ? null : bundleKey(file)
    this.#watch = new DirectoryWatch(home.policyDir, () => void this.#reload('watch'))
  }

  /** The files of the directory with the bundle. @throws GatewayError `no_policy` */
  readonly read = async (): Promise<GivenFiles> => {
    const files = await readPolicyDir(this.#home.policyDir, new Findings())
    if (!files) throw new GatewayError('no_policy', 'the policy directory changes while it is read')
    if (files.has(SERVED_FILE)) {
      throw new GatewayError('no_policy', `the policy directory has a ${SERVED_FILE} of its own`)
    }
    const served = this.#bundle ? { [SERVED_FILE]: this.#bundle } : {}
    return { files: { ...Object.fromEntries(files), ...served } }
  }

  /**
   * Gets what the service has, or takes what it had: before the policy is loaded for the first time.
   * @throws GatewayError `no_policy` where there is neither
   */
  async first(): Promise<void> {
    const kept = await this.#kept()
    const got = await this.#get(kept && AbortSignal.timeout(FIRST_MS))
    if (got.bundle && (!kept || got.bundle.equals(kept) || (await this.#loads(got.bundle)))) {
      this.#bundle = got.bundle
      return
    }
    if (!kept) {
      throw new GatewayError(
        'no_policy',
        `the bundle of the policy: ${got.problem ?? 'there is none'}`,
      )
    }
    // What was refused just now is asked for again, and told of, when the gate runs.
    this.#download.forget()
    this.#bundle = kept
  }

  /** From now on both are followed: the service and the directory. */
  async start(): Promise<void> {
    await this.#keep()
    await this.#watch.start()
    this.#running = this.#follow()
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#watch.stop()
    await this.#running
    this.#checks.end()
  }

  get #keptFile(): string {
    return path.join(this.#home.dataDir, KEPT_FILE)
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      const got = await this.#get()
      if (signal.aborted) return
      await this.#take(got)
      await pause(this.#pauseMs(), undefined, { signal }).catch(() => {})
    }
  }

  async #take({ bundle, problem }: Got): Promise<void> {
    this.#failures = problem === undefined ? 0 : this.#failures + 1
    if (problem !== undefined) return this.#tell(problem)
    const isNew = bundle !== null && !(this.#bundle?.equals(bundle) ?? false)
    this.#isNew = isNew
    if (isNew) this.#bundle = bundle
    // One that is away and comes back unchanged has nothing wrong any more.
    if (isNew || this.#isDue || this.#problem !== undefined) await this.#reload('bundle')
    this.#problem = undefined
  }

  async #reload(reason: 'bundle' | 'watch'): Promise<void> {
    this.#isDue = true
    try {
      const result = await this.#policies.reload(reason)
      this.#isDue = false
      if (result.ok) await this.#keep()
    } catch (error) {
      // It cannot be put on record, or be read, right now: the next round tries again.
      this.#log.warn({ err: error }, 'the policy is not adopted yet')
    }
  }

  async #get(late?: AbortSignal): Promise<Got> {
    const { signal } = this.#ending
    try {
      const bundle = await this.#download.next(late ? AbortSignal.any([signal, late]) : signal)
      if (bundle) await this.#check(bundle)
      return { bundle, problem: undefined }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      // An answer that is no bundle is asked for again: nobody remembers it by its tag.
      this.#download.forget()
      return { bundle: null, problem: message || 'the bundle service gave no answer' }
    }
  }

  async #check(bundle: Buffer): Promise<void> {
    if (this.#bundle?.equals(bundle)) return
    const { scope } = this.#service
    await this.#checks.check({ bundle, key: this.#key, scope }, this.#ending.signal)
  }

  async #loads(bundle: Buffer): Promise<boolean> {
    const { files } = await this.read()
    const result = await this.#policies.check({ ...files, [SERVED_FILE]: bundle })
    return result.ok
  }

  /** As what a policy is refused for: on record, in the log, in the metric. Once for each problem. */
  #tell(problem: string): void {
    if (problem === this.#problem && this.#policies.rejection) return
    this.#problem = problem
    this.#policies.refuse(
      [diagnosticAt(wholeFile(SERVED_FILE), 'error', 'bundle', problem)],
      'bundle',
    )
  }

  /** What decided last, if it can be believed still: the key may be another by now, and a disk may fail. */
  async #kept(): Promise<Buffer | undefined> {
    const kept = await fs.readFile(this.#keptFile).catch(() => undefined)
    if (!kept) return undefined
    try {
      await this.#check(kept)
      return kept
    } catch (error) {
      this.#log.warn({ err: error }, 'the last good bundle that was kept is not used')
      return undefined
    }
  }

  /** What decides now will do for a start without the service; what came in meanwhile may not. */
  async #keep(): Promise<void> {
    const bundle = this.#bundle
    const decides = this.#policies.current.files.find((one) => one.path === SERVED_FILE)
    if (!bundle || decides?.sha256 !== sha256(bundle)) return
    const kept = await fs.readFile(this.#keptFile).catch(() => undefined)
    if (kept?.equals(bundle)) return
    const draft = `${this.#keptFile}.new`
    await fs.writeFile(draft, bundle, { mode: 0o600 })
    await fs.rename(draft, this.#keptFile)
  }

  #pauseMs(): number {
    const pollMs = this.#service.pollS * 1_000
    if (this.#failures > 0) return Math.min(RETRY_MS * 2 ** (this.#failures - 1), pollMs)
    // A service that has another one each time is followed no faster than that.
    if (this.#isDue || this.#isNew) return RETRY_MS
    return this.#download.keepsOpen ? BREATH_MS : pollMs * (1 + Math.random())
  }
}

interface Got {
  /** Null: the last one still, or none. */
  readonly bundle: Buffer | null
  readonly problem: string | undefined
}
