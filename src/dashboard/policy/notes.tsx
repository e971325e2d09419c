import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import { call, Failure } from '../data/api.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Problem } from '../parts/states.tsx'
import { Pill, Said, When } from '../parts/text.tsx'
import {
  carryOver,
  changedElsewhere,
  discard,
  draft,
  isKept,
  keepMine,
  live,
  readAgain,
  settle,
} from './draft.ts'

/** What somebody has to know of the draft: of what it is, and what happened since. */
export function DraftNotes() {
  const now = draft.value
  if (!now) return changedElsewhere.value ? <Elsewhere /> : null
  return (
    <div class="note">
      <p>
        <Pill of="draft" /> of <code title={now.base}>{now.base.slice(0, 12)}</code>,{' '}
        {now.changes.size === 1 ? '1 file differs' : `${now.changes.size} files differ`}, changed{' '}
        <When at={new Date(now.at).toISOString()} />, kept in this browser alone. <Discard />
      </p>
      {isKept.value ? null : (
        <p class="problem" role="alert">
          This browser does not keep the draft: leaving the page loses it.
        </p>
      )}
      {changedElsewhere.value ? <Elsewhere /> : null}
      {live.value !== null && live.value !== now.base ? (
        <Moved base={now.base} to={live.value} />
      ) : null}
      <Conflicts />
    </div>
  )
}

const Elsewhere = () => (
  <div role="alert">
    <p>
      <strong>Another tab changed the draft.</strong> What is typed here is not kept until you say
      which counts.
    </p>
    <div class="row">
      <button type="button" onClick={readAgain}>
        Take it as it is there
      </button>
      <button type="button" onClick={keepMine}>
        Keep it as it is here
      </button>
    </div>
  </div>
)

/** The live policy is another one by now, and the draft is left as it is. */
function Moved({ base, to }: { base: string; to: string }) {
  const failure = useSignal<Failure | null>(null)
  const carry = async () => {
    try {
      const [before, after] = await Promise.all([
        call('GET /policy/files', { query: { revision: base } }),
        call('GET /policy/files', { query: { revision: to } }),
      ])
      carryOver(before.files, after.files, to)
    } catch (error) {
      failure.value =
        error instanceof Failure ? error : new Failure(0, { message: String(error) }, '')
    }
  }
  return (
    <div role="alert">
      <p>
        <strong>
          Meanwhile <code title={to}>{to.slice(0, 12)}</code> became the policy
        </strong>
        . The draft is as you left it, and cannot be published as it is.
      </p>
      <div class="row">
        <Link href={`/policies?view=history&from=${base}&to=${to}`}>What changed there</Link>
        <button type="button" onClick={() => void carry()}>
          Carry the draft over
        </button>
      </div>
      {failure.value ? <Problem failure={failure.value} /> : null}
    </div>
  )
}

function Conflicts() {
  const { conflicts = [] } = draft.value ?? {}
  if (conflicts.length === 0) return null
  return (
    <div role="alert">
      <p>
        <strong>These changed in the live policy as well.</strong> Each is as you wrote it, without
        what changed there. <Link href="/policies?view=publish">Compare with the live policy</Link>,
        then say so.
      </p>
      <ul>
        {conflicts.map((path) => (
          <li key={path} class="row">
            <Said inline text={path} />
            <button type="button" onClick={() => settle(path)}>
              I looked, mine stands
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}

function Discard() {
  const asked = useSignal(false)
  return (
    <>
      <button
        type="button"
        onClick={() => {
          asked.value = true
        }}
      >
        Discard …
      </button>
      {asked.value ? (
        <Confirm
          danger
          title="Discard the draft?"
          confirm="Discard it"
          onClose={() => {
            asked.value = false
          }}
          onConfirm={async () => discard()}
        >
          <p>What differs from the policy it was made from is gone then.</p>
        </Confirm>
      ) : null}
    </>
  )
}
