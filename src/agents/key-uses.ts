import type { Logger } from '../lib/log.ts'
import type { Db } from '../store/tx.ts'

// Which keys are in use. A write for each request would cost more than the request, so uses are remembered here and
// written once a minute, many at once. A gate that is killed forgets the last minute: a key may have been used since
// `used_at`, and never before what it says.

const WRITE_EVERY_MS = 60_000

/** When keys were used: noted at each request, written now and then. */
export class KeyUses {
  readonly #db: Db
  readonly #log: Logger
  #noted = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined

  constructor(db: Db, log: Logger) {
    this.#db = db
    this.#log = log
  }

  note(keyId: string): void {
    this.#noted.set(keyId, Date.now())
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#writing ??= this.write().finally(() => {
        this.#writing = undefined
      })
    }, WRITE_EVERY_MS)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    await this.write()
  }

  /** Writes what was noted. Where that fails it is noted still, and written next time. */
  async write(): Promise<void> {
    const noted = this.#noted
    if (noted.size === 0) return
    this.#noted = new Map()
    try {
      await this.#db.query(WRITE, [
        [...noted.keys()],
        [...noted.values()].map((ms) => new Date(ms)),
      ])
    } catch (error) {
      this.#log.warn({ err: error }, 'when keys were used could not be written')
      for (const [keyId, ms] of noted) {
        if (!this.#noted.has(keyId)) this.#noted.set(keyId, ms)
      }
    }
  }

  /** When each of these was used last, here or elsewhere, by key id; the others never were, as far as is known. */
  async lastOf(keyIds: readonly string[]): Promise<ReadonlyMap<string, Date>> {
    const rows = await this.#db.query<{ id: string; at: Date }>(
      'select key_id as id, used_at as at from key_uses where key_id = any($1)',
      [keyIds],
    )
    const last = new Map(rows.map(({ id, at }) => [id, at]))
    for (const id of keyIds) {
      const ms = this.#noted.get(id) ?? 0
      if (ms > (last.get(id)?.getTime() ?? 0)) last.set(id, new Date(ms))
    }
    return last
  }
}

const WRITE = `insert into key_uses (key_id, used_at)
  select u.id, u.at from unnest($1::text[], $2::timestamptz[]) as u (id, at) order by u.id
  on conflict (key_id) do update set used_at = greatest(key_uses.used_at, excluded.used_at)`
