import { LRUCache } from 'lru-cache'
import type { Seal } from '../lib/seal.ts'
import type { ActionRow } from '../record/actions.ts'
import { storedAnswer, type StoredAnswer } from '../record/answers.ts'
import type { Db } from '../store/tx.ts'
import type { Claim } from './claim.ts'
import type { StoredResult } from '../model/result.ts'

// The record of a masked answer cannot give it to the agent again. So the replica that carried an action out has it in
// memory for a while, for an agent that waits or comes back; and where the request came with an `Idempotency-Key`, it
// is stored sealed with the API key that was presented, as answers with keys in them are (docs/decisions/004). Whoever
// comes later, or with another key after a restart, gets the answer as it is on record.

const ANSWERS_MAX = 1_000
const BYTES_MAX = 32 * 1024 * 1024
const KEPT_MS = 15 * 60_000

export class ClearAnswers {
  readonly #db: Db
  readonly #recent = new LRUCache<string, StoredResult>({
    max: ANSWERS_MAX,
    maxSize: BYTES_MAX,
    ttl: KEPT_MS,
    sizeCalculation: ({ text = '', base64 = '' }) => text.length + base64.length + 1,
  })

  constructor(db: Db) {
    this.#db = db
  }

  remember(actionId: string, result: StoredResult): void {
    this.#recent.set(actionId, result)
  }

  /** The answer in clear, if this replica has it still or the caller can open it. */
  async find(row: ActionRow, seal: Seal | null | undefined): Promise<StoredResult | null> {
    if (row.result === '') return null
    const recent = this.#recent.get(row.id)
    if (recent || !seal || row.idempotency_key === null) return recent ?? null
    const kept = await storedAnswer(this.#db, [holderOf(row.id)], row.idempotency_key)
    if (!kept) return null
    try {
      return JSON.parse(seal.open(kept.sealed)) as StoredResult
    } catch {
      return null // sealed with another key of the same agent
    }
  }
}

/** The answer as it is stored for whoever repeats the request; undefined where nobody could open it. */
export function sealedAnswer(claim: Claim, result: StoredResult): StoredAnswer | undefined {
  const { seal, idempotencyKey, actionId, requestHash } = claim
  if (!seal || idempotencyKey === null) return undefined
  return {
    key_id: holderOf(actionId),
    key: idempotencyKey,
    request_hash: requestHash,
    sealed: seal.close(JSON.stringify(result)),
  }
}

/** No holder of an API key is called so. */
const holderOf = (actionId: string): string => `action:${actionId}`
