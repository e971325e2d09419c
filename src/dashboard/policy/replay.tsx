import { type Signal, useSignal } from '@preact/signals'
import { Link, useLocation, useSearchParams } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Choice, Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { draftNow } from './base.ts'
import { useEvery } from '../data/every.ts'
import { Report } from './replay-report.tsx'
import { sideOf, Under } from './under.tsx'

type Asked = Calls['POST /policy/replays']['answer']

const SHOWN = 25
const LOOK_MS = 1_000
const HOUR_MS = 3_600_000
const SINCE = [
  ['1', 'the last hour'],
  ['24', 'the last day'],
  ['168', 'the last 7 days'],
  ['720', 'the last 30 days'],
] as const
const EFFECTS = ['allow', 'require_approval', 'deny'] as const

/** What a policy would have decided of what is on record. */
export function Replay() {
  const [params] = useSearchParams()
  const id = params.get('id')
  return id === null ? <Replays /> : <One id={id} />
}

function Replays() {
  const list = useResource(
    'replays',
    () => call('GET /policy/replays', { query: { limit: SHOWN } }),
    ['policy'],
  )
  const asking = useSignal(false)
  const may = hasRole('operator')
  return (
    <Part
      label="Replays"
      of={list}
      before={
        <>
          <Under />
          <button
            type="button"
            class="main"
            disabled={!may}
            onClick={() => {
              asking.value = true
            }}
          >
            {sideOf() === 'draft' ? 'Replay under my draft …' : 'Replay under the live policy …'}
          </button>
          {may ? null : <p class="muted">This needs the role operator.</p>}
          {asking.value ? (
            <Ask
              onClose={() => {
                asking.value = false
              }}
            />
          ) : null}
        </>
      }
    >
      {({ replays }) => (
        <>
          {replays.length === 0 ? <Empty>Nothing was replayed yet.</Empty> : null}
          <ul class="cards">
            {replays.map((one) => (
              <li key={one.id}>
                <Link data-row href={`/policies?view=replay&id=${one.id}`}>
                  <Pill of={one.status} /> <Terms of={one} />
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
    </Part>
  )
}

/** What was asked for, in a line. */
const Terms = ({ of: one }: { of: Asked }) => (
  <>
    of {one.revision === null ? 'a draft' : one.revision.slice(0, 12)}, from{' '}
    <When exact at={one.from} /> to <When exact at={one.to} />
    {(['agent', 'tool', 'effect'] as const).map((name) =>
      one[name] === null ? null : (
        <span key={name}>
          , {name} <Said inline text={one[name]} />
        </span>
      ),
    )}
    {one.sample === null ? null : `, about ${one.sample} of them`}, by{' '}
    <Said inline text={one.requested_by} /> <When at={one.created_at} />
  </>
)

function Chosen({
  of,
  ...rest
}: {
  label: string
  of: Signal<string>
  options: readonly (readonly [string, string])[]
}) {
  return (
    <Choice
      {...rest}
      value={of.value}
      onChoose={(value) => {
        of.value = value
      }}
    />
  )
}

function Ask({ onClose }: { onClose: () => void }) {
  const [, go] = useLocation()
  const side = sideOf()
  const since = useSignal('24')
  const effect = useSignal('')
  const [agent, tool, sample] = [useSignal(''), useSignal(''), useSignal('')]
  const ask = async () => {
    const { id } = await call('POST /policy/replays', {
      body: {
        ...(side === 'draft' ? { files: await draftNow() } : {}),
        from: new Date(Date.now() - Number(since.value) * HOUR_MS).toISOString(),
        ...given({ agent: agent.value, tool: tool.value, effect: effect.value }),
        ...(sample.value.trim() === '' ? {} : { sample: Number(sample.value) }),
      },
    })
    go(`/policies?view=replay&id=${id}`)
  }
  return (
    <Confirm title="What is decided again?" confirm="Replay" onClose={onClose} onConfirm={ask}>
      <p>With what was known then. Nothing is sent, charged or counted.</p>
      <Chosen label="Since" of={since} options={SINCE} />
      <TextField label="Agent; any" of={agent} />
      <TextField label="Tool; any" of={tool} />
      <Chosen
        label="What came out"
        of={effect}
        options={[['', 'any'], ...EFFECTS.map((one) => [one, one.replaceAll('_', ' ')] as const)]}
      />
      <TextField label="About as many, evenly taken; all" of={sample} />
    </Confirm>
  )
}

const given = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(texts).flatMap(([name, text]) =>
      text.trim() === '' ? [] : [[name, text.trim()]],
    ),
  )

function One({ id }: { id: string }) {
  const one = useResource(
    `replay ${id}`,
    () => call('GET /policy/replays/{id}', { path: { id } }),
    ['policy'],
  )
  const isOver = one.data.value ? one.data.value.finished_at !== null : false
  useEvery(LOOK_MS, !isOver, one.load)
  return (
    <Part
      label="A replay"
      of={one}
      before={
        <p>
          <Link href="/policies?view=replay">All replays</Link>
        </p>
      }
    >
      {(replay) => (
        <>
          <p role="status">
            <Pill of={replay.status} /> <Terms of={replay} />
          </p>
          {replay.finished_at === null ? <Progress of={replay} /> : null}
          {replay.error === null ? null : (
            <p class="problem" role="alert">
              <Said text={replay.error} />
            </p>
          )}
          {replay.report === null ? null : <Report of={replay.report} />}
        </>
      )}
    </Part>
  )
}

const Progress = ({ of: { done, total } }: { of: Asked }) => (
  <p>
    <progress aria-label="Decided again" max={Math.max(total, 1)} value={done} /> {done} of {total}
  </p>
)
