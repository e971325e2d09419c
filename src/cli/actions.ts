import type { Action, Calls } from '../client/index.ts'
import { print, say, visible } from './exit.ts'
import { ask, type ClientOptions, path, query } from './gate-client.ts'
import { listing, table, time } from './table.ts'

type Options = ClientOptions & { readonly json?: boolean }

interface Explanation {
  readonly reasons?: readonly Reason[]
}
interface Reason {
  readonly code: string
  readonly message: string
  readonly source?: string
  readonly location?: { file: string; line: number }
}

/** `portcullis actions list`. */
export async function listActions(
  options: Options & { status?: string; agent?: string; tool?: string; limit: string },
): Promise<void> {
  const { status, agent, tool, limit } = options
  const route = query('/actions', { status, agent, tool, limit })
  const page = await ask<Calls['GET /actions']['answer']>(options, 'GET', route)
  if (options.json) return print(JSON.stringify(page, null, 2))
  if (page.actions.length === 0) return say('no action is like that')
  const rows = page.actions.map((one) => [
    one.id,
    time(one.created_at),
    one.agent_name ?? one.agent,
    one.request.action.name,
    one.status,
    one.error?.message ?? '',
  ])
  print(table(['ID', 'AT', 'AGENT', 'TOOL', 'STATUS', 'WHY'], rows))
}

/** `portcullis actions show`: what was asked, what was decided and why, what came of it. */
export async function showAction(id: string, options: Options): Promise<void> {
  const action = await ask<Action>(options, 'GET', path`/actions/${id}`)
  const { reasons = [] } = await ask<Explanation>(options, 'GET', path`/actions/${id}/explain`)
  if (options.json) return print(JSON.stringify({ ...action, reasons }, null, 2))
  const { approval, result, error } = action
  print(
    listing([
      ['id', action.id],
      ['agent', action.agent_name ?? action.agent],
      ['tool', action.request.action.name],
      ['args', JSON.stringify(action.request.args, null, 2)],
      ['the agent says', action.request.reason ?? ''],
      ['decision', action.effect],
      ['because', reasons.map(reasonText).join('\n')],
      ['approval', approval ? approvalText(approval) : ''],
      ['status', [action.status, error?.message].filter(Boolean).join(': ')],
      ['answer', result ? `${result.status} ${JSON.stringify(result.body, null, 2)}` : ''],
      ['asked', time(action.created_at)],
      ['ended', time(action.finished_at)],
    ]),
  )
}

/** `portcullis actions settle`. */
export async function settle(
  id: string,
  options: Options & { outcome: string; reason: string },
): Promise<void> {
  const { outcome, reason } = options
  const route = path`/actions/${id}/settle`
  const action = await ask<Action>(options, 'POST', route, { outcome, reason })
  if (options.json) return print(JSON.stringify(action, null, 2))
  print(visible(`${action.request.action.name} ${action.status}`))
}

const reasonText = ({ code, message, location }: Reason): string =>
  `${message} (${code}${location ? `, ${location.file}:${location.line}` : ''})`

const approvalText = ({ id, status, decided_by: by, reason }: NonNullable<Action['approval']>) =>
  [`${status}${by ? ` by ${by}` : ''}`, reason, id].filter(Boolean).join(', ')
