import { useEffect, useRef } from 'preact/hooks'
import { letters } from '../parts/keys.ts'
import { PAGES } from './pages.ts'

const EVERYWHERE = [
  ['?', 'these keys'],
  ['Ctrl K', 'go to a page, an agent, a tool or an id'],
  ['/', 'search in the page'],
  ['j k', 'the next row, the one before'],
  ['Enter', 'open it'],
  ['Esc', 'back'],
] as const
const SOMEWHERE = [
  ['1 … 6', 'Overview: open a figure'],
  ['p', 'Live: pause, and go on'],
  ['Ctrl S', 'Policies, edit: check the draft'],
  ['Ctrl ↵', 'Policies, edit: run its tests'],
  ['Alt ↓ ↑', 'Policies, edit: the next finding, the one before'],
  ['Tab', 'Policies, edit: leave the editor'],
] as const

/** Which keys do what. */
export function Help({ onClose }: { onClose: () => void }) {
  const at = useRef<HTMLDialogElement>(null)
  useEffect(() => at.current?.showModal(), [])
  return (
    <dialog ref={at} aria-labelledby="help-title" onClose={onClose}>
      <h2 id="help-title">Keys</h2>
      {letters.value ? null : <p>Keys of one letter are off: “Letter keys” turns them on.</p>}
      <Keys of={EVERYWHERE} />
      <h3>Pages</h3>
      <Keys of={PAGES.map(([, label, letter]) => [`g ${letter}`, label])} />
      <h3>On some pages</h3>
      <Keys of={SOMEWHERE} />
      <div class="row end">
        <button type="button" class="main" onClick={() => at.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  )
}

const Keys = ({ of }: { of: readonly (readonly [string, string])[] }) => (
  <dl>
    {of.map(([key, means]) => (
      <>
        <dt>
          <kbd>{key}</kbd>
        </dt>
        <dd>{means}</dd>
      </>
    ))}
  </dl>
)
