import type { Checkpointer } from '../record/checkpoints.ts'
import type { Ledger } from '../record/ledger.ts'
import { dropWeek, dueWeek, insertArchive, prepareWeeks } from '../record/retention.ts'
import { registryEntry } from './registry.ts'

export interface RetentionParts {
  readonly ledger: Ledger
  readonly checkpoints: Checkpointer
  /** 0 keeps everything. */
  readonly days: number
}

/**
 * Makes the coming weeks of the record and drops those that are old enough, oldest first. A signed
 * statement of where the record then begins is kept before anything is dropped, so what is left still
 * verifies and a beginning that somebody else removed shows. Answers how many weeks it dropped.
 */
export async function keepRecord(parts: RetentionParts): Promise<number> {
  const { ledger, checkpoints, days } = parts
  await ledger.write((tx) => prepareWeeks(tx, tx.nowMs))
  if (days === 0) return 0
  for (let dropped = 0; ; dropped++) {
    // All of it under the ledger's lock: another replica looks at the same weeks.
    const isDropped = await ledger.write(async (tx) => {
      const due = await dueWeek(tx, tx.nowMs, days)
      if (!due) return false
      const { partition, last } = due
      const archive = last && checkpoints.archive(last.seq, last.hash)
      if (!(await dropWeek(tx, partition))) return false // somebody reads it; the next round tries again
      if (!archive) return true
      await insertArchive(tx, archive)
      const detail = { up_to: Number(archive.size), head: archive.head, kept_days: days }
      tx.append(registryEntry('audit.archived', '', detail))
      return true
    })
    if (!isDropped) return dropped
  }
}
