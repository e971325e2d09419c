import type { Tx } from '../store/tx.ts'
import { raiseAlert } from './alerts.ts'

/** A tool of an MCP server that is listed otherwise than it is pinned. */
export interface PinDrift {
  readonly server: string
  readonly tool: string
  readonly pinned: string
  readonly listed: string
}

/** Puts on record that a server lists another tool under a pinned name: once an hour at most, however often it changes. */
export class PinDrifts {
  readonly #write: (work: (tx: Tx) => Promise<void>) => Promise<void>
  /** When it was noticed, in ms, by tool and pin: one that is pinned anew is looked at anew. */
  readonly #known = new Map<string, number>()

  constructor(write: (work: (tx: Tx) => Promise<void>) => Promise<void>) {
    this.#write = write
  }

  /** Never fails: what cannot be recorded now is when it is listed next. */
  readonly notice = (drift: PinDrift): void => void this.#note(drift)

  async #note(drift: PinDrift): Promise<void> {
    const id = JSON.stringify([drift.server, drift.tool, drift.pinned])
    const now = performance.now()
    if (now - (this.#known.get(id) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return
    this.#known.set(id, now)
    await this.#write((tx) => raise(tx, drift)).catch(() => this.#known.delete(id))
  }
}

const AGAIN_MS = 3_600_000

// Another replica, or this one before it was restarted, may have raised it.
async function raise(tx: Tx, { server, tool, pinned, listed }: PinDrift): Promise<void> {
  const rows = await tx.query<{ details: string }>(
    `select details from alerts where type = 'mcp_pin_drift' order by id desc limit 1000`,
  )
  const isKnown = rows.some(({ details }) => {
    const one = JSON.parse(details) as Partial<PinDrift>
    return one.server === server && one.tool === tool && one.listed === listed
  })
  if (isKnown) return
  const message = `\`${tool}\` of MCP server \`${server}\` is not what is pinned: nobody can call it`
  raiseAlert(tx, 'mcp_pin_drift', '', message, { server, tool, pinned, listed })
}
