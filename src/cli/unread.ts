import { EXIT } from './exit.ts'

const STREAMS = [process.stdout, process.stderr]

/** `portcullis keys list | head` has read what it wanted: the command ends, and that is no failure. */
export function endUnread(): void {
  whenUnread(() => process.exit(EXIT.ok))
}

/** A gate goes on when nobody reads what it prints. */
export function goOnUnread(): void {
  whenUnread(() => {})
}

function whenUnread(then: () => void): void {
  for (const stream of STREAMS) {
    stream.removeAllListeners('error')
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      then()
    })
  }
}
