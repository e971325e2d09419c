import { Link } from 'wouter-preact'
import type { Agent } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, RowHead } from '../parts/text.tsx'

/** What the live policy lets it do with each tool, as far as rules alone say. */
export function AgentMay({ of: agent }: { of: Agent }) {
  if (!hasRole('operator')) return <Empty>What it may do is shown to operators.</Empty>
  return <Row of={agent} />
}

function Row({ of: { name } }: { of: Agent }) {
  const asked = useResource(name, () => call('POST /policy/matrix', { body: { agents: [name] } }), [
    'policy',
    'agent',
  ])
  return (
    <Part label="What it may do" of={asked}>
      {({ tools, rows: [row] }) =>
        row === undefined || tools.length === 0 ? (
          <Empty>The policy has no tools.</Empty>
        ) : (
          <table>
            <caption>`depends`: on the args, on what was done before, or on a module</caption>
            <tbody>
              {tools.map((tool, at) => (
                <Tool key={tool} tool={tool} agent={name} may={row.may[at]} />
              ))}
            </tbody>
          </table>
        )
      }
    </Part>
  )
}

const Tool = ({ tool, agent, may }: { tool: string; agent: string; may: string | undefined }) => (
  <tr>
    <RowHead text={tool} />
    <td>
      <Link href={`/policies?${new URLSearchParams({ view: 'try', tool, agent }).toString()}`}>
        <Pill of={may ?? 'deny'} />
      </Link>
    </td>
  </tr>
)
