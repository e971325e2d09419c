import { useSignal } from '@preact/signals'

/** Copies a text; where the browser lets no page do that, says so, and it is selected by hand. */
export function Copy({ text, label }: { text: string; label: string }) {
  const said = useSignal('')
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      said.value = 'copied'
    } catch {
      said.value = 'this browser lets no page copy here: select it'
    }
  }
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>{' '}
      <span role="status">{said.value}</span>
    </>
  )
}
