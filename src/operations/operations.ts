import { agentBudgets, type BudgetStand } from '../agents/budget-stands.ts'
import { sweepCounters } from '../agents/counters.ts'
import { wipeAsks } from '../approvals/access.ts'
import { findAgent } from '../agents/registry.ts'
import type { KillState } from '../control/kill-state.ts'
import {
  awaitConfirmation,
  engage,
  engagedSwitch,
  release,
  type KillScope,
} from '../control/kill-switch.ts'
import { GatewayError } from '../errors.ts'
import type { Logger } from '../lib/log.ts'
import type { JsonObject } from '../model/json.ts'
import { moveAction, orphanedActions, type Action } from '../record/actions.ts'
import { raiseAlert } from '../record/alerts.ts'
import { sweepAnswers } from '../record/answers.ts'
import type { Ledger, Tx } from '../record/ledger.ts'
import type { Bundle } from '../bundle/types.ts'
import type { Db } from '../store/tx.ts'
import { expireApproval } from './approvals.ts'
import { actionEntry } from '../record/entries.ts'
import { engagedAgent, resolveScope, type Coverage } from './kill-scope.ts'
import { runOnce, type Once, type Work } from './once.ts'
import { registryEntry } from './registry.ts'
import { REPORT, type Report, type Reported } from './report.ts'

// The writes of people and sweeps, with the kill switch as the one that may not wait: it goes to the head of
// the ledger's queue and is asked about over a connection of its own. Engaging works without a database too:
// this replica stops at once, the caller is told that it is not recorded, and the record is made up for as
// soon as it can be. Releasing needs the record.

const CONFIRM_DEADLINE_MS = 3_000
const KILL_RETRY_MS = 500
/** An owner that lost its lease gets this long to still report the outcome it is waiting for. */
const ORPHAN_GRACE_MS = 2_000

export interface KillOutcome {
  /** Replicas that have not confirmed; empty: no further effect can start anywhere. */
  readonly unconfirmed: readonly string[]
  /** False while only this replica knows, because the database cannot be written. */
  readonly recorded: boolean
  /** The scope with the agent by its id. */
  readonly scope: KillScope
  /** Null while the database cannot say. */
  readonly covers: Coverage | null
}

export interface OperationsParts {
  readonly db: Db
  /** A connection of its own, for what has to be answered whatever else goes on. */
  readonly control: Db
  /** All policies that may decide at the moment. */
  readonly bundles: () => readonly Bundle[]
  readonly ledger: Ledger
  readonly killState: KillState
  readonly replicaId: string
  readonly log: Logger
}

/** Every write that is not an action: each goes through the ledger, so each is on record. */
export class Operations {
  readonly #parts: OperationsParts

  constructor(parts: OperationsParts) {
    this.#parts = parts
  }

  /** Runs a write in one ledger batch. */
  write<Output>(work: (tx: Tx) => Promise<Output>): Promise<Output> {
    return this.#parts.ledger.write(work)
  }

  /** Runs a write in one ledger batch, at most once under its `Idempotency-Key`. */
  async once(once: Once | null, work: Work, deadlineMs?: number): Promise<JsonObject | undefined> {
    const answer = await this.#parts.ledger.write((tx) => runOnce(tx, once, work), deadlineMs)
    if (answer instanceof GatewayError) throw answer
    return answer
  }

  /**
   * Accounts for one action that an agent takes by itself.
   * @throws GatewayError `not_found`, `agent_paused`, `per_action_limit_exceeded`, `budget_exceeded`,
   *   `kill_switch_engaged`
   */
  async report(
    report: Report,
    once: Once | null,
    present: (reported: Reported) => JsonObject,
  ): Promise<JsonObject | undefined> {
    // Without a key, reports of one batch are judged together, which is what makes many of them quick.
    if (once === null) return present(await this.#parts.ledger.submit(REPORT, report))
    return this.once(once, async (tx) => {
      const [reported] = await REPORT.apply(tx, [report], undefined)
      if (!reported || reported instanceof GatewayError) return reported
      return present(reported)
    })
  }

  /** Ends a pending approval whose time is over; no-op otherwise. */
  expire(id: string): Promise<void> {
    return this.#parts.ledger.write((tx) => expireApproval(tx, id))
  }

  /**
   * Engages the switch and waits until no replica can start what it covers. This replica stops at
   * once, whatever the database does; if it cannot be written, the engagement is kept and retried.
   */
  async engageKill(asked: KillScope, reason: string, actor: string): Promise<KillOutcome> {
    const { ledger, killState, control, replicaId } = this.#parts
    const { scope, covers } = await this.#resolved(asked)
    const row = engagedSwitch(scope, reason, actor)
    killState.engageLocally(row)
    try {
      const known = await ledger.writeFirst((tx) => engage(tx, row))
      killState.apply(known.epoch, known.rows)
      killState.dropLocal(row)
      const unconfirmed = await awaitConfirmation(
        control,
        known.epoch,
        replicaId,
        CONFIRM_DEADLINE_MS,
      )
      return { unconfirmed, recorded: true, scope, covers }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'kill switch engaged here only; will be recorded later')
      this.#recordLater(row)
      return { unconfirmed: ['database'], recorded: false, scope, covers }
    }
  }

  // What stops things goes first: a scope that cannot be looked up is engaged as it was sent.
  async #resolved(scope: KillScope): Promise<{ scope: KillScope; covers: Coverage | null }> {
    try {
      return await resolveScope(this.#parts.control, this.#parts.bundles(), scope)
    } catch (error) {
      if (error instanceof GatewayError) throw error
      return { scope, covers: null }
    }
  }

  /**
   * Releases it, also when what it named is gone: the agent by its id or its name.
   * @throws GatewayError `not_found` when no switch with exactly this scope is engaged
   */
  async releaseKill(asked: KillScope, reason: string, actor: string): Promise<void> {
    const { ledger, killState, control } = this.#parts
    const agent = await engagedAgent(control, killState.rows, asked.agent)
    const row = engagedSwitch({ ...asked, agent }, reason, actor)
    const known = await ledger.writeFirst((tx) => release(tx, row))
    // One that waits to be recorded is released with it, or it would come back later.
    const wasLocal = killState.releaseLocally(row)
    if (!known && wasLocal) return
    if (!known) throw new GatewayError('not_found', 'no kill switch with this scope is engaged')
    killState.apply(known.epoch, known.rows)
  }

  /** What an agent's budgets hold at the moment, in micro-units. */
  async budgetsOf(agent: string): Promise<BudgetStand[]> {
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
      const actions = await orphanedActions(tx, this.#parts.replicaId, ORPHAN_GRACE_MS)
      for (const action of actions) await orphan(tx, action)
      return actions.length
    })
  }

  /** Removes what no window and no retry reaches any more. */
  sweepCounters(): Promise<void> {
    return this.#parts.ledger.write(async (tx) => {
      await sweepCounters(tx)
      await sweepAnswers(tx)
      await wipeAsks(tx)
    })
  }

  #recordLater(row: ReturnType<typeof engagedSwitch>): void {
    setTimeout(() => void this.#recordNow(row), KILL_RETRY_MS).unref()
  }

  async #recordNow(row: ReturnType<typeof engagedSwitch>): Promise<void> {
    const { ledger, killState } = this.#parts
    if (!killState.isLocal(row)) return
    try {
      const { epoch, rows } = await ledger.writeFirst((tx) => engage(tx, row))
      killState.apply(epoch, rows)
      killState.dropLocal(row)
    } catch {
      this.#recordLater(row)
    }
  }
}

async function orphan(tx: Tx, action: Action): Promise<void> {
  const message = 'the replica that executed it stopped before it recorded an outcome'
  const moved = await moveAction(tx, action.id, 'executing', 'indeterminate', {
    errorCode: 'outcome_unknown',
    errorMessage: message,
  })
  if (!moved) return
  const detail = {
    state: 'indeterminate',
    message,
    upstream: action.upstream,
    upstream_status: null,
  }
  tx.append(actionEntry('outcome', moved, detail))
  const alert = `the outcome of ${action.tool} is unknown: ${message}`
  raiseAlert(tx, 'action_indeterminate', action.agentId, alert, { action_id: action.id })
}
