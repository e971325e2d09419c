import type { Tx } from '../store/tx.ts'
import { raiseAlert } from './alerts.ts'

/** Puts on record that an MCP server which the gate runs ends again and again. */
export class ServerCrashes {
  readonly #write: (work: (tx: Tx) => Promise<void>) => Promise<void>

  constructor(write: (work: (tx: Tx) => Promise<void>) => Promise<void>) {
    this.#write = write
  }

  /** Never fails: what cannot be recorded now is when it happens next. */
  readonly notice = (server: string, how: string): void => {
    const message = `MCP server \`${server}\` ended too often to be started again soon: ${how}`
    const work = async (tx: Tx) => raiseAlert(tx, 'mcp_server_down', '', message, { server, how })
    this.#write(work).catch(() => {})
  }
}
