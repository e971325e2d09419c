import { useSignal } from '@preact/signals'
import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { ALL_SERVERS, MCP_CLIENTS, mcpClientConfig, NO_KEY } from '../../client/mcp-clients.ts'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Copy } from '../parts/copied.tsx'
import { Choice } from '../parts/dialog.tsx'
import { useDoing } from '../parts/doing.ts'
import { Filters, useFilters, useSay } from '../parts/filters.tsx'
import { Empty, Part, Problem } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'

const FILTERS = [
  { name: 'q', label: 'Tool has' },
  {
    name: 'state',
    label: 'State',
    options: ['pinned', 'changed', 'not_pinned', 'not_listed', 'unknown'],
  },
]
const SHOWN_MAX = 200

/** Where tools come from, which of them are let through, and how a client is told of the gate. */
export function Mcp() {
  const servers = useResource('mcp', () => call('GET /mcp-servers'), ['policy', 'alert'])
  const { failure, run } = useDoing()
  const look = () =>
    run(async () => {
      servers.data.value = await call('GET /mcp-servers', { query: { look: true } })
    })
  return (
    <>
      <Filters of={FILTERS} />
      <button type="button" onClick={() => void look()}>
        Ask the servers now
      </button>
      {failure.value ? <Problem failure={failure.value} /> : null}
      <Part label="MCP servers" of={servers}>
        {({ servers: all }) => (
          <>
            {all.length === 0 ? <None /> : all.map((one) => <Server key={one.name} of={one} />)}
            <Config servers={all.map(({ name }) => name)} />
          </>
        )}
      </Part>
    </>
  )
}

type Of = Calls['GET /mcp-servers']['answer']['servers'][number]
type Tool = Of['tools'][number]

const None = () => (
  <Empty>
    <p>No MCP server is behind the gate. One is an upstream in tools.yaml:</p>
    <pre tabIndex={0} aria-label="How to add a server" role="region">
      {'upstreams:\n  crm: { mcp: { url: https://crm.internal/mcp } }'}
    </pre>
    <p>
      Then somebody looks at what it lists, and pins it: <code>portcullis mcp pin crm</code>
    </p>
  </Empty>
)

const ERAS = { modern: '2026-07-28', legacy: '2025' } as const

function matching(tools: readonly Tool[], { q = '', state }: Readonly<Record<string, string>>) {
  return tools
    .filter((one) => one.name.toLowerCase().includes(q.toLowerCase()))
    .filter((one) => state === undefined || one.state === state)
}

function Server({ of }: { of: Of }) {
  const { query } = useFilters(FILTERS)
  const shown = matching(of.tools, query)
  const other = of.tools.filter(({ state }) => state === 'changed' || state === 'not_pinned')
  return (
    <section aria-label={of.name}>
      <h2>
        <Said inline text={of.name} />{' '}
        <Pill
          of={of.error === null ? (of.asked_at === null ? 'not asked yet' : 'ok') : 'failing'}
        />
      </h2>
      <p>
        <Where of={of} />
        {of.era === null ? '' : `, protocol of ${ERAS[of.era]}`}
        {of.asked_at === null ? null : (
          <>
            , asked <When at={of.asked_at} />
          </>
        )}
        ; {shown.length} of {of.tools.length} tools
        {shown.length > SHOWN_MAX ? `, the first ${SHOWN_MAX} are shown` : ''}
      </p>
      {of.error === null ? null : (
        <p class="problem" role="alert">
          Its list cannot be had, so that nobody can call its tools: <Said text={of.error} />
        </p>
      )}
      {other.length === 0 ? null : (
        <p class="note">
          Not what somebody has looked at, so that nobody can call it: {other.length}{' '}
          {other.length === 1 ? 'tool' : 'tools'}. Look, then:{' '}
          <code>portcullis mcp pin {of.name}</code>
        </p>
      )}
      <ul class="cards">
        {shown.slice(0, SHOWN_MAX).map((one) => (
          <li key={one.name}>
            <One of={one} />
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Where it is, or what the gate runs. */
const Where = ({ of }: { of: Of }) =>
  of.url === null ? (
    <>
      <Said inline text={of.program ?? ''} />, run by the gate
      {of.running_since === null ? (
        ', does not run'
      ) : (
        <>
          {' '}
          since <When at={of.running_since} />
        </>
      )}
    </>
  ) : (
    <>
      <Said inline text={of.url} />, Streamable HTTP
    </>
  )

function One({ of }: { of: Tool }) {
  return (
    <>
      <strong>
        <Said inline text={of.name} />
      </strong>{' '}
      <Pill of={of.state} /> {of.effect === null ? null : <Pill of={of.effect} />}{' '}
      <code>
        <Said inline text={of.policy_name} />
      </code>
      {of.description === '' ? null : (
        <p>
          <Said text={of.description} />
        </p>
      )}
      {of.definition === null ? null : <Definitions of={of} />}
      {of.effect === null ? null : (
        <p class="muted">
          <Link href={`/actions?tool=${encodeURIComponent(of.policy_name)}`}>Its actions</Link> ·{' '}
          <Link href="/policies?view=matrix">who may call it</Link>
        </p>
      )}
    </>
  )
}

const PINS = 'mcp-pins.json'

/** What was seen when it was pinned, beside what is listed now. The pins are read when somebody wants to see it. */
function Definitions({ of }: { of: Tool }) {
  const isOpen = useSignal(false)
  return (
    <details
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open
      }}
    >
      <summary>{of.state === 'changed' ? 'as pinned, and as listed now' : 'as listed now'}</summary>
      {isOpen.value && of.state === 'changed' ? <Pinned of={of} /> : null}
      <h3>as listed now</h3>
      <Shown label={`${of.name} as listed now`} value={of.definition} />
    </details>
  )
}

function Pinned({ of }: { of: Tool }) {
  const pins = useResource(of.policy_name, () =>
    call('GET /policy/files', { query: { path: PINS } }),
  )
  return (
    <Part label={`${of.name}, the pin`} of={pins}>
      {({ files }) => {
        const pin = pinOf(files.find(({ path }) => path === PINS)?.content ?? '', of)
        return pin === undefined ? (
          <p class="muted">Its pin is not kept any more.</p>
        ) : (
          <>
            <p class="muted">
              pinned by <Said inline text={pin.by} />, first seen <When at={pin.first_seen} />
            </p>
            <h3>as pinned</h3>
            <Shown label={`${of.name} as pinned`} value={pin.tool} />
          </>
        )
      }}
    </Part>
  )
}

interface Pin {
  readonly hash: string
  readonly tool: unknown
  readonly by: string
  readonly first_seen: string
}

function pinOf(text: string, { pinned }: Tool): Pin | undefined {
  try {
    const pins = Object.values(JSON.parse(text) as Readonly<Record<string, Pin>>)
    return pins.find(({ hash }) => hash === pinned)
  } catch {
    return undefined
  }
}

const NAMES = {
  'claude-code': 'Claude Code',
  'claude-desktop': 'Claude Desktop',
  cursor: 'Cursor',
  vscode: 'VS Code',
} as const

/** What a client is to be given, so that it calls through the gate. */
function Config({ servers }: { servers: readonly string[] }) {
  const [params] = useSearchParams()
  const client = MCP_CLIENTS.find((one) => one === params.get('client')) ?? 'claude-code'
  const asked = params.get('server') ?? 'tools'
  const server = [ALL_SERVERS, ...servers].includes(asked) ? asked : 'tools'
  const say = useSay()
  const { text, where } = mcpClientConfig(client, { gate: location.origin, server, key: NO_KEY })
  return (
    <section aria-label="For a client">
      <h2>For a client</h2>
      <div class="row filters">
        <Choice
          label="Client"
          value={client}
          options={MCP_CLIENTS.map((one) => [one, NAMES[one]])}
          onChoose={say('client')}
        />
        <Choice
          label="Tools of"
          value={server}
          options={[
            ['tools', 'tools.yaml'],
            [ALL_SERVERS, 'all servers'],
            ...servers.map((one) => [one, one] as const),
          ]}
          onChoose={say('server')}
        />
      </div>
      <p>
        Put an agent's key in place of {NO_KEY}, and {where}
      </p>
      <Shown label="What the client is given" value={text} />
      <Copy label="Copy it" text={text} />
    </section>
  )
}
