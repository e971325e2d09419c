import fs from 'node:fs'
import path from 'node:path'

/**
 * Makes a directory and what is missing above it. `fs.mkdirSync` with `recursive` never returns where a
 * directory cannot hold others (`/proc`): it tries the parent and the child in turn for ever.
 * @throws the error of the first directory that cannot be made
 */
export function ensureDirectory(dir: string, mode?: number): void {
  if (fs.existsSync(dir)) return
  const parent = path.dirname(dir)
  if (parent !== dir) ensureDirectory(parent, mode)
  try {
    fs.mkdirSync(dir, mode === undefined ? {} : { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // somebody else was faster
  }
}
