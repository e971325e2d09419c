import { useSearchParams } from 'wouter-preact'
import { draft } from './draft.ts'

/** Which policy is asked: what is live, or what is being written. */
export type Side = 'live' | 'draft'

const SIDES = [
  ['live', 'The live policy'],
  ['draft', 'My draft'],
] as const

/** The draft where there is one and the URL does not say otherwise. */
export function sideOf(): Side {
  const [params] = useSearchParams()
  return draft.value && params.get('under') !== 'live' ? 'draft' : 'live'
}

/** The choice between them, where there is a draft. */
export function Under() {
  const [, setParams] = useSearchParams()
  const side = sideOf()
  if (!draft.value) return null
  return (
    <fieldset class="row plain">
      <legend>Ask</legend>
      {SIDES.map(([value, label]) => (
        <label key={value}>
          <input
            type="radio"
            name="under"
            checked={side === value}
            onChange={() =>
              setParams(
                (before) => {
                  const after = new URLSearchParams(before)
                  after.set('under', value)
                  return after
                },
                { replace: true },
              )
            }
          />{' '}
          {label}
        </label>
      ))}
    </fieldset>
  )
}

/** A button that asks the gate, and the role it needs. */
export function Asked({
  label,
  again,
  may,
}: {
  label: string
  again: { value: number }
  may: boolean
}) {
  return (
    <>
      <button
        type="button"
        class="main"
        disabled={!may}
        onClick={() => {
          again.value++
        }}
      >
        {label}
      </button>
      {may ? null : <p class="muted">This needs the role operator.</p>}
    </>
  )
}
