import fs from 'node:fs'
import { parseCheckpoints } from '../lib/checkpoint.ts'
import type { Checkpoint } from '../model/audit.ts'

const FILE_BYTES_MAX = 8 << 20

/** Adds a line to a file that only grows, and has it on the disk before it answers. */
export function appendDurably(file: string, text: string): void {
  const fd = fs.openSync(file, 'a', 0o600)
  try {
    fs.writeSync(fd, text)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

/** Adds a checkpoint. One line a second of activity: the file before is kept, and covers what is older. */
export function appendCheckpoint(file: string, checkpoint: Checkpoint): void {
  if (fs.existsSync(file) && fs.statSync(file).size > FILE_BYTES_MAX) {
    fs.renameSync(file, `${file}.old`)
  }
  appendDurably(file, `${JSON.stringify({ ...checkpoint, size: Number(checkpoint.size) })}\n`)
}

/** All checkpoints kept in this file and the one before it; a torn last line is passed over. */
export function readCheckpointFiles(file: string): Checkpoint[] {
  return [`${file}.old`, file].flatMap((one) =>
    fs.existsSync(one) ? parseCheckpoints(fs.readFileSync(one, 'utf8')) : [],
  )
}

/** A crash may have cut the last line off; the next one must not be glued to it. */
export function endTornLine(file: string): void {
  if (fs.existsSync(file) && !fs.readFileSync(file, 'utf8').endsWith('\n'))
    appendDurably(file, '\n')
}
