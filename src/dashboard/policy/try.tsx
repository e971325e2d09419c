import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { useSearchParams } from 'wouter-preact'
import type { Calls, JsonObject } from '../../client/api.ts'
import { call, Failure, hasRole } from '../data/api.ts'
import { type Resource, useResource } from '../data/resource.ts'
import { Field, TextField } from '../parts/dialog.tsx'
import { Loaded, Problem } from '../parts/states.tsx'
import { Pill, Shown } from '../parts/text.tsx'
import { ArgsForm, argsOf, fieldsOf, JsonArea, jsonOf, type Typed } from './args-form.tsx'
import { draftNow } from './base.ts'
import { draft } from './draft.ts'
import { Reasons, Trace } from './trace.tsx'

const AGENTS_MAX = 200
type Body = Omit<Calls['POST /policy/try']['body'], 'files'>
type Tools = Calls['GET /tools']['answer']['tools']

/** What the policy would decide of one call, and why; of the draft too, where there is one. */
export function Try() {
  const asked = useSignal<Body | null>(null)
  const n = useSignal(0)
  const may = hasRole('operator')
  const agents = useResource('agents', () =>
    call('GET /api/v1/agents', { query: { limit: AGENTS_MAX } }),
  )
  return (
    <section aria-label="Try">
      <p class="muted">
        Nothing is charged, counted, looked up or sent. Rates and budgets are not looked at.
      </p>
      {may ? (
        <Loaded of={agents}>
          {(list) => (
            <Form
              agents={list.agents.map(({ name }) => name)}
              onAsk={(body) => {
                asked.value = body
                n.value++
              }}
            />
          )}
        </Loaded>
      ) : (
        <p class="muted">This needs the role operator.</p>
      )}
      {asked.value === null ? null : <Answers key={n.value} body={asked.value} />}
    </section>
  )
}

interface Fields {
  readonly typed: Signal<Typed>
  readonly json: Signal<string | null>
  readonly roles: Signal<string>
  readonly context: Signal<string | null>
  readonly facts: Signal<string | null>
  readonly cost: Signal<string>
  readonly at: Signal<string>
}

const useFields = (givenRoles: string): Fields => ({
  typed: useSignal<Typed>({}),
  json: useSignal<string | null>(null),
  roles: useSignal(givenRoles),
  context: useSignal<string | null>(null),
  facts: useSignal<string | null>(null),
  cost: useSignal(''),
  at: useSignal(''),
})

function Form({ agents, onAsk }: { agents: readonly string[]; onAsk: (body: Body) => void }) {
  const [params, setParams] = useSearchParams()
  const agent = params.get('agent') ?? agents[0] ?? ''
  const tool = params.get('tool') ?? ''
  const tools = useTools(agent || (agents[0] ?? ''))
  const fields = useFields(params.get('roles') ?? '')
  const problem = useSignal<Failure | null>(null)
  const set = (name: string, value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before)
        after.set(name, value)
        return after
      },
      { replace: true },
    )
  const schema = fieldsOf(tools.data.value?.find(({ name }) => name === tool)?.args)
  useEffect(() => {
    fields.json.value = null
  }, [tool])
  const submit = (event: Event) => {
    event.preventDefault()
    problem.value = null
    try {
      const who = agent === '' ? { profile: { roles: listOf(fields.roles.value) } } : { agent }
      onAsk({ ...who, tool, ...bodyOf(fields, schema) })
    } catch (error) {
      const { message } = error as Error
      problem.value = new Failure(0, { code: 'invalid_request', message }, '')
    }
  }
  return (
    <form class="form" onSubmit={submit}>
      <Whom
        agents={agents}
        agent={agent}
        tool={tool}
        tools={tools}
        roles={fields.roles}
        onSet={set}
      />
      <ArgsForm fields={schema} typed={fields.typed} json={fields.json} />
      <Around of={fields} />
      {problem.value ? <Problem failure={problem.value} /> : null}
      <p>
        <button type="submit" class="main">
          {draft.value ? 'Ask both policies' : 'Ask the live policy'}
        </button>
      </p>
    </form>
  )
}

function Whom({
  agents,
  agent,
  tool,
  tools,
  roles,
  onSet,
}: {
  agents: readonly string[]
  agent: string
  tool: string
  tools: Resource<Tools>
  roles: Signal<string>
  onSet: (name: string, value: string) => void
}) {
  return (
    <div class="row filters">
      <Field label="Agent">
        <select value={agent} onChange={(event) => onSet('agent', event.currentTarget.value)}>
          {agents.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
          <option value="">one that need not be</option>
        </select>
      </Field>
      {agent === '' ? <TextField label="Its roles, with commas" of={roles} /> : null}
      <Field label="Tool">
        <input
          required
          list="tools"
          value={tool}
          onInput={(event) => onSet('tool', event.currentTarget.value)}
        />
        <datalist id="tools">
          {tools.data.value?.map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </Field>
    </div>
  )
}

const Around = ({ of }: { of: Fields }) => (
  <details>
    <summary>Context, cost, time and answers of look-ups</summary>
    <JsonArea label="Context, as JSON" of={of.context} />
    <JsonArea label="Answers of look-ups by name, as JSON" of={of.facts} />
    <TextField label="Cost, such as 0.05" of={of.cost} />
    <TextField label="Time, such as 2026-12-24T18:00:00Z; now" of={of.at} />
  </details>
)

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

function bodyOf(fields: Fields, schema: ReturnType<typeof fieldsOf>): Partial<Body> {
  const { typed, json, context, facts, cost, at } = fields
  const args =
    schema && json.value === null ? argsOf(schema, typed.value) : jsonOf('args', json.value || '{}')
  return {
    args: args as JsonObject,
    ...(context.value ? { context: jsonOf('context', context.value) as JsonObject } : {}),
    ...(facts.value ? { facts: jsonOf('facts', facts.value) as JsonObject } : {}),
    ...(cost.value.trim() === '' ? {} : { cost: cost.value.trim() }),
    ...(at.value.trim() === '' ? {} : { at: at.value.trim() }),
  }
}

/** The tools of the live policy, with what their args look like. */
const useTools = (agent: string): Resource<Tools> =>
  useResource(`tools ${agent}`, async () =>
    agent === '' ? [] : (await call('GET /tools', { query: { agent } })).tools,
  )

function Answers({ body }: { body: Body }) {
  const hasDraft = useSignal(draft.peek() !== null).value
  return (
    <div class="pair">
      <Answered label="By the live policy" body={body} files={async () => undefined} />
      {hasDraft ? <Answered label="By my draft" body={body} files={draftNow} /> : null}
    </div>
  )
}

function Answered({ label, body, files }: { label: string; body: Body; files: typeof draftNow }) {
  const answer = useResource(label, async () =>
    call('POST /policy/try', { body: { ...body, files: await files() } }),
  )
  return (
    <section aria-label={label}>
      <h2>{label}</h2>
      <Loaded of={answer}>
        {({ decision, reasons, shadow, trace, obligations }) => (
          <div role="status">
            <p>
              <Pill of={decision} />
            </p>
            <Reasons of={reasons} />
            {shadow.length === 0 ? null : (
              <>
                <h3>In shadow only</h3>
                <Reasons of={shadow} />
              </>
            )}
            {obligations.length === 0 ? null : <Shown label="Obligations" value={obligations} />}
            <h3>What looked</h3>
            <Trace of={trace} />
          </div>
        )}
      </Loaded>
    </section>
  )
}
