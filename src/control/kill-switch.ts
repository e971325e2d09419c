import { setTimeout as delay } from 'node:timers/promises'
import type { Db, EngagedSwitch, Tx } from '../store/tx.ts'

/** What a switch stops. All null: everything. Several named: only what matches all of them. */
export interface KillScope {
  readonly agent: string | null
  readonly tool: string | null
  readonly upstream: string | null
}

const CONFIRM_POLL_MS = 15

export function engagedSwitch(scope: KillScope, reason: string, actor: string): EngagedSwitch {
  return {
    agent: scope.agent ?? '',
    tool: scope.tool ?? '',
    upstream: scope.upstream ?? '',
    reason,
    actor,
    epoch: 0n,
    engagedAt: new Date(),
  }
}

/** What a replica has to know after a change: the epoch and every engaged switch. */
export interface KillKnowledge {
  readonly epoch: bigint
  readonly rows: readonly EngagedSwitch[]
}

/** Engages a switch inside a ledger batch; from its commit on, no batch claims what it covers. */
export async function engage(tx: Tx, row: EngagedSwitch): Promise<KillKnowledge> {
  const epoch = tx.raiseKillEpoch()
  await tx.query(
    `insert into kill_switches (agent, tool, upstream, reason, actor, epoch, engaged_at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (agent, tool, upstream) do update
       set reason = excluded.reason, actor = excluded.actor, epoch = excluded.epoch,
         engaged_at = excluded.engaged_at`,
    [row.agent, row.tool, row.upstream, row.reason, row.actor, epoch, new Date(tx.nowMs)],
  )
  tx.append(killEntry('kill_switch.engaged', row, epoch))
  return { epoch, rows: await changed(tx) }
}

/** Releases the switch with exactly this scope; undefined when it was not engaged. */
export async function release(tx: Tx, row: EngagedSwitch): Promise<KillKnowledge | undefined> {
  const removed = await tx.query(
    `delete from kill_switches where agent = $1 and tool = $2 and upstream = $3 returning agent`,
    [row.agent, row.tool, row.upstream],
  )
  if (removed.length === 0) return undefined
  const epoch = tx.raiseKillEpoch()
  tx.append(killEntry('kill_switch.released', row, epoch))
  return { epoch, rows: await changed(tx) }
}

async function changed(tx: Tx): Promise<EngagedSwitch[]> {
  const rows = await tx.query<EngagedSwitch>(
    'select agent, tool, upstream, reason, actor, epoch, engaged_at as "engagedAt" from kill_switches',
  )
  tx.changeKillSwitches(rows)
  return rows
}

/**
 * Waits until every replica with a live lease has seen `epoch`. A replica that cannot confirm loses
 * its lease and stops by itself, so this ends within a lease.
 * @returns ids of replicas that had not confirmed when `deadlineMs` passed.
 */
export async function awaitConfirmation(
  db: Db,
  epoch: bigint,
  ownReplicaId: string,
  deadlineMs: number,
): Promise<string[]> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const rows = await db.query<{ id: string }>(
      `select id from replicas
       where id <> $1 and kill_epoch < $2 and lease_until > clock_timestamp()`,
      [ownReplicaId, epoch],
    )
    if (rows.length === 0 || performance.now() > deadline) return rows.map(({ id }) => id)
    await delay(CONFIRM_POLL_MS)
  }
}

function killEntry(kind: string, row: EngagedSwitch, epoch: bigint) {
  return {
    kind,
    agentId: '',
    tool: row.tool,
    effect: '',
    actionId: '',
    detail: {
      scope: { agent: row.agent || null, tool: row.tool || null, upstream: row.upstream || null },
      reason: row.reason,
      actor: row.actor,
      epoch: Number(epoch),
    },
  }
}
