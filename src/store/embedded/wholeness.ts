import fs from 'node:fs'
import path from 'node:path'

// PGlite makes a new database wherever it finds no PG_VERSION, over what is there. A directory that lost that
// file has to be refused instead. While a new one is made a marker stands beside it: what a killed first start
// left is told by it from what was a database once, and is made again.

/** `code` of the error of a start on a directory that is no whole database. */
export const DAMAGED = 'DATA_DIR_DAMAGED'

/** What every PostgreSQL directory has. */
const PARTS = ['PG_VERSION', 'global/pg_control', 'base', 'pg_wal']

export class DamagedDirectory extends Error {
  readonly code = DAMAGED

  constructor(dir: string, what: string) {
    super(
      `the embedded database ${dir} ${what}; restore the directory from a backup, or move it away to begin anew without what it held`,
    )
  }
}

const markerOf = (dir: string): string => `${dir}.making`

/**
 * Makes sure that the directory holds a whole database or none, and answers whether it is none.
 * @throws DamagedDirectory
 */
export function assertWhole(dir: string): { readonly isNew: boolean } {
  if (fs.existsSync(markerOf(dir))) fs.rmSync(dir, { recursive: true, force: true })
  const isNew = !fs.existsSync(dir) || fs.readdirSync(dir).length === 0
  if (isNew) {
    fs.writeFileSync(markerOf(dir), '')
    return { isNew }
  }
  const missing = PARTS.filter((part) => !fs.existsSync(path.join(dir, part)))
  if (missing.length > 0) throw new DamagedDirectory(dir, `is not whole (no ${missing.join(', ')})`)
  return { isNew }
}

/** The database could be opened: what is there is one. */
export function nowWhole(dir: string): void {
  fs.rmSync(markerOf(dir), { force: true })
}
