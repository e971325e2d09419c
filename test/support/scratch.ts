// Folders of tests. A database is some forty megabytes in a thousand files, and a suite makes more than a thousand
// databases: on a disk, making and removing them takes longer than what is tested. So the suite's lie in memory where there
// is room, and each test file's are removed when it ends. Benches and campaigns stay on the disk, whose time they measure.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const MEMORY = '/dev/shm'
/** The files that make most gates hold some thirty databases, and two of them run at once. */
const MEMORY_BYTES_MIN = 6 * 1024 ** 3

let root = os.tmpdir()

/** From now on in memory, where there is room and TMPDIR says nothing else. */
export function scratchInMemory(): void {
  if (!process.env['TMPDIR'] && hasRoom(MEMORY)) root = MEMORY
}

const made: string[] = []

/** A folder that is gone after the test file; KEEP_SCRATCH keeps it, to look into. */
export function scratch(name: string): string {
  if (made.length === 0) process.once('exit', removeScratch)
  const folder = fs.mkdtempSync(path.join(root, `portcullis-${name}-`))
  made.push(folder)
  return folder
}

/** Removes what was made so far. */
export function removeScratch(): void {
  if (process.env['KEEP_SCRATCH']) return
  for (const folder of made.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
}

function hasRoom(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK)
    const { bavail, bsize } = fs.statfsSync(folder)
    return bavail * bsize >= MEMORY_BYTES_MIN
  } catch {
    return false
  }
}
