import type { Caller } from '../agents/keys.ts'
import { GatewayError } from '../errors.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import { UNSAID } from '../model/request.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { chatCall } from '../protocols/model/protocol.ts'
import type { PlanPolicy } from '../bundle/types.ts'
import { completionOf } from '../protocols/model/outcome.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { Answer } from '../pipeline/submission.ts'

export interface GoalSubmission {
  readonly caller: Caller
  readonly requestId: string
  readonly goal: string
  readonly idempotencyKey: string | null
}

/**
 * Asks the model for the changes a goal needs: an action of the agent like any other call of the model.
 * What comes back is judged as if the agent had written it. Answers the model's JSON, of any shape, or the
 * answer of an action that did not succeed.
 */
export async function changesOfGoal(
  pipeline: Pipeline,
  plans: PlanPolicy,
  { caller, requestId, goal, idempotencyKey }: GoalSubmission,
): Promise<{ readonly json: Json } | { readonly refused: Answer }> {
  const answer = await pipeline.act({
    caller,
    requestId,
    call: chatCall({
      messages: [
        { role: 'system', content: instructions(plans) },
        { role: 'user', content: goal },
      ],
    }),
    ...UNSAID,
    // The key is the plan's; its model call must not be taken for an action of that name.
    idempotencyKey: idempotencyKey === null ? null : `plan ${idempotencyKey}`,
    waitMs: 0,
    mayBeHeld: false,
  })
  if (answer.type !== 'executed') return { refused: answer }
  return { json: readChanges(completionOf(answer.result).text) }
}

function instructions({ allowedDirs, diffLinesMax }: PlanPolicy): string {
  const format = '{"changes":[{"path":"...","before":"...","after":"..."}]}'
  return (
    'Propose changes of files that reach the goal. Answer with one JSON object and nothing else: ' +
    `${format}. Leave \`before\` out for a new file and \`after\` out to delete one. Paths are relative and ` +
    `lie in: ${allowedDirs.join(', ')}. All changes together have at most ${diffLinesMax} lines.`
  )
}

const FENCED = /^\s*```(?:json)?\s*\n([\s\S]*?)\n\s*```\s*$/

function readChanges(text: string): Json {
  const [, inner = text] = FENCED.exec(text) ?? []
  try {
    const json = parseStrictJson(inner)
    const { changes } = json as JsonObject
    if (Array.isArray(changes)) return changes as Json
  } catch {
    // Said below.
  }
  throw new GatewayError('upstream_unreachable', 'the model proposed no changes that can be read')
}
