import { approvalOfAction, type Approval } from '../../approvals/tasks.ts'
import { GatewayError } from '../../errors.ts'
import { RawJson } from '../../lib/raw-json.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { cancelApproval } from '../../operations/approvals.ts'
import type { Answer } from '../../pipeline/submission.ts'
import { findAction, type Action } from '../../record/actions.ts'
import { declares } from '../../mcp/eras.ts'
import {
  actionIdOf,
  assertTasks,
  idsIn,
  taskBase,
  taskId,
  taskIn,
  TASKS,
  unknownTask,
} from '../../mcp/tasks.ts'
import { isObject, McpError } from '../../mcp/wire.ts'
import { pendingResult, refusedResult } from './results.ts'
import type { AlsoTold } from './changes.ts'
import type { Replying } from './replying.ts'
import type { Asking, CalledTool, McpParts, Served } from './served.ts'

// A held call as a task, for clients that say on the request that they know what one is: others would take it for an answer.
// What a person decides is never decided here. What a task ends with is what the call would have been answered.

type Held = Extract<Answer, { type: 'held' }>

/** What is told of its tool when a task is read: nothing is held against a shape. */
const SOME_TOOL: CalledTool = { tool: '', schema: {}, hasOutputSchema: true, isShown: true }

export class Tasks {
  readonly #parts: McpParts

  constructor(parts: McpParts) {
    this.#parts = parts
  }

  /** Whether who sent it wants a task where it would have to wait. */
  areWanted({ era, message }: Replying): boolean {
    return era.isModern && declares(message, TASKS)
  }

  /** The task that a held call is from now on; its action is on record already. */
  async created(held: Held, served: Served, { caller }: Asking): Promise<JsonObject> {
    const action = await findAction(this.#parts.db, held.actionId)
    if (!action) throw new Error(`action ${held.actionId} is not on record`)
    const id = this.#idOf(action.id, served, caller.agentId)
    return {
      resultType: 'task',
      ...this.#base(id, action, held.approval),
      ...working(action, held.approval.id),
    }
  }

  /** `tasks/get` @throws McpError */
  async get(served: Served, asking: Asking, replying: Replying): Promise<JsonObject> {
    const action = await this.#action(served, asking)
    return this.#view(action, served, asking, replying)
  }

  /** `tasks/cancel`: what was sent already is finished; either way it is only acknowledged. @throws McpError */
  async cancel(served: Served, asking: Asking): Promise<JsonObject> {
    const { db, operations } = this.#parts
    const action = await this.#action(served, asking)
    const approval = await approvalOfAction(db, action.id)
    if (action.state !== 'held' || !approval) return {}
    try {
      await operations.write((tx) =>
        cancelApproval(tx, approval.id, asking.caller, 'its client cancelled the task'),
      )
    } catch (error) {
      // Decided meanwhile: the task says how.
      if (!(error instanceof GatewayError && error.code === 'conflict')) throw error
    }
    return {}
  }

  /** `tasks/update`: nothing is asked of a client, so that nothing it answers changes anything. @throws McpError */
  async update(served: Served, asking: Asking): Promise<JsonObject> {
    await this.#action(served, asking)
    return {}
  }

  /** What of the tasks that a subscription names is told. @throws McpError */
  listening(served: Served, asking: Asking, replying: Replying): AlsoTold | undefined {
    const asked = asking.message.params['notifications']
    if (!isObject(asked) || asked['taskIds'] === undefined) return undefined
    assertTasks(asking.message)
    const known = new Map(
      idsIn(asked['taskIds']).flatMap((id) => {
        const actionId = actionIdOf(id, this.#of(served, asking.caller.agentId), this.#keyed)
        return actionId === undefined ? [] : [[actionId, id] as const]
      }),
    )
    return {
      agreed: { taskIds: [...known.values()] },
      about: async (actionId) => {
        if (!known.has(actionId)) return undefined
        const action = await findAction(this.#parts.db, actionId)
        if (!action) return undefined
        // Nobody knows whether it arrives: the same call again must still find it.
        const { params } = await this.#shown(action, served, asking, replying)
        return { method: 'notifications/tasks', params }
      },
    }
  }

  async #action(served: Served, { message, caller }: Asking): Promise<Action> {
    assertTasks(message)
    const actionId = taskIn(message, this.#of(served, caller.agentId), this.#keyed)
    const action = await findAction(this.#parts.db, actionId)
    if (action && action.agentId === caller.agentId) return action
    throw unknownTask(message.id)
  }

  /** Handed to who asks for it, which is all a client can be asked to do for having it. */
  async #view(
    action: Action,
    served: Served,
    asking: Asking,
    replying: Replying,
  ): Promise<JsonObject> {
    const { params, isAnswer } = await this.#shown(action, served, asking, replying)
    if (isAnswer) await this.#parts.pipeline.noteCollected(action)
    return params
  }

  async #shown(
    action: Action,
    served: Served,
    { caller }: Asking,
    replying: Replying,
  ): Promise<{ readonly params: JsonObject; readonly isAnswer: boolean }> {
    const { db, pipeline } = this.#parts
    const id = this.#idOf(action.id, served, caller.agentId)
    const approval = await approvalOfAction(db, action.id)
    const base = this.#base(id, action, approval)
    if (action.state === 'held' || action.state === 'executing') {
      return { params: { ...base, ...working(action, approval?.id ?? '') }, isAnswer: false }
    }
    if (action.state === 'cancelled') {
      const params = { ...base, status: 'cancelled', statusMessage: action.errorMessage }
      return { params, isAnswer: false }
    }
    const answer = await pipeline.answerOf(action.id, 0)
    const params = { ...base, ...ended(answer, served, replying, action.tool) }
    return { params, isAnswer: true }
  }

  #base(id: string, action: Action, approval: Pick<Approval, 'expiresAt'> | undefined) {
    const { createdAt, startedAt, finishedAt } = action
    return taskBase(id, {
      createdAt,
      updatedAt: finishedAt ?? startedAt ?? createdAt,
      expiresAt: approval?.expiresAt ?? createdAt,
    })
  }

  readonly #keyed = (text: string): string => this.#parts.mask.keyed(text)

  #of({ name }: Served, agentId: string | null) {
    return { server: name, holder: agentId ?? '' }
  }

  #idOf(actionId: string, served: Served, agentId: string | null): string {
    return taskId(actionId, this.#of(served, agentId), this.#keyed)
  }
}

const working = ({ state }: Action, approvalId: string) => ({
  status: 'working',
  statusMessage: state === 'executing' ? 'executing' : `waiting for approval ${approvalId}`,
})

/** How a task ended, with what its call would have been answered. */
function ended(
  answer: Answer | undefined,
  served: Served,
  replying: Replying,
  tool: string,
): JsonObject {
  try {
    const result = resultOf(answer, served, replying, tool)
    return {
      status: 'completed',
      result: result instanceof RawJson ? (result as unknown as Json) : { ...WHOLE, ...result },
    }
  } catch (error) {
    if (!(error instanceof McpError)) throw error
    const { code, message, data } = error
    return { status: 'failed', error: { code, message, ...(data ? { data } : {}) } }
  }
}

const WHOLE = { resultType: 'complete' } as const

function resultOf(
  answer: Answer | undefined,
  served: Served,
  replying: Replying,
  tool: string,
): JsonObject | RawJson {
  switch (answer?.type) {
    case 'executed':
      return served.result(answer, replying, tool)
    case 'refused':
      return refusedResult(answer, SOME_TOOL)
    case 'held':
      return pendingResult(answer, SOME_TOOL)
    default:
      throw new Error('a task is of an action on record')
  }
}
