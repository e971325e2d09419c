import type { AccessStand } from '../approvals/access.ts'
import type { Approval } from '../approvals/tasks.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { fromStored } from '../pipeline/requests.ts'
import type { RecordMask } from '../record/mask.ts'
import { openedAsk } from '../record/sealed-asks.ts'

/** By what an access request is shown. */
export interface AccessViewParts {
  readonly mask: RecordMask
  readonly viewer?: { readonly role: string }
}

/** What an access request asks for: as on record, and in clear for whoever may decide, while it is to be decided. */
export function accessView(
  approval: Pick<Approval, 'id' | 'agentId' | 'status' | 'approverRoles'>,
  item: AccessStand | undefined,
  { mask, viewer }: AccessViewParts,
): JsonObject {
  if (!item) return {}
  const { action, resource, context, subject } = fromStored(item)
  const isOpen = approval.status === 'pending' || approval.status === 'approved'
  const mayDecide = isOpen && viewer && approval.approverRoles.includes(viewer.role)
  const ask = mayDecide ? openedAsk(mask, approval.id, item.sealed) : undefined
  const clear = (name: string): Json | undefined => ask?.[name]
  const said = (clear('context') ?? context) as JsonObject
  const justification = said['business_justification']
  const asked = (clear('action') ?? {}) as JsonObject
  const shownAction = ask ? ((asked['properties'] ?? {}) as JsonObject) : action.properties
  return {
    ...(approval.agentId === '' ? { agent_name: `${subject.type}:${subject.id}` } : {}),
    decision_id: item.evaluationId,
    args: shownAction,
    resource: resource && { ...resource },
    context: said,
    agent_reason: typeof justification === 'string' ? justification : null,
    cost: null,
    access_request: {
      task_id: item.taskId,
      item: item.position,
      subject: clear('subject') ?? { type: subject.type, id: subject.id },
      resource: clear('resource') ?? (resource && { ...resource }),
      ...(ask
        ? { requested_access: clear('requested_access') ?? {}, client: clear('client') ?? {} }
        : {}),
    },
  }
}
