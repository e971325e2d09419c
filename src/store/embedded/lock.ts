import fs from 'node:fs'
import path from 'node:path'
import { ensureDirectory } from '../../lib/directories.ts'

/** `code` of the error when another process has the data directory. */
export const IN_USE = 'DATA_DIR_IN_USE'

interface Holder {
  readonly pid?: number
  /** Start time of the process in clock ticks since boot, so that a reused pid is not mistaken. */
  readonly start?: string | null
}

/**
 * Takes the data directory for this process; PGlite itself takes no lock and two writers lose rows.
 * @returns the release function; also called at process exit.
 * @throws Error that names the holder and `DATABASE_URL` when another live process has it.
 */
export function lockDataDir(dir: string): () => void {
  ensureDirectory(path.dirname(dir), 0o700)
  const file = `${dir}.lock`
  const mine = JSON.stringify({ pid: process.pid, start: startTime(process.pid) })
  for (let attempt = 0; attempt < 2; attempt++) {
    if (create(file, mine)) return releaser(file, mine)
    const holder = read(file)
    if (isAlive(holder)) throw Object.assign(new Error(inUse(dir, holder)), { code: IN_USE })
    fs.rmSync(file, { force: true })
  }
  throw new Error(`cannot lock ${dir}: another process is starting on it; try again`)
}

function inUse(dir: string, holder: Holder): string {
  const hint = 'set DATABASE_URL to share a PostgreSQL server between gates'
  return `the embedded database ${dir} is in use by process ${holder.pid}; ${hint}`
}

function create(file: string, text: string): boolean {
  try {
    fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function read(file: string): Holder {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')) as Holder
  } catch {
    return {} // half-written by a process that died: stale
  }
}

function releaser(file: string, mine: string): () => void {
  const release = () => {
    process.off('exit', release)
    if (JSON.stringify(read(file)) === mine) fs.rmSync(file, { force: true })
  }
  process.once('exit', release)
  return release
}

function isAlive(holder: Holder): boolean {
  if (!holder.pid) return false
  if (holder.pid === process.pid) return startTime(process.pid) === (holder.start ?? null)
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const started = startTime(holder.pid)
  return holder.start == null || started === null || started === holder.start
}

/** Linux only; elsewhere null, and then a live pid alone counts as the holder. */
function startTime(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(') ') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
