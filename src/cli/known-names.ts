import type { Calls } from '../client/index.ts'
import { ask, query } from './gate-client.ts'

interface Candidate {
  readonly word: string
  readonly about: string
}

const LIMIT = '100'

const page = <T>(route: string, more: Readonly<Record<string, string>> = {}): Promise<T> =>
  ask<T>({}, 'GET', query(route, { limit: LIMIT, ...more }))

async function approvals(): Promise<readonly Candidate[]> {
  const { approvals: found } = await page<Calls['GET /approvals']['answer']>('/approvals', {
    status: 'pending',
  })
  return found.map(({ id, tool, agent_name: agent }) => ({
    word: id,
    about: `${tool} ${agent ?? ''}`,
  }))
}

async function actions(status?: string): Promise<readonly Candidate[]> {
  const { actions: found } = await page<Calls['GET /actions']['answer']>(
    '/actions',
    status === undefined ? {} : { status },
  )
  return found.map((one) => ({ word: one.id, about: `${one.request.action.name} ${one.status}` }))
}

async function agents(): Promise<readonly Candidate[]> {
  const { agents: found } = await page<Calls['GET /api/v1/agents']['answer']>('/api/v1/agents')
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
