import { Link, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Bars, labelsOf, type Line } from '../parts/chart.tsx'
import { Choice } from '../parts/dialog.tsx'
import { useSay } from '../parts/filters.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, RowHead, Said } from '../parts/text.tsx'

const SLOW_MS = 5_000
const STEPS = 48
const HOUR_MS = 3_600_000
const RANGES: Readonly<Record<string, number>> = {
  '24h': 24 * HOUR_MS,
  '7d': 168 * HOUR_MS,
  '30d': 720 * HOUR_MS,
}

/** Which models turns may use, what they cost, and who has used how much of them. */
export function Models() {
  return (
    <>
      <Configured />
      <Usage />
    </>
  )
}

function Configured() {
  const all = useResource('models', async () => {
    const [{ models }, status] = await Promise.all([
      call('GET /llm/models'),
      call('GET /llm/status'),
    ])
    return { models, status }
  }, ['policy'])
  return (
    <Part label="Models" of={all}>
      {({ models, status }) => (
        <>
          {status.configured ? null : <Unconfigured />}
          <ul class="cards">
            {models.map((one) => (
              <Model key={one.name} of={one} status={status} />
            ))}
          </ul>
        </>
      )}
    </Part>
  )
}

type Answer<N extends keyof Calls> = Calls[N]['answer']

const Unconfigured = () => (
  <Empty>
    <p>No model is configured: turns and chats are answered 503. Set, where the gate is started:</p>
    <ul class="plain">
      <li>
        <code>OPENAI_API_KEY</code>, for OpenAI;
      </li>
      <li>
        <code>GROQ_API_KEY</code>, for Groq;
      </li>
      <li>
        <code>OPENAI_BASE_URL</code>, for any server that speaks OpenAI's chat API.
      </li>
    </ul>
  </Empty>
)

function Model({
  of,
  status,
}: {
  of: Answer<'GET /llm/models'>['models'][number]
  status: Answer<'GET /llm/status'>
}) {
  return (
    <li>
      <strong>
        <Said inline text={of.name} />
      </strong>{' '}
      <Pill of={of.configured ? 'configured' : 'not configured'} />
      <dl>
        <dt>provider</dt>
        <dd>{of.provider ?? 'none'}</dd>
        <dt>server</dt>
        <dd>{of.base_url === null ? 'none' : <Said inline text={of.base_url} />}</dd>
        <dt>key</dt>
        <dd>{of.has_key ? 'set, and never shown' : 'none'}</dd>
        <dt>price of a million tokens</dt>
        <dd>
          {of.price === null
            ? 'none: its calls cost nothing'
            : `${of.price.input_per_million} in, ${of.price.output_per_million} out`}
        </dd>
        <dt>limits of a call</dt>
        <dd>
          {of.max_tokens} tokens out, {of.timeout_s} s
        </dd>
        <dt>limit of a turn</dt>
        <dd>{of.max_tool_calls} calls of tools</dd>
        <dt>temperature, seed</dt>
        <dd>
          {status.temperature}, {status.seed}
        </dd>
      </dl>
      <p class="muted">
        What it may do is <code>llm</code> in <code>gate.yaml</code>:{' '}
        <Link href="/policies?file=gate.yaml">the policy</Link>.{' '}
        <Link href="/actions?tool=llm.chat&status=failed">Its calls that failed</Link>
      </p>
    </li>
  )
}

type Used = Answer<'GET /llm/usage'>
type By = 'model' | 'agent'
const FIGURES = [
  ['tokens', 'tokens'],
  ['calls', 'calls'],
] as const

function Usage() {
  const [params] = useSearchParams()
  const t = params.get('t') ?? '24h'
  const by: By = params.get('by') === 'agent' ? 'agent' : 'model'
  const ms = RANGES[t] ?? 24 * HOUR_MS
  const used = useResource(
    `${t} ${by}`,
    async () => {
      const until = new Date()
      const range = {
        since: new Date(until.getTime() - ms).toISOString(),
        until: until.toISOString(),
        by,
      }
      // The second is one step: amounts are the gate's own text and never added up here.
      const [series, sums] = await Promise.all([
        call('GET /llm/usage', { query: { ...range, step_s: ms / STEPS / 1000 } }),
        call('GET /llm/usage', { query: { ...range, step_s: ms / 1000 } }),
      ])
      return { series, sums }
    },
    ['outcome'],
    SLOW_MS,
  )
  return (
    <Part label="Usage" of={used} before={<Chosen t={t} by={by} />}>
      {({ series, sums }) =>
        sums.total.calls === 0 ? (
          <Unused />
        ) : (
          <>
            <Drawn of={series} by={by} figure={params.get('figure') ?? 'tokens'} />
            <Sums of={sums} by={by} />
          </>
        )
      }
    </Part>
  )
}

function Chosen({ t, by }: { t: string; by: By }) {
  const [params] = useSearchParams()
  const say = useSay()
  return (
    <>
      <h2>Usage</h2>
      <div class="row filters">
        <Choice
          label="Time"
          value={t}
          options={Object.keys(RANGES).map((one) => [one, one])}
          onChoose={say('t')}
        />
        <Choice
          label="By"
          value={by}
          options={[
            ['model', 'model'],
            ['agent', 'agent'],
          ]}
          onChoose={say('by')}
        />
        <Choice
          label="Drawn"
          value={params.get('figure') ?? 'tokens'}
          options={FIGURES}
          onChoose={say('figure')}
        />
      </div>
    </>
  )
}

const Unused = () => (
  <Empty>
    <p>No model was called in this time. An agent's key asks one:</p>
    <pre tabIndex={0} aria-label="How to ask a model" role="region">
      {`curl -s -X POST ${location.origin}/llm/chat -H "X-API-Key: $AGENT_KEY" \\
  -H 'Content-Type: application/json' -d '{"prompt":"hello"}'`}
    </pre>
  </Empty>
)

const nameOf = (name: string | null, by: By): string =>
  name === null ? 'all others' : name || (by === 'model' ? 'did not answer' : 'nobody')

function Drawn({ of, by, figure }: { of: Used; by: By; figure: string }) {
  const lines: Line[] = of.series.map(({ name, points }) => ({
    name: nameOf(name, by),
    points: points.map((one) =>
      figure === 'calls' ? one.calls : one.prompt_tokens + one.completion_tokens,
    ),
  }))
  const title = figure === 'calls' ? 'Calls' : 'Tokens'
  return <Bars title={`${title} by ${by}`} labels={labelsOf(of)} lines={lines} />
}

function Sums({ of, by }: { of: Used; by: By }) {
  const rows = of.series.flatMap(({ name, points: [sum] }) =>
    sum ? [{ name: nameOf(name, by), sum }] : [],
  )
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Usage by ${by}`}>
      <table>
        <caption>In this time, by {by}</caption>
        <thead>
          <tr>
            <th scope="col">{by}</th>
            <th scope="col">calls</th>
            <th scope="col">failed</th>
            <th scope="col">tokens in</th>
            <th scope="col">tokens out</th>
            <th scope="col">spent</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, sum }) => (
            <Row key={name} name={name} of={sum} />
          ))}
          <Row name="in all" of={of.total} />
        </tbody>
      </table>
    </div>
  )
}

const Row = ({ name, of }: { name: string; of: Used['total'] }) => (
  <tr>
    <RowHead text={name} />
    <td>{of.calls}</td>
    <td>{of.failed}</td>
    <td>{of.prompt_tokens}</td>
    <td>{of.completion_tokens}</td>
    <td>{of.spent}</td>
  </tr>
)
