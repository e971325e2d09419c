import { type Signal, useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { TextField } from '../parts/dialog.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Pill, RowHead, Said } from '../parts/text.tsx'
import { draftNow } from './base.ts'
import { draft } from './draft.ts'
import { Asked } from './under.tsx'

type Asks = Calls['POST /policy/matrix']['answer']
type Who = { readonly agents: readonly string[] } | { readonly roles: readonly string[] }

/** As many are in one table. */
const AGENTS_MAX = 200

/** What each agent may do with each tool, by the live policy; where there is a draft, what differs by it. */
export function Matrix() {
  const asked = useSignal(0)
  const roles = useSignal('')
  const may = hasRole('operator')
  return (
    <section aria-label="Who may what">
      <TextField label="Of these roles, with commas, in place of every agent" of={roles} />
      <Asked
        label={roles.value.trim() === '' ? 'Ask for every agent' : 'Ask for these roles'}
        again={asked}
        may={may}
      />
      {asked.value > 0 ? <Both key={asked.value} roles={roles} /> : null}
    </section>
  )
}

async function whoIn(roles: string): Promise<Who | null> {
  const named = roles.split(',').flatMap((one) => (one.trim() === '' ? [] : [one.trim()]))
  if (named.length > 0) return { roles: [...new Set(named)] }
  const { agents } = await call('GET /api/v1/agents', { query: { limit: AGENTS_MAX } })
  return agents.length === 0 ? null : { agents: agents.map(({ name }) => name) }
}

function Both({ roles }: { roles: Signal<string> }) {
  const asks = (files: typeof draftNow) => async () => {
    const who = await whoIn(roles.peek())
    return who && call('POST /policy/matrix', { body: { ...who, files: await files() } })
  }
  const hasDraft = useSignal(draft.peek() !== null).value
  const isOfRoles = roles.peek().trim() !== ''
  const live = useResource(
    'live',
    asks(async () => undefined),
  )
  const drafted = useResource('draft', hasDraft ? asks(draftNow) : async () => null)
  return (
    <>
      <Loaded of={live}>
        {(now) =>
          now === null ? (
            <Empty>There is no agent.</Empty>
          ) : (
            <Loaded of={drafted}>
              {(then) => <Table now={now} then={then} of={isOfRoles ? 'roles' : 'agent'} />}
            </Loaded>
          )
        }
      </Loaded>
    </>
  )
}

/** What a table says of an agent and a tool; null where there is no such tool. */
const cellOf = ({ tools, rows }: Asks, agent: string, tool: string): string | null =>
  rows.find((row) => row.agent === agent)?.may[tools.indexOf(tool)] ?? null

/** `of`: what its rows are, in the words of the page that tries one. */
function Table({ now, then, of }: { now: Asks; then: Asks | null; of: 'agent' | 'roles' }) {
  const tools = [...new Set([...now.tools, ...(then?.tools ?? [])])].sort()
  const isChanged = (agent: string, tool: string) =>
    then !== null && cellOf(now, agent, tool) !== cellOf(then, agent, tool)
  const changed = now.rows.reduce(
    (all, { agent }) => all + tools.filter((tool) => isChanged(agent, tool)).length,
    0,
  )
  return (
    <>
      {then === null ? null : (
        <p role="status">
          {changed === 0
            ? 'The draft lets nobody do anything else, as far as rules alone say.'
            : `${changed} differ by the draft`}
        </p>
      )}
      <div class="scroll" tabIndex={0} role="region" aria-label="Agents and tools">
        <table>
          <caption>`depends`: on the args, on what was done before, or on a module</caption>
          <thead>
            <tr>
              <th scope="col">agent</th>
              {tools.map((tool) => (
                <th key={tool} scope="col">
                  <Said inline text={tool} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {now.rows.map(({ agent }) => (
              <tr key={agent}>
                <RowHead text={agent} />
                {tools.map((tool) => (
                  <td key={tool} class={isChanged(agent, tool) ? 'changed' : undefined}>
                    <Cell
                      way={new URLSearchParams({ view: 'try', agent: '', tool, [of]: agent })}
                      was={cellOf(now, agent, tool)}
                      is={then === null ? cellOf(now, agent, tool) : cellOf(then, agent, tool)}
                    />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

function Cell({ way, was, is }: { way: URLSearchParams; was: string | null; is: string | null }) {
  return (
    <Link href={`/policies?${way.toString()}`}>
      <Pill of={is ?? 'no such tool'} />
      {was === is ? null : (
        <span class="was">was {(was ?? 'no such tool').replaceAll('_', ' ')}</span>
      )}
    </Link>
  )
}
