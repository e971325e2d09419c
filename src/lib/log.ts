import fs from 'node:fs'
import path from 'node:path'
import { pino, type Logger } from 'pino'
import { ensureDirectory } from './directories.ts'

export type { Logger } from 'pino'

const LOG_BYTES_MAX = 1 << 20
const LOG_BACKUPS = 3

/**
 * A log file with three backups of about 1 MB: `app.log`, `.1`, `.2`, `.3`. Synchronous on purpose:
 * the asynchronous rotators tried lose what they buffer when the process exits.
 */
export class RotatingFile {
  readonly #file: string
  readonly #bytesMax: number
  readonly #backups: number
  #fd = -1
  #size = 0

  constructor(file: string, bytesMax = LOG_BYTES_MAX, backups = LOG_BACKUPS) {
    this.#file = file
    this.#bytesMax = bytesMax
    this.#backups = backups
    ensureDirectory(path.dirname(path.resolve(file)))
    this.#open()
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#size > 0 && this.#size + bytes.length > this.#bytesMax) this.#rotate()
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(this.#fd, bytes, at)
    this.#size += bytes.length
  }

  #open(): void {
    this.#fd = fs.openSync(this.#file, 'a', 0o640)
    this.#size = fs.fstatSync(this.#fd).size
  }

  #rotate(): void {
    fs.closeSync(this.#fd)
    fs.rmSync(`${this.#file}.${this.#backups}`, { force: true })
    for (let i = this.#backups - 1; i >= 1; i--) {
      if (fs.existsSync(`${this.#file}.${i}`)) {
        fs.renameSync(`${this.#file}.${i}`, `${this.#file}.${i + 1}`)
      }
    }
    fs.renameSync(this.#file, `${this.#file}.1`)
    this.#open()
  }
}

/** JSON lines to a rotating file, or to standard output when `file` is null. */
export function createLogger(level: string, file: string | null): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime }
  return file ? pino(options, openLog(file)) : pino(options)
}

/** @throws Error with code `LOG_FILE` when the file cannot be written */
export function openLog(file: string): RotatingFile {
  try {
    return new RotatingFile(file)
  } catch (error) {
    const { code = 'unwritable' } = error as { code?: string }
    const message = `the log file ${file} cannot be written (${code}); set LOG_FILE to another one`
    throw Object.assign(new Error(message), { code: 'LOG_FILE' })
  }
}
