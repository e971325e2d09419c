import { GatewayError } from '../errors.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import type { Bundle } from '../bundle/types.ts'
import type { GivenFiles } from '../policy/store.ts'
import { lastPublication } from '../record/policy-revisions.ts'
import type { Db } from '../store/tx.ts'
import type { History } from './history.ts'

/**
 * The policy of a gate whose policy is in the database: what was published last. Before anything was, it is what lies in
 * the policy directory, which has no say from then on.
 */
export class KeptPolicy {
  readonly #db: Db
  readonly #history: History
  readonly #dir: string
  #seen = ''

  constructor(db: Db, history: History, dir: string) {
    this.#db = db
    this.#history = history
    this.#dir = dir
  }

  /** The revision that was read last; '' where nothing had been published. */
  get seen(): string {
    return this.#seen
  }

  /** @throws GatewayError `no_policy` */
  readonly read = async (): Promise<GivenFiles> => {
    const last = await lastPublication(this.#db)
    this.#seen = last?.revision ?? ''
    if (!last) return this.#ofDirectory()
    const { files } = await this.#history.read(last.revision)
    if (files) return files
    throw new GatewayError('no_policy', 'the files of the published policy are not kept')
  }

  /** @throws GatewayError `conflict` for a bundle that is not what is published */
  async assertPublished({ revision }: Bundle): Promise<void> {
    const last = await lastPublication(this.#db)
    if (!last || last.revision === revision) return
    const message =
      'the policy is kept in the database: publish there; the same files make another revision only where the environment differs'
    throw new GatewayError('conflict', message)
  }

  async #ofDirectory(): Promise<GivenFiles> {
    const files = await readPolicyDir(this.#dir, new Findings())
    if (!files) throw new GatewayError('no_policy', 'the policy directory changes while it is read')
    return { files: Object.fromEntries(files) }
  }
}
