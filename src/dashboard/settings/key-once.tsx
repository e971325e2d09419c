import { useEffect, useRef } from 'preact/hooks'
import { Copy } from '../parts/copied.tsx'
import { Said } from '../parts/text.tsx'

/** A key that was just made. */
export interface Fresh {
  readonly name: string
  readonly role: string
  /** Null: the gate has shown it before. */
  readonly key: string | null
}

/** Shows a key this once: it is gone with the dialog, which nothing closes but the word that it is kept. */
export function KeyOnce({ of, onClose }: { of: Fresh; onClose: () => void }) {
  const at = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    at.current?.setAttribute('closedby', 'none')
    at.current?.showModal()
  }, [])
  return (
    <dialog
      ref={at}
      aria-labelledby="key-once"
      onCancel={(event) => event.preventDefault()}
      onClose={onClose}
    >
      <h2 id="key-once">
        The key of <Said inline text={of.name} />
      </h2>
      {of.key === null ? (
        <p>The gate has shown this key before and does so once only. Rotate it for another one.</p>
      ) : (
        <>
          <p>
            Of role {of.role}. It is shown this once, and kept nowhere: the gate has a hash of it.
          </p>
          <pre tabIndex={0} aria-label="The key" role="region">
            {of.key}
          </pre>
          <Copy label="Copy the key" text={of.key} />
        </>
      )}
      <div class="row end">
        <button type="button" class="main" onClick={() => at.current?.close()}>
          {of.key === null ? 'Close' : 'I have stored it'}
        </button>
      </div>
    </dialog>
  )
}
