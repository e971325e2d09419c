import { currentMonth } from '../../agents/budget-stands.ts'
import type { Caller, KeyRole } from '../../agents/keys.ts'
import { agentAsked, shownTo } from '../../agents/known.ts'
import { approvalOfAction, listApprovals } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { cancelApproval } from '../../operations/approvals.ts'
import { findAction, listActions } from '../../record/actions.ts'
import { actionJson, explainedToAgent, readAction } from '../api/actions.ts'
import { approvalsShown, readApproval } from '../api/approvals-shown.ts'
import { agentBudget } from '../api/spend-json.ts'
import { AGENTS, READERS } from '../edge/roles.ts'
import {
  ACTION_ANSWER,
  ACTION_STATES,
  always,
  APPROVAL_ANSWER,
  APPROVAL_WITH_REQUEST,
  list,
  MONTH_ANSWER,
  STRING,
} from '../edge/schemas.ts'
import { NAME, object, OPEN, params, type Shape, TEXT } from '../edge/validate.ts'
import type { McpParts } from './served.ts'

// What the gate says of itself to a client over MCP: to an agent what became of what it asked for, to people what waits for
// them. Nothing here approves anything: the program that a person has it read by is no person.

const LISTED_MAX = 100
const LISTED = 20
/** How far back a decision is looked for that is named by its own id. */
const LOOKED_THROUGH = 200

/** A tool of the gate's own; its args are checked before it runs. */
export interface OwnTool {
  readonly name: string
  readonly roles: readonly KeyRole[]
  /** As a client lists it. */
  readonly listed: JsonObject
  run(parts: McpParts, caller: Caller, args: JsonObject): Promise<JsonObject>
}

interface OwnToolWords<Args> {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly roles: readonly KeyRole[]
  readonly args: Shape<Args>
  readonly answer: JsonObject
  /** It changes something. */
  readonly writes?: true
  run(parts: McpParts, caller: Caller, args: Args): Promise<JsonObject>
}

const own = <Args>(words: OwnToolWords<Args>): OwnTool => {
  const { name, title, description, roles, args, answer, writes } = words
  const annotations = { readOnlyHint: !writes, destructiveHint: false, openWorldHint: false }
  return {
    name,
    roles,
    listed: {
      ...{ name, title, description, annotations },
      inputSchema: args.schema,
      outputSchema: answer,
    },
    run: (parts, caller, raw) => words.run(parts, caller, args(raw)),
  }
}

const LIMIT = { type: 'integer', minimum: 1, maximum: LISTED_MAX } as const

export const OWN_TOOLS: readonly OwnTool[] = [
  own({
    name: 'action_status',
    title: 'What became of an action',
    description:
      'The state of one of your actions, and its result once it ran. `wait_s` waits for one that a person must approve.',
    roles: AGENTS,
    args: params<{ action_id: string; wait_s?: number }>(
      { action_id: NAME, wait_s: { type: 'integer', minimum: 0, maximum: 50 } },
      ['action_id'],
    ),
    answer: ACTION_ANSWER,
    run: (parts, caller, { action_id: id, wait_s: waitS = 0 }) =>
      readAction(parts, caller, id, waitS),
  }),
  own({
    name: 'my_actions',
    title: 'My latest actions',
    description: 'Your latest actions, newest first, perhaps those in one state.',
    roles: AGENTS,
    args: params<{ status?: string; limit?: number }>({
      status: { enum: [...ACTION_STATES] },
      limit: LIMIT,
    }),
    answer: always({ actions: list(ACTION_ANSWER) }),
    async run({ db }, caller, { status, limit = LISTED }) {
      const agentId = await agentAsked(db, caller, undefined)
      const actions = await listActions(db, { agentId, state: status, limit })
      return { actions: actions.map(actionJson) }
    },
  }),
  own({
    name: 'cancel_action',
    title: 'Take back an action',
    description: 'Takes back one of your actions that waits for a person.',
    roles: AGENTS,
    args: params<{ action_id: string; reason?: string }>({ action_id: NAME, reason: TEXT }, [
      'action_id',
    ]),
    answer: ACTION_ANSWER,
    writes: true,
    run: cancelled,
  }),
  own({
    name: 'explain_denial',
    title: 'Why it was denied',
    description:
      'The rules that denied or held one of your actions, by `decision_id` or `action_id`.',
    roles: AGENTS,
    args: params<{ decision_id?: string; action_id?: string }>({
      decision_id: NAME,
      action_id: NAME,
    }),
    answer: object({
      ...{ action_id: STRING, decision_id: STRING, tool: STRING, effect: STRING },
      ...{ status: STRING, state: STRING, revision: STRING, reasons: list(OPEN) },
    }),
    run: explained,
  }),
  own({
    name: 'my_budget',
    title: 'My budget',
    description: 'What you have spent of your budget this month, and what is left of it.',
    roles: AGENTS,
    args: params<Record<string, never>>({}),
    answer: MONTH_ANSWER,
    run: async ({ db, agents }, caller) =>
      agentBudget(db, await agents.acting(caller), await currentMonth(db)),
  }),
  own({
    name: 'list_pending_approvals',
    title: 'What waits for a person',
    description:
      'Actions that wait for a person, those that end first coming first. Nobody can approve here: that is done by a person, in the dashboard.',
    roles: READERS,
    args: params<{ agent?: string; limit?: number }>({ agent: NAME, limit: LIMIT }),
    answer: always({ approvals: list(APPROVAL_ANSWER) }),
    async run(parts, caller, { agent, limit = LISTED }) {
      const agentId = (await agentAsked(parts.db, caller, agent)) ?? null
      const filter = { status: 'pending', agentId, before: null, limit, byExpiry: true }
      const approvals = await listApprovals(parts.db, filter)
      return { approvals: await approvalsShown(parts, caller, approvals) }
    },
  }),
  own({
    name: 'get_approval',
    title: 'One that waits, or was decided',
    description: 'An approval with all it takes to judge it: the request, its votes, who may vote.',
    roles: READERS,
    args: params<{ approval_id: string }>({ approval_id: NAME }, ['approval_id']),
    answer: APPROVAL_WITH_REQUEST,
    run: (parts, caller, { approval_id: id }) => readApproval(parts, caller, id),
  }),
]

async function cancelled(
  parts: McpParts,
  caller: Caller,
  { action_id: id, reason = '' }: { action_id: string; reason?: string },
): Promise<JsonObject> {
  const { db, operations } = parts
  const action = shownTo(caller, await findAction(db, id), 'action', id)
  const approval = await approvalOfAction(db, action.id)
  if (!approval) throw new GatewayError('conflict', 'the action waits for nobody')
  await operations.write((tx) => cancelApproval(tx, approval.id, caller, reason))
  return readAction(parts, caller, action.id, 0)
}

async function explained(
  { db }: McpParts,
  caller: Caller,
  { decision_id: decisionId, action_id: actionId }: { decision_id?: string; action_id?: string },
): Promise<JsonObject> {
  if ((decisionId === undefined) === (actionId === undefined)) {
    throw new GatewayError('invalid_request', 'one of `decision_id` and `action_id` is needed')
  }
  if (actionId !== undefined) {
    return explainedToAgent(shownTo(caller, await findAction(db, actionId), 'action', actionId))
  }
  const agentId = await agentAsked(db, caller, undefined)
  const latest = await listActions(db, { agentId, limit: LOOKED_THROUGH })
  const found = latest.find((one) => one.decisionId === decisionId)
  if (found) return explainedToAgent(found)
  const message = `none of the latest ${LOOKED_THROUGH} actions was decided so: give \`action_id\``
  throw new GatewayError('not_found', message)
}
