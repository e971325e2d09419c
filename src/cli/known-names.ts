import { ask, query } from './gate-client.ts'

interface Candidate {
  readonly word: string
  readonly about: string
}

const LIMIT = '100'

const page = <T>(route: string, more: Readonly<Record<string, string>> = {}): Promise<T> =>
  ask<T>({}, 'GET', query(route, { limit: LIMIT, ...more }))

interface Asked {
  readonly id: string
  readonly tool: string
  readonly agent_name: string | null
}

async function approvals(): Promise<readonly Candidate[]> {
  const { approvals: found } = await page<{ approvals: readonly Asked[] }>('/approvals', {
    status: 'pending',
  })
  return found.map(({ id, tool, agent_name: agent }) => ({
    word: id,
    about: `${tool} ${agent ?? ''}`,
  }))
}

async function actions(status?: string): Promise<readonly Candidate[]> {
  const { actions: found } = await page<{
    actions: readonly { id: string; status: string; request: { action: { name: string } } }[]
  }>('/actions', status === undefined ? {} : { status })
  return found.map((one) => ({ word: one.id, about: `${one.request.action.name} ${one.status}` }))
}

async function agents(): Promise<readonly Candidate[]> {
  const { agents: found } = await page<{ agents: readonly { name: string; status: string }[] }>(
    '/api/v1/agents',
  )
  return found.map(({ name, status }) => ({ word: name, about: status }))
}

/** What the gate that runs knows for an argument or option, by its name. */
export const KNOWN: Readonly<Record<string, () => Promise<readonly Candidate[]>>> = {
  agent: agents,
  'approvals show': approvals,
  'approvals approve': approvals,
  'approvals deny': approvals,
  'actions show': () => actions(),
  'actions settle': () => actions('indeterminate'),
}
