import type { Caller } from '../agents/keys.ts'
import {
  countingVoices,
  type EnvironmentKeys,
  recentKeysIssuedBy,
  voiceOf,
} from '../approvals/voters.ts'
import { GatewayError } from '../errors.ts'
import type { JsonObject } from '../model/json.ts'
import type { PublishTerms } from '../bundle/types.ts'
import type { PolicyStore } from '../policy/store.ts'
import type { Operations } from '../operations/operations.ts'
import { registryEntry } from '../operations/registry.ts'
import {
  endPublish,
  findPublish,
  type HeldPublish,
  insertPublish,
  insertPublishVote,
  type PublishStatus,
  type PublishVote,
  votesOfPublish,
} from '../record/policy-publishes.ts'
import { keepRevision } from '../record/policy-revisions.ts'
import type { Db, Tx } from '../store/tx.ts'
import { diffPolicies, type PolicyDiff } from './diff.ts'
import type { History } from './history.ts'
import { recordPublication } from './journal.ts'
import type { Outcome, Publisher, Wanted } from './publisher.ts'

// A publish that other people have to agree to, by the rule of the policy it would replace. A vote is recorded by itself;
// the one that makes it enough also publishes, in a batch that counts the votes again and holds the base against what
// is the policy then. So nothing lies between `pending` and `published`: a gate that ends there has a publish with
// enough votes, and whoever approves it once more carries it out.

export interface PublishesParts {
  readonly db: Db
  readonly policies: PolicyStore
  readonly operations: Operations
  readonly history: History
  readonly publisher: Publisher
  readonly environment: EnvironmentKeys
}

/** What came of a vote; `outcome` where it was the last that was needed. */
export interface Voted {
  readonly publish: HeldPublish
  readonly outcome: Outcome | null
}

export class Publishes {
  readonly #parts: PublishesParts

  constructor(parts: PublishesParts) {
    this.#parts = parts
  }

  /** Holds what is wanted until enough others agree. @throws GatewayError `policy_invalid`, `stale_revision` */
  async hold(wanted: Wanted, terms: PublishTerms): Promise<HeldPublish> {
    const { given, base, author, note } = wanted
    const { publisher, history, operations, db } = this.#parts
    const bundle = await publisher.rehearse(wanted)
    const { revision } = bundle
    const content = async (name: string) => given.files[name] ?? new Uint8Array()
    await history.keep({ bundle, reason: '', author, content, standIn: null })
    const id = await operations.write(async (tx) => {
      await keepRevision(tx, {
        revision,
        files: bundle.files,
        standIn: null,
        counts: { ...bundle.counts },
      })
      const { quorum, roles } = terms
      const made = await insertPublish(tx, { revision, base, author, note, ...terms })
      const said = { publish_id: made, revision, base, author, note, quorum, roles: [...roles] }
      tx.append(registryEntry('policy.publish_held', '', said))
      return made
    })
    return this.#found(db, id)
  }

  /** @throws GatewayError `not_found` */
  async read(id: string): Promise<{ publish: HeldPublish; votes: PublishVote[] }> {
    const publish = await this.#found(this.#parts.db, id)
    return { publish, votes: await votesOfPublish(this.#parts.db, id) }
  }

  /** What it would change; null where its files, or those of its base, are not kept any more. */
  async diff({ base, revision }: HeldPublish): Promise<PolicyDiff | null> {
    const { history } = this.#parts
    const [before, after] = [await history.read(base), await history.read(revision)]
    return before.files && after.files && diffPolicies(before.files.files, after.files.files)
  }

  /** @throws GatewayError `not_found`, `forbidden`, `conflict`, and where it is published, as `publish` does */
  async approve(id: string, caller: Caller, reason: string): Promise<Voted> {
    const { operations, db } = this.#parts
    const isEnough = await operations.write(async (tx) => {
      const publish = await this.#open(tx, id, caller)
      if (voiceOf(caller.name) === voiceOf(publish.author)) {
        throw new GatewayError('forbidden', 'whoever publishes does not approve it')
      }
      if ((await recentKeysIssuedBy(tx, publish.author, tx.nowMs)).has(caller.keyId)) {
        const message = `\`${publish.author}\`, who publishes it, issued this key in the last 30 days`
        throw new GatewayError('forbidden', `${message}: vote with one that somebody else issued`)
      }
      await vote(tx, publish, caller, 'approve', reason)
      return this.#isAgreed(tx, publish)
    })
    const publish = await this.#found(db, id)
    return isEnough ? this.#carryOut(publish) : { publish, outcome: null }
  }

  /** @throws GatewayError `not_found`, `forbidden`, `conflict` */
  deny(id: string, caller: Caller, reason: string): Promise<HeldPublish> {
    return this.#end(id, 'denied', caller, reason, async (tx) => {
      const publish = await this.#open(tx, id, caller)
      await vote(tx, publish, caller, 'deny', reason)
    })
  }

  /** Withdrawn by its author, or by an admin. */
  cancel(id: string, caller: Caller, reason: string): Promise<HeldPublish> {
    return this.#end(id, 'cancelled', caller, reason, async (tx) => {
      const publish = await this.#pending(tx, id)
      const isAuthor = voiceOf(caller.name) === voiceOf(publish.author)
      if (!isAuthor && caller.role !== 'admin') {
        throw new GatewayError('forbidden', 'only its author or an admin can withdraw it')
      }
    })
  }

  async #carryOut(publish: HeldPublish): Promise<Voted> {
    const { id, base, revision, author, note } = publish
    const { publisher, operations, history, db } = this.#parts
    const { files } = await history.read(revision)
    if (!files) throw new GatewayError('conflict', 'its files are not kept any more')
    try {
      const outcome = await publisher.publishAgreed(files, author, (candidate) =>
        operations.write(async (tx) => {
          const now = await this.#pending(tx, id)
          if (candidate.bundle.revision !== revision || !(await this.#isAgreed(tx, now))) {
            throw new GatewayError(
              'conflict',
              'a vote does not count any more, or the environment differs',
            )
          }
          const how = {
            source: 'api',
            author,
            note,
            reason: `published by ${author}`,
            base,
          } as const
          await recordPublication(tx, candidate, how)
          await endPublish(tx, id, 'published')
        }),
      )
      return { publish: await this.#found(db, id), outcome }
    } catch (error) {
      await this.#failed(id, error)
      throw error
    }
  }

  // Somebody was faster, or it does not load any more: it will not be published, and is on record as that.
  async #failed(id: string, error: unknown): Promise<void> {
    const codes: Partial<Record<string, PublishStatus>> = {
      stale_revision: 'stale',
      policy_invalid: 'failed',
    }
    const status = error instanceof GatewayError ? codes[error.code] : undefined
    if (!status) return
    await this.#parts.operations.write(async (tx) => {
      await endPublish(tx, id, status)
      const message = (error as GatewayError).message
      tx.append(registryEntry(`policy.publish_${status}`, '', { publish_id: id, message }))
    })
  }

  async #end(
    id: string,
    status: 'denied' | 'cancelled',
    { name, keyId }: Caller,
    reason: string,
    check: (tx: Tx) => Promise<void>,
  ): Promise<HeldPublish> {
    await this.#parts.operations.write(async (tx) => {
      await check(tx)
      await endPublish(tx, id, status)
      const said: JsonObject = { publish_id: id, actor: name, key_id: keyId, reason }
      tx.append(registryEntry(`policy.publish_${status}`, '', said))
    })
    return this.#found(this.#parts.db, id)
  }

  async #found(db: Db, id: string): Promise<HeldPublish> {
    const publish = await findPublish(db, id)
    if (publish) return publish
    throw new GatewayError('not_found', 'there is no such publish')
  }

  async #pending(db: Db, id: string): Promise<HeldPublish> {
    const publish = await this.#found(db, id)
    if (publish.status === 'pending') return publish
    const { status } = publish
    throw new GatewayError('conflict', `it is ${status} already`, { details: { status } })
  }

  /** Pending, and this person's to decide. */
  async #open(tx: Tx, id: string, caller: Caller): Promise<HeldPublish> {
    const publish = await this.#pending(tx, id)
    if (publish.roles.includes(caller.role)) return publish
    const message = `needs a key of role ${publish.roles.join(' or ')}`
    throw new GatewayError('forbidden', message)
  }

  async #isAgreed(tx: Tx, { id, author, quorum, roles }: HeldPublish): Promise<boolean> {
    const authors = await recentKeysIssuedBy(tx, author, tx.nowMs)
    const votes = (await votesOfPublish(tx, id))
      .filter(({ keyId }) => !authors.has(keyId))
      .map(({ reason, ...one }) => ({ ...one, approvalId: id, comment: reason }))
    const objection = (name: string) => (voiceOf(name) === voiceOf(author) ? 'publishes it' : null)
    const terms = { approverRoles: roles }
    const voices = await countingVoices(tx, votes, terms, objection, this.#parts.environment)
    return voices.size >= quorum
  }
}

async function vote(
  tx: Tx,
  { id, revision }: HeldPublish,
  { name, keyId }: Caller,
  choice: 'approve' | 'deny',
  reason: string,
): Promise<void> {
  const said = { keyId, approver: name, vote: choice, reason }
  if (!(await insertPublishVote(tx, id, voiceOf(name), said))) return
  const detail = { publish_id: id, revision, vote: choice, approver: name, key_id: keyId, reason }
  tx.append(registryEntry('policy.publish_voted', '', detail))
}
