import { readExportLine } from '../../src/lib/audit-export.ts'
import type { AuditEntry } from '../../src/model/audit.ts'

/** The entries in the text of an export. */
export const entriesIn = (text: string): AuditEntry[] =>
  text.split('\n').flatMap((one) => {
    const line = readExportLine(one)
    return line?.type === 'entry' ? [line.entry] : []
  })
