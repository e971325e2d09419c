import { type Signal, useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call, hasRole } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Choice, Confirm, TextField } from '../parts/dialog.tsx'
import { Empty, Part } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import { draftNow } from './base.ts'
import { draft, live } from './draft.ts'
import { useEvery } from '../data/every.ts'
import { setTo } from '../parts/doing.ts'

// A policy on trial: it is asked beside the live one and decides nothing, or decides for its share of the agents. Figures move with traffic, so they are asked for
// again while it runs.

type On = NonNullable<Calls['GET /policy/canary']['answer']['canary']>
type Promoted = Calls['POST /policy/canary/promote']['answer']
type Step = 'begin' | 'promote' | 'abort'

const LOOK_MS = 3_000
const HOUR_MS = 3_600_000

export function Canary() {
  const trial = useResource('canary', () => call('GET /policy/canary'), ['policy'])
  const isRunning = trial.data.value?.canary?.status === 'running'
  useEvery(LOOK_MS, isRunning, trial.load)
  const asked = useSignal<Step | null>(null)
  const promoted = useSignal<Promoted | null>(null)
  const close = () => {
    asked.value = null
    void trial.load()
  }
  return (
    <Part label="Canary" of={trial} before={<Begin isRunning={isRunning} asked={asked} />}>
      {({ canary }) => (
        <>
          {promoted.value ? <Outcome of={promoted.value} /> : null}
          {canary === null ? <Empty>No policy was on trial yet.</Empty> : <Trial of={canary} />}
          {canary !== null && isRunning ? <End asked={asked} /> : null}
          {asked.value === 'begin' ? <Start onClose={close} /> : null}
          {asked.value === 'promote' ? (
            <Reasoned
              title="Publish what is on trial?"
              confirm="Promote it"
              onClose={close}
              onSend={async (body) => {
                const answer = await call('POST /policy/canary/promote', { body })
                promoted.value = answer
                if ('revision' in answer) live.value = answer.revision
              }}
            />
          ) : null}
          {asked.value === 'abort' ? (
            <Reasoned
              danger
              title="End the trial?"
              confirm="Abort it"
              onClose={close}
              onSend={async (body) => {
                await call('POST /policy/canary/abort', { body })
              }}
            />
          ) : null}
        </>
      )}
    </Part>
  )
}

function Begin({ isRunning, asked }: { isRunning: boolean; asked: Signal<Step | null> }) {
  const why = !hasRole('admin')
    ? 'Beginning a trial needs the role admin.'
    : isRunning
      ? 'One is on trial at a time.'
      : draft.value === null
        ? 'There is no draft to try.'
        : null
  return (
    <p class="row">
      <button type="button" class="main" disabled={why !== null} onClick={setTo(asked, 'begin')}>
        Try my draft …
      </button>
      {why === null ? null : <span class="muted">{why}</span>}
    </p>
  )
}

const End = ({ asked }: { asked: Signal<Step | null> }) => (
  <div class="row">
    <button
      type="button"
      class="main"
      disabled={!hasRole('admin')}
      onClick={setTo(asked, 'promote')}
    >
      Promote …
    </button>
    <button
      type="button"
      class="bad"
      disabled={!hasRole('operator')}
      onClick={setTo(asked, 'abort')}
    >
      Abort …
    </button>
    {hasRole('admin') ? null : (
      <span class="muted">Promoting needs the role admin, aborting operator.</span>
    )}
  </div>
)

/** What is on trial, or was last, and what came of it. */
const Trial = ({ of }: { of: On }) => (
  <>
    <p role="status">
      <Pill of={of.status} /> <code title={of.revision}>{of.revision.slice(0, 12)}</code> beside{' '}
      <code title={of.base}>{of.base.slice(0, 12)}</code>, {of.mode}, {of.percent} % of{' '}
      <Said inline text={whomOf(of)} />, by <Said inline text={of.author} />{' '}
      <When at={of.started_at} />, until <When at={of.until} />
    </p>
    {of.note === null ? null : (
      <p>
        <Said text={of.note} />
      </p>
    )}
    {of.ended_because === null ? null : (
      <p class="note">
        Ended by <Said inline text={of.ended_by ?? 'itself'} />, {of.ended_because.code}:{' '}
        <Said text={of.ended_because.message} />
      </p>
    )}
    <div class="pair">
      <Figures
        caption="Decisions that both were asked about: what is live says, the candidate says"
        of={of.changes}
      />
      <Figures caption="The last five minutes, of all replicas" of={of.last_5_min} />
    </div>
    <p class="muted">
      Ends by itself at{' '}
      {Object.entries(of.abort_when)
        .map(([name, n]) => `${n} ${CONDITIONS[name] ?? name}`)
        .join(', ')}{' '}
      within five minutes.
    </p>
  </>
)

const CONDITIONS: Readonly<Record<string, string>> = {
  errors: 'failures of the candidate',
  deny_rate_x: 'times as many denials',
  new_denials: 'new denials',
  unplayable: 'decisions that it cannot be asked about',
  late: 'decisions that waited for it in vain',
}

const whomOf = ({ agents, roles }: On): string =>
  [agents && `agents ${agents.join(', ')}`, roles && `roles ${roles.join(', ')}`]
    .filter((one) => one !== null)
    .join(', ') || 'all agents'

/** `allow_deny` is from what is live to the candidate. */
const saidOf = (name: string): string =>
  name.replace(/^(allow|deny|hold)_(?=allow|deny|hold)/, '$1 → ').replaceAll('_', ' ')

function Figures({
  caption,
  of,
}: {
  caption: string
  /** Null: they could not be read. */
  of: Readonly<Record<string, number>> | null
}) {
  const all = Object.entries(of ?? {})
  return (
    <table>
      <caption>{caption}</caption>
      <tbody>
        {all.map(([name, n]) => (
          <tr key={name}>
            <th scope="row">{saidOf(name)}</th>
            <td>{n}</td>
          </tr>
        ))}
        {all.length === 0 ? (
          <tr>
            <th scope="row">{of === null ? 'cannot be read now' : 'none yet'}</th>
            <td>{of === null ? '' : 0}</td>
          </tr>
        ) : null}
      </tbody>
    </table>
  )
}

const Outcome = ({ of: answer }: { of: Promoted }) =>
  'publish' in answer ? (
    <p class="note" role="status">
      Held, until other people agree:{' '}
      <Link href={`/policies?view=publish&id=${answer.publish.id}`}>what they see</Link>. The trial
      runs on until then.
    </p>
  ) : (
    <p class="note" role="status">
      Published as <code>{answer.revision.slice(0, 12)}</code>
    </p>
  )

const numberIn = (text: string): number | undefined =>
  text.trim() === '' ? undefined : Number(text)

type Mode = On['mode']

const MODES: Readonly<Record<Mode, string>> = {
  compare: 'The live policy decides, and the draft is asked as well, on all replicas.',
  enforce:
    'The draft decides for these agents, each always on one side, and the live policy is asked as well, on all replicas.',
}

function Start({ onClose }: { onClose: () => void }) {
  const mode = useSignal<Mode>('compare')
  const [percent, hours, note] = [useSignal('100'), useSignal('24'), useSignal('')]
  const [agents, roles] = [useSignal(''), useSignal('')]
  const ends = useConditions()
  const begin = async () => {
    await call('POST /policy/canary', {
      body: {
        files: await draftNow(),
        mode: mode.value,
        percent: Number(percent.value),
        until: new Date(Date.now() + Number(hours.value) * HOUR_MS).toISOString(),
        abort_when: ends.given(),
        ...listed('agents', agents.value),
        ...listed('roles', roles.value),
        ...(note.value.trim() === '' ? {} : { note: note.value.trim() }),
      },
    })
  }
  return (
    <Confirm
      title="Try my draft"
      confirm="Begin"
      danger={mode.value === 'enforce'}
      onClose={onClose}
      onConfirm={begin}
    >
      <Choice
        label="Who decides"
        value={mode.value}
        options={[
          ['compare', 'the live policy'],
          ['enforce', 'my draft'],
        ]}
        onChoose={(chosen) => {
          mode.value = chosen === 'enforce' ? 'enforce' : 'compare'
        }}
      />
      <p>{MODES[mode.value]}</p>
      <TextField required label="Percent of the agents" of={percent} />
      <TextField required label="Hours" of={hours} />
      <TextField label="Agents alone, with commas; any" of={agents} />
      <TextField label="Roles alone, with commas; any" of={roles} />
      <Ends of={ends} />
      <TextField label="Note: why" of={note} />
    </Confirm>
  )
}

/** When it ends by itself, as it is typed; nothing: not for this. */
function useConditions() {
  const [errors, denials, rate] = [useSignal('1'), useSignal('50'), useSignal('3')]
  const [unplayable, late] = [useSignal('50'), useSignal('50')]
  const given = () => ({
    errors: numberIn(errors.value),
    new_denials: numberIn(denials.value),
    deny_rate_x: numberIn(rate.value),
    unplayable: numberIn(unplayable.value),
    late: numberIn(late.value),
  })
  return { errors, denials, rate, unplayable, late, given }
}

const Ends = ({ of }: { of: ReturnType<typeof useConditions> }) => (
  <fieldset>
    <legend>It ends when five minutes have as many</legend>
    <TextField label="Failures of the candidate" of={of.errors} />
    <TextField label="New denials" of={of.denials} />
    <TextField label="Times as many denials" of={of.rate} />
    <TextField label="Decisions that only one can be asked about" of={of.unplayable} />
    <TextField label="Decisions that waited in vain for the other" of={of.late} />
  </fieldset>
)

function listed(name: string, text: string): Readonly<Record<string, readonly string[]>> {
  const all = text.split(',').flatMap((one) => (one.trim() === '' ? [] : [one.trim()]))
  return all.length === 0 ? {} : { [name]: all }
}

function Reasoned({
  title,
  confirm,
  danger = false,
  onClose,
  onSend,
}: {
  title: string
  confirm: string
  danger?: boolean
  onClose: () => void
  onSend: (body: { readonly reason?: string }) => Promise<void>
}) {
  const reason = useSignal('')
  const text = reason.value.trim()
  return (
    <Confirm
      title={title}
      confirm={confirm}
      danger={danger}
      disabled={danger && text === ''}
      onClose={onClose}
      onConfirm={() => onSend(text === '' ? {} : { reason: text })}
    >
      <TextField required={danger} label="Reason" of={reason} />
    </Confirm>
  )
}
