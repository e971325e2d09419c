import type { JsonObject } from '../model/json.ts'
import type { Tx } from '../store/tx.ts'

/** Keeps which files a revision is made of. */
export async function keepRevision(
  tx: Tx,
  revision: string,
  files: readonly JsonObject[],
): Promise<void> {
  await tx.query(
    'insert into policy_revisions (revision, files) values ($1, $2) on conflict do nothing',
    [revision, JSON.stringify(files)],
  )
}
