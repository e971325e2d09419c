import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { sha256 } from '../lib/canonical.ts'
import { columns } from '../store/columns.ts'
import type { Db } from '../store/tx.ts'
import type { Caller, KeyRing, KeyRole } from './keys.ts'

// Somebody who signs in with a browser gives an API key once and gets a cookie for it. From then on the session stands
// for that key and for nothing more: role and name are read from the key at each look, a key that is revoked, rotated
// away or taken from the environment ends its sessions as fast as its requests, and the database holds no cookie.

const ID_BYTES = 32
const ID = /^[A-Za-z0-9_-]{43}$/
/** A working day; then the key is asked for again. */
export const SESSION_MS = 12 * 3_600_000
/** Of one key; whoever signs in more often ends the oldest. */
const SESSIONS_MAX = 50
/** A session that ended elsewhere is refused within this time. */
const CACHE_TTL_MS = 900
const CACHE_MAX = 10_000

/** Who is signed in, and until when. */
export interface BrowserSession {
  readonly caller: Caller
  readonly expiresAt: Date
}

interface Found {
  readonly keyId: string
  readonly expiresAt: Date
  readonly role: KeyRole | null
  readonly name: string | null
}

const SESSION = columns('key_id, expires_at', 's')
const MINE = `role = $1 and name = $2`

/** The sessions of browsers, of all replicas. */
export class BrowserSessions {
  readonly #db: Db
  readonly #keyRing: KeyRing
  readonly #cache = new LRUCache<string, { readonly session: BrowserSession | null }>({
    max: CACHE_MAX,
    ttl: CACHE_TTL_MS,
  })

  constructor(db: Db, keyRing: KeyRing) {
    this.#db = db
    this.#keyRing = keyRing
  }

  /** Begins a session of a key that was just found valid; answers what goes into the cookie, this once. */
  async begin({ keyId, role, name }: Caller): Promise<{ id: string; expiresAt: Date }> {
    const id = randomBytes(ID_BYTES).toString('base64url')
    const expiresAt = new Date(Date.now() + SESSION_MS)
    await this.#db.query(
      `insert into browser_sessions (id_hash, key_id, role, name, expires_at)
       values ($1, $2, $3, $4, $5)`,
      [sha256(id), keyId, role, name, expiresAt],
    )
    await this.#db.query(
      `delete from browser_sessions where expires_at <= clock_timestamp() or id_hash in (
         select id_hash from browser_sessions where key_id = $1 order by created_at desc offset $2)`,
      [keyId, SESSIONS_MAX],
    )
    return { id, expiresAt }
  }

  /** The session of a cookie, or null where it is over or never was. Throws only when the database does. */
  async find(id: string): Promise<BrowserSession | null> {
    if (!ID.test(id)) return null
    const hash = sha256(id)
    const known = this.#cache.get(hash)
    if (known) return known.session
    const session = await this.#lookUp(hash)
    this.#cache.set(hash, { session })
    return session
  }

  async end(id: string): Promise<void> {
    await this.#db.query('delete from browser_sessions where id_hash = $1', [sha256(id)])
    this.#cache.delete(sha256(id))
  }

  /** Ends every session of this holder, whichever of their keys began it; answers how many. */
  async endAll({ role, name }: Caller): Promise<number> {
    const ended = await this.#db.query<{ id_hash: string }>(
      `delete from browser_sessions where ${MINE} returning id_hash`,
      [role, name],
    )
    for (const { id_hash: hash } of ended) this.#cache.delete(hash)
    return ended.length
  }

  async #lookUp(hash: string): Promise<BrowserSession | null> {
    const [row] = await this.#db.query<Found>(
      `select ${SESSION}, k.role, k.name from browser_sessions s
       left join api_keys k on k.id = s.key_id and k.revoked_at is null
         and (k.expires_at is null or k.expires_at > clock_timestamp())
       where s.id_hash = $1 and s.expires_at > clock_timestamp()`,
      [hash],
    )
    if (!row) return null
    const { keyId, expiresAt } = row
    const key = this.#keyRing.environmentKey(keyId) ?? row
    if (key.role === null || key.name === null) return null
    return { caller: { keyId, role: key.role, name: key.name, agentId: null }, expiresAt }
  }
}
