import os from 'node:os'
import { newId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import type { HeadFloor } from '../store/head-floor.ts'
import { patiently } from '../store/patience.ts'
import type { RegistryEpoch } from '../store/registry-epoch.ts'
import type { Db, EngagedSwitch } from '../store/tx.ts'
import type { KillState } from './kill-state.ts'

// A beat is one statement that does two things at once: it renews the lease together with the epoch that this
// replica has applied, and it brings back the switches, the head of the record and the epoch of the registry. So a
// 200 of the kill switch can wait for every lease that is alive to carry its epoch, and who cannot renew stops by
// itself when its lease is over: the local one is counted from before the question, and never outlives the one
// that others see.

const LEASE_MS = 1_000
/** Alone on an embedded database nobody else can engage the switch, so knowledge does not age so fast. */
const LEASE_ALONE_MS = 15_000
const HEARTBEAT_MS = 250
export const CLOCK_SKEW_MS_MAX = 2_000
const FORGET_AFTER = '1 hour'

interface Beat {
  readonly epoch: bigint
  /** As JSON: the epoch is a number and the time is text. */
  readonly rows: (Omit<EngagedSwitch, 'epoch' | 'engagedAt'> & {
    epoch: number
    engagedAt: string
  })[]
  readonly now: Date
  readonly seq: bigint
  readonly hash: string
  readonly hashAtFloor: string | null
  readonly registry: bigint
}

/**
 * This process among its peers: a lease in the database, renewed four times a second, that carries
 * the kill switch in one direction and the confirmation of having seen it in the other. `db` is a connection
 * of its own with a short deadline: a renewal that gets no answer is given up and tried again.
 */
export class Replica {
  readonly id = newId('rep')
  readonly #db: Db
  readonly #state: KillState
  readonly #floor: HeadFloor
  readonly #registry: RegistryEpoch
  readonly #log: Logger
  readonly #version: string
  readonly #isAlone: boolean
  readonly #leaseMs: number
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #again = false
  #revision = ''
  #skewMs = 0
  #failing = false

  /** `isAlone`: no other process can share the database; leases that others left there are over. */
  constructor(options: {
    db: Db
    state: KillState
    floor: HeadFloor
    registry: RegistryEpoch
    log: Logger
    version: string
    isAlone: boolean
  }) {
    this.#isAlone = options.isAlone
    this.#leaseMs = options.isAlone ? LEASE_ALONE_MS : LEASE_MS
    this.#db = options.db
    this.#state = options.state
    this.#floor = options.floor
    this.#registry = options.registry
    this.#log = options.log
    this.#version = options.version
  }

  async start(): Promise<void> {
    await patiently(() => this.#register())
    await this.beat()
    this.#timer = setInterval(() => void this.beat(), HEARTBEAT_MS)
  }

  async #register(): Promise<void> {
    if (this.#isAlone) await this.#db.query('update replicas set lease_until = to_timestamp(0)')
    await this.#db.query(
      `insert into replicas (id, host, version, lease_until)
       values ($1, $2, $3, clock_timestamp() + $4 * interval '1 ms') on conflict (id) do nothing`,
      [this.id, os.hostname(), this.#version, this.#leaseMs],
    )
    await this.#db.query(
      `delete from replicas where lease_until < now() - interval '${FORGET_AFTER}'
       and not exists (select 1 from actions a
         where a.replica_id = replicas.id and a.state = 'executing')`,
    )
  }

  /** Gives the lease back, so that nobody waits for this replica. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#beating
    await this.#db.query('delete from replicas where id = $1', [this.id]).catch(() => {})
  }

  /** Whether another replica is running on this database. */
  async hasPeers(): Promise<boolean> {
    const rows = await this.#db.query(
      'select 1 from replicas where id <> $1 and lease_until > clock_timestamp() limit 1',
      [this.id],
    )
    return rows.length > 0
  }

  /** Difference between this clock and the database's, in ms; positive when ours is ahead. */
  get skewMs(): number {
    return this.#skewMs
  }

  announceRevision(revision: string): void {
    this.#revision = revision
  }

  /** Renews the lease and learns the kill state. Calls made meanwhile share one further beat. */
  beat(): Promise<void> {
    if (this.#beating) {
      this.#again = true
      return this.#beating
    }
    this.#beating = this.#beatUntilCurrent().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beatUntilCurrent(): Promise<void> {
    try {
      do {
        this.#again = false
        await this.#renew()
      } while (this.#again)
      if (this.#failing) this.#log.info('lease renewed again')
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#log.error({ err: error }, 'lease not renewed; effects stop with it')
      this.#failing = true
    }
  }

  async #renew(): Promise<void> {
    const startedAt = performance.now()
    const clockAt = Date.now()
    const sent = { nowMs: this.#registry.nowMs, wallMs: this.#registry.wallMs }
    // What was known before the question: what is learnt meanwhile may be ahead of the answer.
    const floor = this.#floor.current
    const epoch = this.#state.epoch
    const [beat] = await this.#db.query<Beat>(RENEW, [
      this.id,
      this.#leaseMs,
      epoch < 0n ? 0n : epoch,
      this.#revision,
      floor.seq,
    ])
    if (!beat) throw new Error('this replica is not registered')
    const halfWayMs = (performance.now() - startedAt) / 2
    this.#skewMs = clockAt + halfWayMs - beat.now.getTime()
    if (beat.epoch < epoch) this.#floor.epochFell(epoch, beat.epoch)
    if (!this.#floor.accepts(floor, beat)) throw new Error(this.#floor.finding ?? '')
    this.#registry.seen(beat.registry, sent)
    const isNew = beat.epoch > epoch
    this.#state.apply(beat.epoch, beat.rows.map(fromJson))
    // Measured from before the statement, so the local lease never outlives the one others see.
    this.#state.extendLease(startedAt + this.#leaseMs)
    if (isNew) this.#again = true // confirm at once what was just applied
  }
}

function fromJson(row: Beat['rows'][number]): EngagedSwitch {
  return { ...row, epoch: BigInt(row.epoch), engagedAt: new Date(row.engagedAt) }
}

const RENEW = `update replicas set lease_until = clock_timestamp() + $2 * interval '1 ms',
    kill_epoch = $3, revision = $4
  where id = $1
  returning (select kill_epoch from ledger_head) as epoch, clock_timestamp() as now,
    (select audit_seq from ledger_head) as seq, (select audit_hash from ledger_head) as hash,
    (select e.hash from audit_entries e where e.seq = $5) as "hashAtFloor",
    (select n from registry_epoch) as registry,
    coalesce((select json_agg(json_build_object('agent', agent, 'tool', tool, 'upstream', upstream,
      'reason', reason, 'actor', actor, 'epoch', epoch, 'engagedAt', engaged_at))
      from kill_switches), '[]') as rows`

export interface LiveReplica {
  readonly id: string
  readonly host: string
  readonly version: string
  readonly revision: string
  readonly startedAt: Date
}

/** The replicas whose lease has not run out, oldest first. */
export async function liveReplicas(db: Db): Promise<LiveReplica[]> {
  return db.query(
    `select id, host, version, revision, started_at as "startedAt" from replicas
     where lease_until > clock_timestamp() order by started_at`,
  )
}
