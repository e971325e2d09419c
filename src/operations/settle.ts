import type { Caller } from '../agents/keys.ts'
import { settleBudgets, settlementsOf } from '../agents/counters.ts'
import { GatewayError } from '../errors.ts'
import { findAction, moveAction, type Action } from '../record/actions.ts'
import type { Tx } from '../record/ledger.ts'
import { actionEntry } from '../record/entries.ts'

/**
 * An operator says what really became of an action whose outcome is unknown.
 * @throws GatewayError `not_found`, `conflict`
 */
export async function settleAction(
  tx: Tx,
  id: string,
  state: 'succeeded' | 'failed',
  reason: string,
  caller: Caller,
): Promise<Action> {
  const moved = await moveAction(tx, id, 'indeterminate', state, { errorMessage: reason })
  if (!moved) throw await notIndeterminate(tx, id)
  const outcome = state === 'succeeded' ? 'settle' : 'release'
  settleBudgets(tx, settlementsOf(moved, outcome))
  const who = { settled_by: caller.name, key_id: caller.keyId }
  // `state` and `note` are what `status` and `reason` were called before.
  const detail = { status: state, state, reason, note: reason, ...who }
  tx.append(actionEntry('outcome.settled', moved, detail))
  return moved
}

async function notIndeterminate(tx: Tx, id: string): Promise<GatewayError> {
  const action = await findAction(tx, id)
  return action
    ? new GatewayError('conflict', `the action is ${action.state}, not indeterminate`)
    : new GatewayError('not_found', `there is no action \`${id}\``)
}
