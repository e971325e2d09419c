import type { Action, Approval, Calls } from '../client/index.ts'
import { EXIT, CliError, print, say, visible } from './exit.ts'
import { ask, type ClientOptions, path, query } from './gate-client.ts'
import { cell, listing, table, time } from './table.ts'

type Options = ClientOptions & { readonly json?: boolean }

/** How long a vote waits for what it lets happen. */
const OUTCOME_WAIT_S = 10

/** `portcullis approvals list`: what waits, newest first. */
export async function listApprovals(
  options: Options & { status: string; all?: boolean; agent?: string; limit: string },
): Promise<void> {
  const { status, all, agent, limit } = options
  const route = query('/approvals', { status: all ? undefined : status, agent, limit })
  const page = await ask<Calls['GET /approvals']['answer']>(options, 'GET', route)
  if (options.json) return print(JSON.stringify(page, null, 2))
  if (page.approvals.length === 0)
    return say(all ? 'nothing was ever held' : `nothing is ${status}`)
  const rows = page.approvals.map((one) => [
    one.id,
    one.agent_name ?? one.agent,
    one.tool,
    cell(one.args ?? {}),
    one.status,
    time(one.expires_at),
  ])
  print(table(['ID', 'AGENT', 'TOOL', 'ARGS', 'STATUS', 'EXPIRES'], rows))
}

/** `portcullis approvals show`: all it takes to judge one. */
export async function showApproval(given: string, options: Options): Promise<void> {
  const approval = await find(given, options)
  if (options.json) return print(JSON.stringify(approval, null, 2))
  print(described(approval))
}

/** `portcullis approvals approve|deny`: one vote, and what came of it. */
export async function vote(
  choice: 'approve' | 'deny',
  given: string,
  options: Options & { reason?: string },
): Promise<void> {
  const { id } = await find(given, options)
  const body = options.reason === undefined ? {} : { reason: options.reason }
  const route = path`/approvals/${id}/${choice}`
  const answer = await ask<{ approval: Approval }>(options, 'POST', route, body)
  const { approval } = answer
  const action =
    approval.status === 'approved' && approval.action_id !== ''
      ? await ask<Action>(
          options,
          'GET',
          query(path`/actions/${approval.action_id}`, { wait_s: String(OUTCOME_WAIT_S) }),
        )
      : undefined
  if (options.json) return print(JSON.stringify({ ...answer, ...(action && { action }) }, null, 2))
  const given_ = approval.votes.filter((one) => one.vote === 'approve').length
  if (approval.status === 'pending') return print(`${given_} of ${approval.quorum} votes; it waits`)
  const outcome = action && `${approval.tool} ${action.error?.message ?? action.status}`
  print(visible([approval.status, outcome].filter(Boolean).join('; ')))
  if (action?.error)
    throw new CliError(EXIT.finding, notDone(action.error.code, approval.action_id))
}

// What is sent and has no answer may have happened.
function notDone(code: string, id: string): string {
  return code === 'outcome_unknown'
    ? `${code}: it may have happened; look, then \`portcullis actions settle ${id}\``
    : `${code}: the action did not succeed`
}

/** By its own id or by that of its action. */
async function find(given: string, options: Options): Promise<Approval> {
  if (!given.startsWith('act_')) {
    return ask<Approval>(options, 'GET', path`/approvals/${given}`)
  }
  const route = path`/actions/${given}`
  const { approval } = await ask<Action>(options, 'GET', route)
  if (approval) return ask<Approval>(options, 'GET', path`/approvals/${approval.id}`)
  throw new CliError(
    EXIT.usage,
    `${given} needs no approval; \`portcullis approvals list\` shows what does`,
  )
}

function described(one: Approval): string {
  const votes = one.votes.map(
    ({ approver, vote: choice, reason, at }) =>
      `${choice} by ${approver} at ${time(at)}${reason ? `: ${reason}` : ''}`,
  )
  return listing([
    ['id', one.id],
    ['action', one.action_id],
    [
      'agent',
      [one.agent_name ?? one.agent, one.owner && `of ${one.owner}`].filter(Boolean).join(' '),
    ],
    ['tool', one.tool],
    ['args', JSON.stringify(one.args ?? {}, null, 2)],
    [
      'would send',
      one.target ? `${one.target.method} ${one.target.path} to ${one.target.upstream}` : '',
    ],
    ['cost', one.cost ?? ''],
    ['the agent says', one.agent_reason ?? ''],
    ['held because', one.reason],
    ['status', one.status],
    ['needs', `${one.quorum} of ${one.approver_roles.join(', ')}`],
    ['votes', votes.join('\n')],
    ['asked', time(one.created_at)],
    ['expires', time(one.expires_at)],
    ['page', one.url ?? ''],
  ])
}
