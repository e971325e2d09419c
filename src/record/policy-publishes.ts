import { newId } from '../lib/ids.ts'
import type { Db, Tx } from '../store/tx.ts'

export const PUBLISH_STATUSES = [
  ...(['pending', 'published', 'denied', 'cancelled', 'stale', 'failed', 'expired'] as const),
] as const
export type PublishStatus = (typeof PUBLISH_STATUSES)[number]

/** A revision that waits for other people before it becomes the policy. */
export interface HeldPublish {
  readonly id: string
  readonly revision: string
  readonly base: string
  readonly author: string
  readonly note: string
  readonly status: PublishStatus
  readonly quorum: number
  readonly roles: readonly string[]
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly decidedAt: Date | null
}

export interface PublishVote {
  readonly keyId: string
  readonly approver: string
  readonly vote: 'approve' | 'deny'
  readonly reason: string
  readonly at: Date
}

type PublishRow = Omit<HeldPublish, 'roles'> & { readonly roles: string }

// Nobody ends what is overdue: it has ended by itself, for whoever looks.
const PUBLISHES = `select id, revision, base, author, note,
    case when status = 'pending' and expires_at <= clock_timestamp() then 'expired' else status end as status,
    quorum, roles, created_at as "createdAt", expires_at as "expiresAt", decided_at as "decidedAt"
  from policy_publishes`

const held = (row: PublishRow): HeldPublish => ({ ...row, roles: row.roles.split(',') })

export async function insertPublish(
  tx: Tx,
  made: Pick<HeldPublish, 'revision' | 'base' | 'author' | 'note' | 'quorum' | 'roles'> & {
    readonly expiresMs: number
  },
): Promise<string> {
  const id = newId('pub', tx.nowMs)
  const { revision, base, author, note, quorum, roles, expiresMs } = made
  await tx.query(
    `insert into policy_publishes
       (id, revision, base, author, note, status, quorum, roles, created_at, expires_at)
     values ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9)`,
    [
      ...[id, revision, base, author, note, quorum, roles.join(',')],
      ...[new Date(tx.nowMs), new Date(tx.nowMs + expiresMs)],
    ],
  )
  return id
}

export async function findPublish(db: Db, id: string): Promise<HeldPublish | undefined> {
  const rows = await db.query<PublishRow>(`${PUBLISHES} where id = $1`, [id])
  return rows.map(held)[0]
}

export async function listPublishes(
  db: Db,
  asked: { readonly before: string | null; readonly limit: number },
): Promise<HeldPublish[]> {
  const rows = await db.query<PublishRow>(
    `${PUBLISHES} where ($1::text is null or id < $1) order by id desc limit $2`,
    [asked.before, asked.limit],
  )
  return rows.map(held)
}

/** Ends what is pending. */
export async function endPublish(tx: Tx, id: string, status: PublishStatus): Promise<void> {
  await tx.query(
    `update policy_publishes set status = $2, decided_at = $3 where id = $1 and status = 'pending'`,
    [id, status, new Date(tx.nowMs)],
  )
}

/** Adds a vote; a voice that has voted is heard again only by another key, since the first may be revoked by then. */
export async function insertPublishVote(
  tx: Tx,
  publishId: string,
  voice: string,
  { keyId, approver, vote, reason }: Omit<PublishVote, 'at'>,
): Promise<boolean> {
  const rows = await tx.query(
    `insert into policy_publish_votes (publish_id, voice, key_id, approver, vote, reason, at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (publish_id, voice) do update set key_id = excluded.key_id, approver = excluded.approver,
       vote = excluded.vote, reason = excluded.reason, at = excluded.at
       where policy_publish_votes.key_id <> excluded.key_id
     returning voice`,
    [publishId, voice, keyId, approver, vote, reason, new Date(tx.nowMs)],
  )
  return rows.length > 0
}

export async function votesOfPublish(db: Db, publishId: string): Promise<PublishVote[]> {
  return db.query<PublishVote>(
    `select key_id as "keyId", approver, vote, reason, at from policy_publish_votes
     where publish_id = $1 order by at, voice`,
    [publishId],
  )
}
