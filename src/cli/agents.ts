import type { Agent, Calls } from '../client/index.ts'
import { didYouMean } from '../lib/suggest.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import { ask, type ClientOptions, GateRefusal, path, query } from './gate-client.ts'
import { listing, table, time } from './table.ts'

type Options = ClientOptions & { readonly json?: boolean }

type Shown = Calls['GET /api/v1/agents/{id}']['answer']

/** Names to look through when one is mistyped. */
const NAMES_MAX = '200'

/** `portcullis agents list`. */
export async function listAgents(
  options: Options & { status?: string; role?: string; owner?: string; limit: string },
): Promise<void> {
  const { status, role, owner, limit } = options
  const route = query('/api/v1/agents', { status, role, owner, limit })
  const page = await ask<Calls['GET /api/v1/agents']['answer']>(options, 'GET', route)
  if (options.json) return print(JSON.stringify(page, null, 2))
  if (page.agents.length === 0) return say('no agent is like that')
  const rows = page.agents.map((one) => [
    one.name,
    one.id,
    one.status,
    one.roles.join(','),
    one.owner,
    String(one.monthly_budget ?? ''),
  ])
  print(table(['NAME', 'ID', 'STATUS', 'ROLES', 'OWNER', 'BUDGET'], rows))
}

/** `portcullis agents create`: prints the key alone. */
export async function createAgent(
  name: string,
  options: Options & { role: readonly string[]; owner?: string; description?: string },
): Promise<void> {
  const { role: roles, owner, description } = options
  const answer = await ask<Calls['POST /api/v1/agents']['answer']>(
    options,
    'POST',
    '/api/v1/agents',
    { name, roles, ...(owner ? { owner } : {}), ...(description ? { description } : {}) },
  )
  print(options.json ? JSON.stringify(answer, null, 2) : (answer.api_key ?? ''))
}

/** `portcullis agents show`. */
export async function showAgent(given: string, options: Options): Promise<void> {
  const shown = await find(given, options)
  if (options.json) return print(JSON.stringify(shown, null, 2))
  const { agent, budget } = shown
  const { month, spent, reserved, limit } = budget
  print(
    listing([
      ['name', agent.name],
      ['id', agent.id],
      ['status', [agent.status, agent.status_reason].filter(Boolean).join(': ')],
      ['roles', agent.roles.join(', ')],
      ['owner', agent.owner],
      ['description', agent.description ?? ''],
      ['spent', `${spent} of ${limit ?? 'any amount'} in ${month}, ${reserved} reserved`],
      ['one action', agent.per_action_limit === null ? '' : `at most ${agent.per_action_limit}`],
      ['since', time(agent.created_at)],
    ]),
  )
}

/** `portcullis agents pause|resume`. */
export async function changeAgent(
  action: 'pause' | 'resume',
  given: string,
  options: Options & { reason?: string },
): Promise<void> {
  const { id } = await namedAgent(given, options)
  const answer = await ask<{ agent: Agent }>(options, 'POST', path`/api/v1/agents/${id}/action`, {
    action,
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  })
  if (options.json) return print(JSON.stringify(answer, null, 2))
  print(visible(`${answer.agent.name} is ${answer.agent.status}`))
}

/** An agent by its name or id. @throws CliError with the name that may have been meant */
export async function namedAgent(given: string, options: ClientOptions): Promise<Agent> {
  return (await find(given, options)).agent
}

async function find(given: string, options: ClientOptions): Promise<Shown> {
  try {
    return await ask<Shown>(options, 'GET', path`/api/v1/agents/${given}`)
  } catch (error) {
    if (!(error instanceof GateRefusal && error.code === 'not_found')) throw error
    const route = query('/api/v1/agents', { limit: NAMES_MAX })
    const { agents } = await ask<Calls['GET /api/v1/agents']['answer']>(options, 'GET', route)
    const hint = didYouMean(
      given,
      agents.map(({ name }) => name),
    )
    const way = hint ?? '`portcullis agents list` shows them'
    throw new CliError(EXIT.internal, visible(`there is no agent \`${given}\`; ${way}`))
  }
}
