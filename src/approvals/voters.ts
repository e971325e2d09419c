import type { ApprovalTerms } from '../model/decision.ts'
import type { Db } from '../store/tx.ts'

// Whether a vote counts is asked twice: when it is given, and again when the action is about to run, by
// the terms of that moment. A key that was revoked since, a role that the policy no longer names, and
// somebody who could have made the agent's request look like another's do not count, whenever they voted.

/** A vote as it is stored. */
export interface Vote {
  readonly approvalId: string
  readonly keyId: string
  readonly approver: string
  readonly vote: 'approve' | 'deny'
  readonly comment: string
  readonly at: Date
}

/** Who asks for the approval, as far as votes are concerned. */
export interface Requester {
  readonly agentId: string
  readonly agentName: string
  readonly owner: string
  /** Of an access request: who else it is for, and whose key sent it. */
  readonly others?: readonly string[]
  readonly keyId?: string
}

/** A key that may have voted, while it is alive. */
export interface LiveKey {
  readonly role: string
  readonly name: string
}

/** The keys that the environment gives, which are alive as long as it gives them. */
export interface EnvironmentKeys {
  environmentKey(keyId: string): LiveKey | undefined
  /** Whether it gives a key that acts as the agent of this name. */
  actsAs(agentName: string): boolean
}

const LOOK_BACK_MS = 30 * 86_400_000

/** People are told apart by their names, in whatever spelling: two keys of one name, as one reads it, are one voice. */
export const voiceOf = (name: string): string =>
  name.normalize('NFKC').replaceAll(UNSEEN, '').trim().toLowerCase()

/** What is not shown: joiners, marks of direction, variation selectors. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}]/gu

/** Why this person's approval would not count, or null. */
export type Objection = (name: string) => string | null

/** Who could have made the request, or made it look like the agent's, and therefore does not approve it. */
export async function objectionsTo(
  db: Db,
  { agentId, agentName, owner, others = [], keyId = '' }: Requester,
  { separation }: ApprovalTerms,
  nowMs: number,
): Promise<Objection> {
  const since = new Date(nowMs - LOOK_BACK_MS)
  const keys = separation.keyIssuer
    ? await db.query<{ name: string; issued_by: string; is_recent: boolean }>(
        `select name, issued_by, created_at >= $2 as is_recent from api_keys
         where (agent_id = $1 or id = $3) and coalesce(revoked_at, 'infinity') >= $2
           and coalesce(expires_at, 'infinity') >= $2`,
        [agentId, since, keyId],
      )
    : []
  const issuers = new Set(keys.filter((one) => one.is_recent).map((one) => voiceOf(one.issued_by)))
  const holders = new Set(keys.map((one) => voiceOf(one.name)))
  const asking = new Set(others.map(voiceOf))
  return (name) => {
    const voice = voiceOf(name)
    if (voice === voiceOf(agentName)) return 'is the agent that asks'
    if (asking.has(voice)) return 'asks for it, or is whom it is asked for'
    if (separation.owner && voice === voiceOf(owner)) return 'owns the agent that asks'
    if (issuers.has(voice)) return 'issued a key of this agent in the last 30 days'
    return holders.has(voice) ? 'held a key of this agent in the last 30 days' : null
  }
}

/** The keys that this person issued lately: who makes a colleague's key can vote in the colleague's name. */
export async function recentKeysIssuedBy(
  db: Db,
  name: string,
  nowMs: number,
): Promise<ReadonlySet<string>> {
  const keys = await db.query<{ id: string; issued_by: string }>(
    'select id, issued_by from api_keys where created_at >= $1 and agent_id is null',
    [new Date(nowMs - LOOK_BACK_MS)],
  )
  const issued = keys.filter((one) => voiceOf(one.issued_by) === voiceOf(name))
  return new Set(issued.map(({ id }) => id))
}

/** The voices among these votes that approve and count by these terms, today. */
export async function countingVoices(
  db: Db,
  votes: readonly Vote[],
  terms: Pick<ApprovalTerms, 'approverRoles'>,
  objection: Objection,
  environment: EnvironmentKeys,
): Promise<ReadonlySet<string>> {
  const approving = votes.filter(({ vote }) => vote === 'approve')
  const alive = await liveKeys(db, approving)
  return new Set(
    approving
      .filter(({ keyId: id, approver }) => {
        const key = environment.environmentKey(id) ?? alive.get(id)
        const mayApprove = key !== undefined && terms.approverRoles.includes(key.role)
        return mayApprove && objection(approver) === null
      })
      .map(({ approver }) => voiceOf(approver)),
  )
}

async function liveKeys(db: Db, votes: readonly Vote[]): Promise<ReadonlyMap<string, LiveKey>> {
  if (votes.length === 0) return new Map()
  const rows = await db.query<LiveKey & { readonly id: string }>(
    `select id, role, name from api_keys where id = any($1) and revoked_at is null
       and (expires_at is null or expires_at > clock_timestamp())`,
    [votes.map(({ keyId: id }) => id)],
  )
  return new Map(rows.map((row) => [row.id, row]))
}

/** Whether an agent that had keys has none left: then nobody may act as it, an approval or not. */
export async function hasLostItsKeys(db: Db, agentId: string): Promise<boolean> {
  const [row] = await db.query<{ lost: boolean }>(
    `select count(*) > 0 and count(*) filter (where revoked_at is null
       and (expires_at is null or expires_at > clock_timestamp())) = 0 as lost
     from api_keys where agent_id = $1`,
    [agentId],
  )
  return row?.lost ?? false
}
