import { GatewayError } from '../errors.ts'
import { sha256 } from '../lib/canonical.ts'
import type { Remembered } from '../operations/explain.ts'
import { closeAll } from '../policy/load.ts'
import type { Candidate, GivenFiles, PolicyStore } from '../policy/store.ts'
import { digestOf, keepContent, missingContents, readContent } from '../record/policy-contents.ts'
import { findRevision, wasPublished, type Revision } from '../record/policy-revisions.ts'
import type { Db } from '../store/tx.ts'

/** Old bundles that somebody asked about, kept for who asks next. */
const LOADED_MAX = 2

/** A revision with its files; `files` is null when they are no longer kept. */
export interface KeptRevision {
  readonly made: Revision
  readonly files: GivenFiles | null
}

/** Every revision that ever was live, with the bytes of its files. */
export class History {
  readonly #db: Db
  readonly #policies: PolicyStore
  readonly #loaded = new Map<string, Promise<Remembered>>()

  constructor(db: Db, policies: PolicyStore) {
    this.#db = db
    this.#policies = policies
  }

  /**
   * Keeps the files of what is about to be recorded, those that are not kept yet.
   * @throws GatewayError `conflict` when a file is no longer what the revision was made of
   */
  async keep({ bundle, content, standIn }: Candidate): Promise<void> {
    const missing = new Set(
      await missingContents(this.#db, [
        ...bundle.files.map((file) => file.sha256),
        ...(standIn ? [sha256(standIn.text)] : []),
      ]),
    )
    for (const { path, sha256: digest } of bundle.files) {
      if (!missing.delete(digest)) continue
      const bytes = await content(path).catch(() => Buffer.alloc(0))
      if ((await digestOf(bytes)) !== digest) {
        throw new GatewayError('conflict', `\`${path}\` changed while it was recorded`)
      }
      await keepContent(this.#db, digest, bytes)
    }
    if (standIn && missing.has(sha256(standIn.text))) {
      await keepContent(this.#db, sha256(standIn.text), Buffer.from(standIn.text))
    }
  }

  /** A revision by its digest, or by its beginning. @throws GatewayError `not_found` */
  async find(named: string): Promise<Revision> {
    const made = /^[0-9a-f]{8,64}$/.test(named) ? await findRevision(this.#db, named) : undefined
    if (made) return made
    throw new GatewayError('not_found', 'there is no such revision, or more than one begins so')
  }

  /** @throws GatewayError `not_found` */
  async read(named: string): Promise<KeptRevision> {
    const made = await this.find(named)
    return { made, files: await this.filesOf(made) }
  }

  /** Whether a revision was ever the policy: what waited for people, or was refused by them, was not. */
  wasLive(revision: string): Promise<boolean> {
    return wasPublished(this.#db, revision)
  }

  /** The files of a revision; null when one of them is no longer kept. */
  async filesOf({ files, standIn }: Revision): Promise<GivenFiles | null> {
    const contents: [string, Uint8Array][] = []
    for (const { path, sha256: digest } of files) {
      const bytes = await readContent(this.#db, digest)
      if (!bytes) return null
      contents.push([path, bytes])
    }
    const given = { files: Object.fromEntries(contents) }
    if (!standIn) return given
    const text = await readContent(this.#db, standIn.sha256)
    return text ? { ...given, standIn: { name: standIn.name, text: text.toString('utf8') } } : null
  }

  /** A content by its digest. @throws GatewayError `invalid_request` where it is not kept */
  async content(digest: string): Promise<Uint8Array> {
    const bytes = await readContent(this.#db, digest)
    if (bytes) return bytes
    throw new GatewayError('invalid_request', `no content \`${digest}\` is kept: send it`)
  }

  /** The bundle of a revision, to be asked why it decided what it did. */
  bundleOf(revision: string): Promise<Remembered> {
    const { current } = this.#policies
    if (current.revision === revision) return Promise.resolve({ bundle: current })
    const known = this.#loaded.get(revision) ?? this.#load(revision)
    this.#loaded.delete(revision) // and in again as the last that was asked about
    this.#loaded.set(revision, known)
    for (const one of this.#loaded.keys()) {
      if (this.#loaded.size > LOADED_MAX) this.#loaded.delete(one)
    }
    // What failed for now is tried again.
    known.catch(() => this.#loaded.delete(revision))
    return known
  }

  async #load(revision: string): Promise<Remembered> {
    const made = await findRevision(this.#db, revision)
    const files = made && (await this.filesOf(made))
    if (!files) return { bundle: null, why: 'the files of the revision that decided are not kept' }
    const result = await this.#policies.draft(files, 'skipped')
    if (!result.ok) {
      return { bundle: null, why: 'the revision that decided does not load here any more' }
    }
    const { bundle } = result
    await closeAll(bundle.modules)
    if (bundle.revision === revision) return { bundle }
    const why = 'the revision that decided had other values from the environment'
    return { bundle: null, why }
  }
}
