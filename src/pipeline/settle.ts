import type { Caller } from '../agents/keys.ts'
import { settleBudgets, type Held } from '../agents/counters.ts'
import { GatewayError } from '../errors.ts'
import { findAction, moveAction, type ActionRow } from '../record/actions.ts'
import type { Tx } from '../record/ledger.ts'
import { actionEntry } from './entries.ts'

/**
 * An operator says what really became of an action whose outcome is unknown.
 * @throws GatewayError `not_found`, `conflict`
 */
export async function settleAction(
  tx: Tx,
  id: string,
  state: 'succeeded' | 'failed',
  note: string,
  caller: Caller,
): Promise<ActionRow> {
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
}

async function notIndeterminate(tx: Tx, id: string): Promise<GatewayError> {
  const row = await findAction(tx, id)
  return row
    ? new GatewayError('conflict', `the action is ${row.state}, not indeterminate`)
    : new GatewayError('not_found', `there is no action \`${id}\``)
}
