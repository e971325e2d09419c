import type { JsonObject } from '../model/json.ts'
import type { Db, Tx } from '../store/tx.ts'

// The history of policies: what each revision is made of, and in which order revisions became the policy. Both are
// written in the ledger batch that puts the adoption on record, so there is none without an entry.

/** Where a publication comes from. */
export type PublicationSource = 'directory' | 'bundle' | 'api' | 'rollback' | 'environment'

export interface RevisionFile {
  readonly path: string
  readonly sha256: string
  readonly bytes: number
}

/** A file that was loaded in place of `gate.yaml`. */
export interface StandIn {
  readonly name: string
  readonly sha256: string
}

/** What a revision is made of. */
export interface Revision {
  readonly revision: string
  readonly files: readonly RevisionFile[]
  readonly standIn: StandIn | null
  readonly counts: JsonObject
}

/** A revision that became the policy. */
export interface Publication {
  /** From 1, in order. */
  readonly n: number
  readonly revision: string
  /** The revision that it replaced; '' for the first. */
  readonly parent: string
  readonly author: string
  readonly source: PublicationSource
  readonly note: string
  readonly changed: readonly string[]
  readonly tests: JsonObject
  readonly at: Date
  /** When it was replaced; null for the last. */
  readonly retiredAt: Date | null
}

/** Keeps what a revision is made of; its contents are to be kept already. */
export async function keepRevision(tx: Tx, made: Revision): Promise<void> {
  const { revision, files, standIn, counts } = made
  await tx.query(
    `insert into policy_revisions (revision, files, counts, stand_in) values ($1, $2, $3, $4)
     on conflict (revision) do update set files = excluded.files, counts = excluded.counts,
       stand_in = excluded.stand_in`,
    [
      revision,
      JSON.stringify(files),
      JSON.stringify(counts),
      standIn ? JSON.stringify(standIn) : '',
    ],
  )
  const digests = [...files, ...(standIn ? [standIn] : [])].map(({ sha256 }) => sha256)
  await tx.query(
    `insert into policy_needs (revision, sha256) select $1, unnest($2::text[])
     on conflict do nothing`,
    [revision, [...new Set(digests)]],
  )
}

/** Makes a revision the policy, in order after the last that did. */
export async function insertPublication(
  tx: Tx,
  made: Omit<Publication, 'n' | 'at' | 'retiredAt'>,
): Promise<number> {
  const { revision, parent, author, source, note, changed, tests } = made
  const [row] = await tx.query<{ n: bigint }>(
    `insert into policy_publications (n, revision, parent, author, source, note, detail, at)
     select coalesce(max(n), 0) + 1, $1, $2, $3, $4, $5, $6, $7 from policy_publications
     returning n`,
    [
      ...[revision, parent, author, source, note],
      ...[JSON.stringify({ changed, tests }), new Date(tx.nowMs)],
    ],
  )
  return Number(row?.n ?? 0)
}

interface PublicationRow extends Omit<Publication, 'n' | 'changed' | 'tests'> {
  readonly n: bigint
  readonly detail: string
}

const PUBLICATIONS = `select p.n, p.revision, p.parent, p.author, p.source, p.note, p.detail, p.at,
    next.at as "retiredAt"
  from policy_publications p left join policy_publications next on next.n = p.n + 1`

const published = ({ n, detail, ...row }: PublicationRow): Publication => ({
  ...row,
  n: Number(n),
  ...(JSON.parse(detail) as Pick<Publication, 'changed' | 'tests'>),
})

/** The publication that is the policy; undefined before the first. */
export async function lastPublication(db: Db): Promise<Publication | undefined> {
  const rows = await db.query<PublicationRow>(`${PUBLICATIONS} order by p.n desc limit 1`)
  return rows.map(published)[0]
}

/** Publications before `before`, newest first; of one revision, where it is named. */
export async function listPublications(
  db: Db,
  asked: {
    readonly before: number | null
    readonly limit: number
    readonly revision: string | null
  },
): Promise<Publication[]> {
  const rows = await db.query<PublicationRow>(
    `${PUBLICATIONS} where ($1::bigint is null or p.n < $1) and ($3::text is null or p.revision = $3)
     order by p.n desc limit $2`,
    [asked.before, asked.limit, asked.revision],
  )
  return rows.map(published)
}

/** What the revision of this digest, or of the only one that begins so, is made of. */
export async function findRevision(db: Db, named: string): Promise<Revision | undefined> {
  const rows = await db.query<{
    revision: string
    files: string
    counts: string
    stand_in: string
  }>(
    `select revision, files, counts, stand_in from policy_revisions
     where starts_with(revision, $1) order by revision limit 2`,
    [named],
  )
  const [row] = rows
  if (!row || rows.length > 1) return undefined
  return {
    revision: row.revision,
    files: JSON.parse(row.files) as RevisionFile[],
    standIn: row.stand_in === '' ? null : (JSON.parse(row.stand_in) as StandIn),
    counts: JSON.parse(row.counts) as JsonObject,
  }
}

/** Whether a revision was ever the policy. */
export async function wasPublished(db: Db, revision: string): Promise<boolean> {
  const rows = await db.query('select 1 from policy_publications where revision = $1 limit 1', [
    revision,
  ])
  return rows.length > 0
}
