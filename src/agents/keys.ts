import { randomBytes, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { sha256 } from '../lib/canonical.ts'
import { newId } from '../lib/ids.ts'
import { columns } from '../store/columns.ts'
import type { LookedUp, RegistryEpoch } from '../store/registry-epoch.ts'
import type { Db, Tx } from '../store/tx.ts'
import type { KeyUses } from './key-uses.ts'
import { lostKeysOf } from './lost-keys.ts'
import { findAgent } from './registry.ts'

// A key is `pk_<id>_<secret>`: it is found by its id and compared by the hash of its secret, in constant time; the secret is
// stored nowhere. Keys of the environment are compared by hash as well. What was looked up is remembered under the
// hash of what was presented, for as long as the registry's epoch says that no key changed.

/** `pep`: an enforcement point, which asks about anybody and carries out by itself. */
export type KeyRole = 'agent' | 'observer' | 'approver' | 'operator' | 'admin' | 'pep'

/** Who a request comes from, once its key is known. */
export interface Caller {
  readonly keyId: string
  readonly role: KeyRole
  readonly name: string
  /** Set for agent keys: the agent's id. */
  readonly agentId: string | null
  /** Of a caller that came with a token of an authorization server rather than a key. */
  readonly token?: TokenOrigin
}

/** Where a token is from, and whom it names; none of it says what may be done. */
export interface TokenOrigin {
  readonly issuer: string
  readonly client: string
  /** For whom the client acts; '' where nothing is said. */
  readonly subject: string
  /** Streams that were opened with it end then, in milliseconds since 1970. */
  readonly untilMs: number
}

/** Whom a key speaks for: the same whichever of their keys is presented, so that a rotation between two tries changes nothing. */
export const holderOf = ({ agentId, role, name }: Omit<Caller, 'keyId'>): string =>
  agentId === null ? `${role}:${name}` : `agent:${agentId}`

/** A key of the environment. An agent token is bound to the agent of that name. */
export interface EnvironmentKey {
  readonly role: KeyRole
  readonly name: string
  readonly key: string
}

export interface ApiKey {
  readonly id: string
  readonly role: KeyRole
  readonly name: string
  readonly agentId: string | null
  readonly issuedBy: string
  readonly createdAt: Date
  readonly revokedAt: Date | null
  /** When a rotated key stops working; null: never by itself. */
  readonly expiresAt: Date | null
}

const KEY_COLUMNS = columns(
  'id, role, name, agent_id, issued_by, created_at, revoked_at, expires_at',
)
const ALIVE = `
  select held.key_id from unnest($1::text[], $2::text[], $3::text[]) as held (key_id, agent_id, name)
  where exists (
    select 1 from api_keys k where k.id = held.key_id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > clock_timestamp())
  ) or (
    starts_with(held.key_id, 'env_') and exists (
      select 1 from agents a where a.id = held.agent_id and held.name in (a.id, a.name)
    )
  ) or (
    starts_with(held.key_id, 'tok_') and exists (select 1 from agents a where a.id = held.agent_id)
      and not ${lostKeysOf('held.agent_id')}
  )`
const NAMED = `
  select id, name, ${lostKeysOf('agents.id')} as lost from agents where id = $1 or name = $1
  order by (id = $1) desc limit 1`
const SECRET_BYTES = 32
const KEY_PATTERN = /^pk_([0-9a-z]{26})_([A-Za-z0-9_-]{43})$/
const CACHE_MAX = 50_000
const NAMED_MAX = 10_000
/** However little changes. */
const CACHE_TTL_MS = 600_000

/** Creates a key; the secret part is returned once and stored only as a hash. */
export async function createKey(
  tx: Tx,
  key: { role: KeyRole; name: string; agentId: string | null; issuedBy: string },
): Promise<{ id: string; key: string }> {
  const id = newId('key', tx.nowMs)
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  await tx.query(
    `insert into api_keys (id, role, name, agent_id, secret_hash, created_at, issued_by)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [id, key.role, key.name, key.agentId, sha256(secret), new Date(tx.nowMs), key.issuedBy],
  )
  return { id, key: `pk_${id.slice('key_'.length)}_${secret}` }
}

/** Creates a key for each agent, in order, in one statement. */
export async function createAgentKeys(
  tx: Tx,
  agents: readonly { readonly id: string; readonly name: string }[],
  issuedBy: string,
): Promise<string[]> {
  const keys = agents.map(({ id: agentId, name }) => {
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    return { id: newId('key', tx.nowMs), agent_id: agentId, name, secret }
  })
  await tx.query(
    `insert into api_keys (id, role, name, agent_id, secret_hash, created_at, issued_by)
     select k.id, 'agent', k.name, k.agent_id, k.secret_hash, $2, $3
     from json_to_recordset($1::json) as k (id text, name text, agent_id text, secret_hash text)`,
    [
      JSON.stringify(keys.map(({ secret, ...row }) => ({ ...row, secret_hash: sha256(secret) }))),
      new Date(tx.nowMs),
      issuedBy,
    ],
  )
  return keys.map(({ id, secret }) => `pk_${id.slice('key_'.length)}_${secret}`)
}

/** Marks a key revoked; undefined when there is no such live key. */
export async function revokeKey(tx: Tx, id: string): Promise<ApiKey | undefined> {
  const [row] = await tx.query<ApiKey>(
    `update api_keys set revoked_at = $2 where id = $1 and revoked_at is null
     returning ${KEY_COLUMNS}`,
    [id, new Date(tx.nowMs)],
  )
  return row
}

/** All keys, or those of an agent, oldest first. */
export async function listKeys(db: Db, agentId?: string): Promise<ApiKey[]> {
  return db.query<ApiKey>(
    `select ${KEY_COLUMNS} from api_keys where $1::text is null or agent_id = $1 order by id`,
    [agentId ?? null],
  )
}

/** Lets live keys expire: one by its id, or all of an agent. Answers those it touched, newest first. */
export async function rotateKeys(
  tx: Tx,
  which: { readonly id: string } | { readonly agentId: string },
  expireAt: Date,
): Promise<ApiKey[]> {
  const [column, value] = 'id' in which ? ['id', which.id] : ['agent_id', which.agentId]
  return tx.query<ApiKey>(
    `with rotated as (
       update api_keys set expires_at = least(expires_at, $2)
       where ${column} = $1 and revoked_at is null and (expires_at is null or expires_at > $3)
       returning ${KEY_COLUMNS}
     ) select * from rotated order by id desc`,
    [value, expireAt, new Date(tx.nowMs)],
  )
}

interface Known extends LookedUp {
  readonly caller: Caller | null
}

/**
 * Turns a presented key into a caller. Answers are believed for as long as no key has changed, and for less than a
 * second where the passing of time or the environment has a say: a revoked key is refused everywhere within that.
 */
export class KeyRing {
  readonly #db: Db
  readonly #registry: RegistryEpoch
  readonly #environment: ReadonlyMap<string, EnvironmentKey>
  readonly #uses: KeyUses
  readonly #cache = new LRUCache<string, Known>({
    max: CACHE_MAX,
    ttl: CACHE_TTL_MS,
  })
  readonly #named = new LRUCache<string, NamedAgent & LookedUp>({
    max: NAMED_MAX,
    ttl: CACHE_TTL_MS,
  })

  constructor(
    db: Db,
    registry: RegistryEpoch,
    environment: readonly EnvironmentKey[],
    uses: KeyUses,
  ) {
    this.#uses = uses
    this.#db = db
    this.#registry = registry
    this.#environment = new Map(environment.map((key) => [sha256(key.key), key]))
  }

  /** The caller, or null when the key is unknown or revoked. Throws only when the database does. */
  async authenticate(presented: string): Promise<Caller | null> {
    const caller = await this.#known(presented)
    if (caller) this.#uses.note(caller.keyId)
    return caller
  }

  async #known(presented: string): Promise<Caller | null> {
    const hash = sha256(presented)
    const cached = this.#cache.get(hash)
    if (cached && this.#registry.holds(cached)) return cached.caller
    const askedAtMs = this.#registry.nowMs
    const found = await this.#lookUp(presented, hash)
    this.#cache.set(hash, { ...found, askedAtMs })
    return found.caller
  }

  /**
   * Who a good token stands for: the agent that it names. Throws only when the database does.
   * @returns `unknown` where there is no such agent, `revoked` where all of its keys were revoked: it acts by none then
   */
  async callerOfToken(
    token: string,
    named: string,
    origin: TokenOrigin,
  ): Promise<Caller | 'unknown' | 'revoked'> {
    const agent = await this.#agentNamed(named)
    if (agent.id === null) return 'unknown'
    if (agent.lost) return 'revoked'
    const keyId = `${TOKEN}${sha256(token).slice(0, 12)}`
    return { keyId, role: 'agent', name: agent.name, agentId: agent.id, token: origin }
  }

  /**
   * The agent that an enforcement point asks for: it acts by the key of that one. Throws only when the database does.
   * @returns `unknown` where there is no such agent, `revoked` where all of its keys were revoked
   */
  async callerVouched(named: string, { keyId }: Caller): Promise<Caller | 'unknown' | 'revoked'> {
    const agent = await this.#agentNamed(named)
    if (agent.id === null) return 'unknown'
    if (agent.lost) return 'revoked'
    return { keyId, role: 'agent', name: agent.name, agentId: agent.id }
  }

  async #agentNamed(named: string): Promise<NamedAgent> {
    const cached = this.#named.get(named)
    if (cached && this.#registry.holds(cached)) return cached
    const askedAtMs = this.#registry.nowMs
    const [row] = await this.#db.query<NamedAgent>(NAMED, [named])
    const found = { ...(row ?? NO_AGENT), askedAtMs, epoch: null }
    this.#named.set(named, found)
    return found
  }

  /** The key that the environment gives under this id; such a key is alive as long as it is given. */
  environmentKey(keyId: string): EnvironmentKey | undefined {
    return [...this.#environment].find(([hash]) => environmentId(hash) === keyId)?.[1]
  }

  /** Whether the environment gives a key of the agent with this name. */
  actsAs(agentName: string): boolean {
    return [...this.#environment.values()].some(
      ({ role, name }) => role === 'agent' && name === agentName,
    )
  }

  /**
   * The ids of those keys that still work, asked in one statement. A key of the environment works as
   * long as the gate runs; one of an agent as long as that agent goes by its name.
   */
  async alive(callers: readonly Caller[]): Promise<ReadonlySet<string>> {
    const isGiven = ({ keyId, agentId }: Caller) => isEnvironmentId(keyId) && agentId === null
    const alive = new Set(callers.filter(isGiven).map(({ keyId }) => keyId))
    const nowMs = Date.now()
    const others = callers.filter(
      (caller) => !isGiven(caller) && (caller.token?.untilMs ?? Infinity) > nowMs,
    )
    if (others.length === 0) return alive
    const rows = await this.#db.query<{ key_id: string }>(ALIVE, [
      others.map(({ keyId }) => keyId),
      others.map(({ agentId }) => agentId),
      others.map(({ name }) => name),
    ])
    for (const { key_id: keyId } of rows) alive.add(keyId)
    return alive
  }

  /** Forgets what it knows, so that a revocation made here takes effect at once. */
  clear(): void {
    this.#cache.clear()
    this.#named.clear()
  }

  async #lookUp(presented: string, hash: string): Promise<Omit<Known, 'askedAtMs'>> {
    const token = this.#environment.get(hash)
    if (token) return { caller: await this.#fromEnvironment(token, hash), epoch: null }
    const [, suffix, secret] = KEY_PATTERN.exec(presented) ?? []
    if (!suffix || !secret) return UNKNOWN
    const [row] = await this.#db.query<ApiKey & { secretHash: string; epoch: bigint }>(
      `select ${KEY_COLUMNS}, secret_hash as "secretHash", (select n from registry_epoch) as epoch
       from api_keys where id = $1 and revoked_at is null
         and (expires_at is null or expires_at > clock_timestamp())`,
      [`key_${suffix}`],
    )
    if (!row || !sameHash(row.secretHash, sha256(secret))) return UNKNOWN
    const { id: keyId, role, name, agentId } = row
    return { caller: { keyId, role, name, agentId }, epoch: row.expiresAt ? null : row.epoch }
  }

  async #fromEnvironment(token: EnvironmentKey, hash: string): Promise<Caller | null> {
    const keyId = environmentId(hash)
    if (token.role !== 'agent') return { keyId, role: token.role, name: token.name, agentId: null }
    const agent = await findAgent(this.#db, token.name)
    return agent ? { keyId, role: 'agent', name: token.name, agentId: agent.id } : null
  }
}

interface NamedAgent {
  readonly id: string | null
  readonly name: string
  readonly lost: boolean
}

const NO_AGENT: NamedAgent = { id: null, name: '', lost: false }
const UNKNOWN = { caller: null, epoch: null }

const TOKEN = 'tok_'
const ENVIRONMENT = 'env_'
const environmentId = (hash: string): string => `${ENVIRONMENT}${hash.slice(0, 12)}`
const isEnvironmentId = (keyId: string): boolean => keyId.startsWith(ENVIRONMENT)

function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

/** Whether somebody has an admin key that is alive. */
export async function hasAdminKey(db: Db): Promise<boolean> {
  const rows = await db.query(
    `select 1 from api_keys where role = 'admin' and revoked_at is null limit 1`,
  )
  return rows.length > 0
}
