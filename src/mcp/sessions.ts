import { randomBytes } from 'node:crypto'
import type { JsonObject } from '../model/json.ts'
import type { ServerRequest } from '../model/tool.ts'
import { columns } from '../store/columns.ts'
import type { Db } from '../store/tx.ts'

// Sessions of the legacy protocol. They belong to who holds the key rather than to the key, so that a rotation ends none,
// and are kept in the database, so that any replica knows them. An id that is unknown, over or somebody else's is the same
// to who sends it.

/** Of one holder; whoever begins more ends those that were used longest ago. */
export const SESSIONS_MAX = 32
export const SESSION_IDLE_MS = 30 * 60_000
/** How often use is noted. */
const NOTE_EVERY_MS = 60_000
const ID_BYTES = 24
const ID = /^ses_[A-Za-z0-9_-]{32}$/

export interface Session {
  readonly id: string
  readonly protocol: string
  readonly usedAt: Date
  /** From which on the client wants to hear what a server logs; null: nothing. */
  readonly logLevel: string | null
  /** What the client can be asked by a server. */
  readonly asks: readonly ServerRequest[]
}

export interface NewSession {
  readonly holder: string
  readonly server: string
  readonly protocol: string
  readonly client: JsonObject
  readonly asks: readonly ServerRequest[]
}

const SESSION = columns('id, protocol, used_at, log_level, asks')

export class Sessions {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** Begins a session, and ends what is idle or too much. */
  async begin({ holder, server, protocol, client, asks }: NewSession): Promise<string> {
    const id = `ses_${randomBytes(ID_BYTES).toString('base64url')}`
    await this.#db.query(
      `insert into mcp_sessions (id, holder, server, protocol, client, asks)
         values ($1, $2, $3, $4, $5, $6)`,
      [id, holder, server, protocol, JSON.stringify(client), JSON.stringify(asks)],
    )
    await this.#db.query(
      `delete from mcp_sessions where used_at < now() - $1::float8 * interval '1 ms' or id in (
         select id from mcp_sessions where holder = $2 order by used_at desc, id offset $3)`,
      [SESSION_IDLE_MS, holder, SESSIONS_MAX],
    )
    return id
  }

  /** The session of this id, if it is this holder's and not over. */
  async find(id: string, holder: string, server: string): Promise<Session | undefined> {
    if (!ID.test(id)) return undefined
    const [session] = await this.#db.query<Session>(
      `select ${SESSION} from mcp_sessions where id = $1 and holder = $2 and server = $3
         and used_at > now() - $4::float8 * interval '1 ms'`,
      [id, holder, server, SESSION_IDLE_MS],
    )
    if (session && Date.now() - session.usedAt.getTime() > NOTE_EVERY_MS) await this.#note(id)
    return session
  }

  async setLogLevel(id: string, level: string): Promise<void> {
    await this.#db.query('update mcp_sessions set log_level = $2 where id = $1', [id, level])
  }

  /** Whether there was one to end. */
  async end(id: string, holder: string, server: string): Promise<boolean> {
    const ended = await this.#db.query(
      'delete from mcp_sessions where id = $1 and holder = $2 and server = $3 returning id',
      [id, holder, server],
    )
    return ended.length > 0
  }

  async #note(id: string): Promise<void> {
    await this.#db.query('update mcp_sessions set used_at = now() where id = $1', [id])
  }
}
