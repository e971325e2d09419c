import { type Signal, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Failure, offline } from '../data/api.ts'
import { Problem } from './states.tsx'

interface Props {
  readonly title: ComponentChildren
  readonly confirm: string
  readonly danger?: boolean
  readonly disabled?: boolean
  /** What is tried also while the gate does not answer: to stop something. */
  readonly evenOffline?: boolean
  readonly onClose: () => void
  /** Closes the dialog once it is done; what it throws is shown. */
  readonly onConfirm: () => Promise<void>
  readonly children?: ComponentChildren
}

/** Asks before something is done, and stays until the gate has answered. */
export function Confirm({ title, confirm, danger, onClose, onConfirm, children, ...rest }: Props) {
  const at = useRef<HTMLDialogElement>(null)
  const busy = useSignal(false)
  const failure = useSignal<Failure | undefined>(undefined)
  useEffect(() => at.current?.showModal(), [])
  const isAway = offline.value && !rest.evenOffline
  const disabled = rest.disabled || isAway
  const submit = async (event: Event) => {
    event.preventDefault()
    if (busy.value || disabled) return
    busy.value = true
    failure.value = undefined
    try {
      await onConfirm()
      onClose()
    } catch (error) {
      failure.value =
        error instanceof Failure ? error : new Failure(0, { message: String(error) }, '')
    } finally {
      busy.value = false
    }
  }
  return (
    <dialog ref={at} aria-labelledby="dialog-title" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        {isAway ? <p class="note">The gate does not answer: nothing can be changed now.</p> : null}
        {failure.value ? <Problem failure={failure.value} /> : null}
        <div class="row end">
          <button type="button" onClick={() => at.current?.close()}>
            Cancel
          </button>
          <button type="submit" class={danger ? 'bad' : 'main'} disabled={busy.value || disabled}>
            {busy.value ? 'Asked, not confirmed yet' : confirm}
          </button>
        </div>
      </form>
    </dialog>
  )
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  )
}

/** One of a few values, each by its name. */
export function Choice({
  label,
  value,
  options,
  onChoose,
}: {
  label: string
  value: string
  options: readonly (readonly [value: string, name: string])[]
  onChoose: (value: string) => void
}) {
  return (
    <Field label={label}>
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {options.map(([one, name]) => (
          <option key={one} value={one}>
            {name}
          </option>
        ))}
      </select>
    </Field>
  )
}

/** A line of text that somebody types. */
export function TextField({
  label,
  of,
  required = false,
}: {
  label: string
  of: Signal<string>
  required?: boolean
}) {
  return (
    <Field label={label}>
      <input
        required={required}
        value={of.value}
        onInput={(event) => {
          of.value = event.currentTarget.value
        }}
      />
    </Field>
  )
}
