import { createKey, revokeKey, type Caller, type KeyRing, type KeyRole } from '../agents/keys.ts'
import { createAgent, findAgent, type Agent, type NewAgent } from '../agents/registry.ts'
import { cancel, expire, findApproval, vote, type ApprovalRow } from '../approvals/tasks.ts'
import type { KillState } from '../control/kill-state.ts'
import {
  awaitConfirmation,
  engage,
  killRow,
  release,
  type KillScope,
} from '../control/kill-switch.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import { findAction, moveAction, orphanedActions, type ActionRow } from '../record/actions.ts'
import { raiseAlert } from '../record/alerts.ts'
import type { Ledger, Tx } from '../record/ledger.ts'
import type { Db } from '../store/tx.ts'
import {
  agentBudgets,
  settleBudgets,
  sweepCounters,
  type BudgetRow,
  type Held,
} from '../agents/counters.ts'

const CONFIRM_DEADLINE_MS = 3_000
const KILL_RETRY_MS = 500
/** An owner that lost its lease gets this long to still report the outcome it is waiting for. */
const ORPHAN_GRACE_MS = 2_000

export interface KillOutcome {
  /** Replicas that have not confirmed; empty: no further effect can start anywhere. */
  readonly unconfirmed: readonly string[]
  /** False while only this replica knows, because the database cannot be written. */
  readonly recorded: boolean
}

export interface OperationsParts {
  readonly db: Db
  readonly ledger: Ledger
  readonly killState: KillState
  readonly keyRing: KeyRing
  readonly replicaId: string
  readonly log: Logger
  /** Queues the wake-up of an approved action, in the batch that approves it. */
  readonly onApproved: (tx: Tx, approval: ApprovalRow) => Promise<void>
}

/** Every write that is not an action: each goes through the ledger, so each is on record. */
export class Operations {
  readonly #parts: OperationsParts

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  /** @throws GatewayError `not_found`, `forbidden`, `conflict` */
  vote(
    id: string,
    caller: Caller,
    choice: 'approve' | 'deny',
    comment: string,
  ): Promise<ApprovalRow> {
    return this.#parts.ledger.write(async (tx) => {
      const { approval, counted } = await vote(tx, id, caller, choice, comment)
      if (!counted) return approval
      const { status, quorum } = approval
      const kind = status === 'pending' ? 'approval.voted' : `approval.${status}`
      const detail = { vote: choice, approver: caller.name, key_id: caller.keyId, comment, quorum }
      tx.append(approvalEntry(kind, approval, detail))
      if (status === 'approved') await this.#parts.onApproved(tx, approval)
      if (status === 'denied') await endHeld(tx, approval, 'denied', `denied by ${caller.name}`)
      return approval
    })
  }

  /** Withdraws a held action: by the agent that asked, or by an operator. */
  async cancel(id: string, caller: Caller): Promise<ApprovalRow> {
    await this.#assertMayCancel(id, caller)
    return this.#parts.ledger.write(async (tx) => {
      const approval = await cancel(tx, id)
      tx.append(
        approvalEntry('approval.cancelled', approval, { actor: caller.name, key_id: caller.keyId }),
      )
      await endHeld(tx, approval, 'cancelled', `cancelled by ${caller.name}`)
      return approval
    })
  }

  /** Ends a pending approval whose time is over; no-op otherwise. */
  expire(id: string): Promise<void> {
    return this.#parts.ledger.write(async (tx) => {
      const approval = await expire(tx, id)
      if (!approval) return
      tx.append(approvalEntry('approval.expired', approval, {}))
      await endHeld(tx, approval, 'expired', 'nobody decided in time')
      const message = `approval of ${approval.tool} expired undecided`
      await raiseAlert(tx, 'approval_expired', approval.agent_id, message, { approval_id: id })
    })
  }

  /**
   * Engages the switch and waits until no replica can start what it covers. This replica stops at
   * once, whatever the database does; if it cannot be written, the engagement is kept and retried.
   */
  async engageKill(scope: KillScope, reason: string, actor: string): Promise<KillOutcome> {
    const { ledger, killState, db, replicaId } = this.#parts
    const row = killRow(scope, reason, actor)
    killState.engageLocally(row)
    try {
      const known = await ledger.write((tx) => engage(tx, row))
      killState.apply(known.epoch, known.rows)
      killState.dropLocal(row)
      const unconfirmed = await awaitConfirmation(db, known.epoch, replicaId, CONFIRM_DEADLINE_MS)
      return { unconfirmed, recorded: true }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'kill switch engaged here only; will be recorded later')
      this.#recordLater(row)
      return { unconfirmed: ['database'], recorded: false }
    }
  }

  /** @throws GatewayError `not_found` when no switch with exactly this scope is engaged. */
  async releaseKill(scope: KillScope, reason: string, actor: string): Promise<void> {
    const row = killRow(scope, reason, actor)
    const known = await this.#parts.ledger.write((tx) => release(tx, row))
    if (!known) throw new GatewayError('not_found', 'no kill switch with this scope is engaged')
    this.#parts.killState.apply(known.epoch, known.rows)
  }

  createAgent(agent: NewAgent, caller: Caller): Promise<{ agent: Agent; key: string }> {
    return this.#parts.ledger.write(async (tx) => {
      const created = await createAgent(tx, agent)
      const { key } = await createKey(tx, {
        role: 'agent',
        name: created.name,
        agentId: created.id,
      })
      const detail = { name: created.name, owner: created.owner, roles: created.roles }
      tx.append(registryEntry('agent.created', created.id, { ...detail, actor: caller.name }))
      return { agent: created, key }
    })
  }

  createKey(
    key: { role: KeyRole; name: string; agent: string | null },
    caller: Caller,
  ): Promise<{ id: string; key: string }> {
    return this.#parts.ledger.write(async (tx) => {
      const agentId = await agentOfKey(tx, key)
      const created = await createKey(tx, { role: key.role, name: key.name, agentId })
      const detail = { key_id: created.id, role: key.role, name: key.name, actor: caller.name }
      tx.append(registryEntry('key.created', agentId ?? '', detail))
      return created
    })
  }

  async revokeKey(id: string, caller: Caller): Promise<void> {
    await this.#parts.ledger.write(async (tx) => {
      const row = await revokeKey(tx, id)
      if (!row) throw new GatewayError('not_found', `there is no live key \`${id}\``)
      const detail = { key_id: id, role: row.role, name: row.name, actor: caller.name }
      tx.append(registryEntry('key.revoked', row.agent_id ?? '', detail))
    })
    this.#parts.keyRing.clear()
  }

  /** An operator says what really became of an action whose outcome is unknown. */
  settle(
    id: string,
    state: 'succeeded' | 'failed',
    note: string,
    caller: Caller,
  ): Promise<ActionRow> {
    return this.#parts.ledger.write(async (tx) => {
      const moved = await moveAction(tx, id, 'indeterminate', state, { errorMessage: note })
      if (!moved) throw await notIndeterminate(tx, id)
      const outcome = state === 'succeeded' ? ('settle' as const) : ('release' as const)
      const held = JSON.parse(moved.reserved) as Held[]
      await settleBudgets(
        tx,
        held.map((one) => ({ ...one, outcome })),
      )
      const detail = { state, note, settled_by: caller.name, key_id: caller.keyId }
      tx.append(actionEntry('outcome.settled', moved, detail))
      return moved
    })
  }

  /** What an agent's budgets hold at the moment, in micro-units. */
  async budgetsOf(agent: string): Promise<BudgetRow[]> {
    const found = await findAgent(this.#parts.db, agent)
    return found ? agentBudgets(this.#parts.db, found.id) : []
  }

  /** Puts something on record that no action is the cause of, such as a policy reload. */
  note(kind: string, detail: JsonObject, work?: (tx: Tx) => Promise<void>): Promise<void> {
    return this.#parts.ledger.write(async (tx) => {
      await work?.(tx)
      tx.append(registryEntry(kind, '', detail))
    })
  }

  /** Actions of replicas that are gone: nobody can say what became of them. */
  async sweepOrphans(): Promise<number> {
    return this.#parts.ledger.write(async (tx) => {
      const rows = await orphanedActions(tx, this.#parts.replicaId, ORPHAN_GRACE_MS)
      for (const row of rows) await orphan(tx, row)
      return rows.length
    })
  }

  sweepCounters(): Promise<void> {
    return this.#parts.ledger.write((tx) => sweepCounters(tx))
  }

  async #assertMayCancel(id: string, caller: Caller): Promise<void> {
    const approval = await findApproval(this.#parts.db, id)
    const isOwn = caller.agentId !== null && approval?.agent_id === caller.agentId
    const isOperator = caller.role === 'operator' || caller.role === 'admin'
    // An agent learns nothing of other agents' approvals, not even that they exist.
    if (!approval || (caller.role === 'agent' && !isOwn)) {
      throw new GatewayError('not_found', `there is no approval \`${id}\``)
    }
    if (!isOwn && !isOperator) {
      throw new GatewayError('forbidden', 'only the requester or an operator can cancel')
    }
  }

  #recordLater(row: ReturnType<typeof killRow>): void {
    setTimeout(() => void this.#recordNow(row), KILL_RETRY_MS).unref()
  }

  async #recordNow(row: ReturnType<typeof killRow>): Promise<void> {
    const { ledger, killState } = this.#parts
    try {
      const { epoch, rows } = await ledger.write((tx) => engage(tx, row))
      killState.apply(epoch, rows)
      killState.dropLocal(row)
    } catch {
      this.#recordLater(row)
    }
  }
}

async function agentOfKey(
  tx: Tx,
  key: { role: KeyRole; agent: string | null },
): Promise<string | null> {
  if (key.role !== 'agent') {
    if (key.agent === null) return null
    throw new GatewayError('invalid_request', '`agent` goes with keys of role `agent` only')
  }
  const agent = key.agent === null ? undefined : await findAgent(tx, key.agent)
  if (agent) return agent.id
  throw new GatewayError('invalid_request', 'a key of role `agent` names an existing agent')
}

async function notIndeterminate(tx: Tx, id: string): Promise<GatewayError> {
  const row = await findAction(tx, id)
  return row
    ? new GatewayError('conflict', `the action is ${row.state}, not indeterminate`)
    : new GatewayError('not_found', `there is no action \`${id}\``)
}

async function endHeld(
  tx: Tx,
  approval: ApprovalRow,
  state: 'denied' | 'expired' | 'cancelled',
  message: string,
): Promise<void> {
  await moveAction(tx, approval.action_id, 'held', state, {
    errorCode: 'policy_denied',
    errorMessage: `approval ${message}`,
  })
}

async function orphan(tx: Tx, row: ActionRow): Promise<void> {
  const message = 'the replica that executed it stopped before it recorded an outcome'
  const moved = await moveAction(tx, row.id, 'executing', 'indeterminate', {
    errorCode: 'outcome_unknown',
    errorMessage: message,
  })
  if (!moved) return
  const detail = { state: 'indeterminate', message, upstream: row.upstream, upstream_status: null }
  tx.append(actionEntry('outcome', moved, detail))
  const alert = `the outcome of ${row.tool} is unknown: ${message}`
  await raiseAlert(tx, 'action_indeterminate', row.agent_id, alert, { action_id: row.id })
}

function approvalEntry(kind: string, approval: ApprovalRow, detail: JsonObject) {
  return {
    kind,
    agentId: approval.agent_id,
    tool: approval.tool,
    effect: '',
    actionId: approval.action_id,
    detail: { approval_id: approval.id, request_hash: approval.request_hash, ...detail },
  }
}

function actionEntry(kind: string, row: ActionRow, detail: JsonObject) {
  return {
    kind,
    agentId: row.agent_id,
    tool: row.tool,
    effect: row.effect,
    actionId: row.id,
    detail: { decision_id: row.decision_id, ...detail },
  }
}

function registryEntry(kind: string, agentId: string, detail: JsonObject) {
  return { kind, agentId, tool: '', effect: '', actionId: '', detail }
}
