import { useSignal } from '@preact/signals'
import { Link } from 'wouter-preact'
import { Failure } from '../data/api.ts'
import { Confirm, TextField } from '../parts/dialog.tsx'
import { Pill, Said } from '../parts/text.tsx'
import { change, type DraftFile } from './draft.ts'
import type { Kept } from './base.ts'

/** Names that a policy may have, as far as the page can tell; the gate's check knows all. */
const NAME = /^(?!\/)(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\p{Cc}\\]+[^/]$/u

interface Props {
  readonly kept: Kept
  readonly files: readonly DraftFile[]
  readonly chosen: DraftFile | undefined
  readonly may: boolean
  readonly onChoose: (path: string) => void
}

export function FileList({ kept, files, chosen, may, onChoose }: Props) {
  const asked = useSignal<'add' | 'rename' | null>(null)
  const remove = () => {
    if (chosen) change(kept.revision, kept.files, [[chosen.path, null]])
  }
  const restore = () => {
    if (chosen) change(kept.revision, kept.files, [[chosen.path, undefined]])
  }
  const isGone = chosen?.change === 'removed'
  return (
    <div class="files">
      <ul aria-label="Files of the draft">
        {files.map(({ path, change: what }) => (
          <li key={path}>
            <Link
              data-row
              href={`/policies?view=edit&file=${encodeURIComponent(path)}`}
              aria-current={path === chosen?.path ? 'true' : undefined}
            >
              <Said inline text={path} /> {what === null ? null : <Pill of={what} />}
            </Link>
          </li>
        ))}
      </ul>
      <div class="row">
        <button type="button" disabled={!may} onClick={() => (asked.value = 'add')}>
          Add a file …
        </button>
        <button
          type="button"
          disabled={!may || chosen?.text === undefined || isGone}
          onClick={() => (asked.value = 'rename')}
        >
          Rename …
        </button>
        {chosen && chosen.change !== null && chosen.change !== 'added' ? (
          <button type="button" disabled={!may} onClick={restore}>
            Restore
          </button>
        ) : null}
        <button type="button" disabled={!may || !chosen || isGone} onClick={remove}>
          Remove
        </button>
      </div>
      {asked.value === null ? null : (
        <Name
          kept={kept}
          files={files}
          was={asked.value === 'rename' ? chosen : undefined}
          onClose={() => {
            asked.value = null
          }}
          onNamed={onChoose}
        />
      )}
    </div>
  )
}

const refused = (message: string): Failure =>
  new Failure(0, { code: 'invalid_request', message }, '')

function Name({
  kept,
  files,
  was,
  onClose,
  onNamed,
}: {
  kept: Kept
  files: readonly DraftFile[]
  was: DraftFile | undefined
  onClose: () => void
  onNamed: (path: string) => void
}) {
  const name = useSignal(was?.path ?? '')
  const submit = async () => {
    const path = name.value.trim()
    if (!NAME.test(path)) throw refused('a path such as tests/roles.yaml, without `..`')
    if (files.some((one) => one.path === path && one.change !== 'removed')) {
      throw refused('there is a file of that name')
    }
    change(kept.revision, kept.files, [
      [path, was?.text ?? ''],
      ...(was ? ([[was.path, null]] as const) : []),
    ])
    onNamed(path)
  }
  return (
    <Confirm
      title={was ? 'Rename the file' : 'Add a file'}
      confirm={was ? 'Rename it' : 'Add it'}
      disabled={name.value.trim() === ''}
      onClose={onClose}
      onConfirm={submit}
    >
      <TextField required label="Path" of={name} />
    </Confirm>
  )
}
