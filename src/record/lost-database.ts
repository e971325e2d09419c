import fs from 'node:fs'
import path from 'node:path'
import { readCheckpointFiles } from './checkpoint-file.ts'

// A gate that finds no database makes one. Where the checkpoints of a record are, there was one: a database made in
// its place would hold nothing, admit nobody who was admitted before, and run again what had run.

/** `code` of the error of a start without the database whose record was signed here. */
export const DATABASE_GONE = 'DATABASE_GONE'

/**
 * Makes sure that no embedded database is made in the place of one that is gone.
 * @throws Error with code `DATABASE_GONE`
 */
export function assertNotGone(dataDir: string): void {
  const db = path.join(dataDir, 'db')
  if (fs.existsSync(db) && fs.readdirSync(db).length > 0) return
  const [last] = readCheckpointFiles(path.join(dataDir, 'checkpoints.jsonl')).slice(-1)
  if (!last || last.size === 0n) return
  const message = `there is no database in ${db}, but the checkpoints beside it count ${last.size} entries of its record; restore it from a backup, set DATABASE_URL if it is on a server, or go on without what it held: portcullis audit accept-loss --reason "..."`
  throw Object.assign(new Error(message), { code: DATABASE_GONE })
}
