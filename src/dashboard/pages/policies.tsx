import { useSignalEffect } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { Link, useSearchParams } from 'wouter-preact'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Lazy } from '../parts/lazy.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'
import { draft, live } from '../policy/draft.ts'
import { Findings } from '../parts/findings.tsx'

interface View {
  readonly name: string
  readonly label: string
  /** What is fetched when somebody looks at it. */
  readonly load: () => Promise<FunctionComponent>
}

const VIEWS: readonly View[] = [
  { name: '', label: 'Files', load: async () => Files },
  { name: 'edit', label: 'Edit', load: async () => (await import('../policy/edit.tsx')).Edit },
  {
    name: 'publish',
    label: 'Publish',
    load: async () => (await import('../policy/publish.tsx')).Publish,
  },
  { name: 'tests', label: 'Tests', load: async () => (await import('../policy/tests.tsx')).Tests },
  {
    name: 'matrix',
    label: 'Who may what',
    load: async () => (await import('../policy/matrix.tsx')).Matrix,
  },
  { name: 'try', label: 'Try', load: async () => (await import('../policy/try.tsx')).Try },
  {
    name: 'replay',
    label: 'Replay',
    load: async () => (await import('../policy/replay.tsx')).Replay,
  },
  {
    name: 'canary',
    label: 'Canary',
    load: async () => (await import('../policy/canary.tsx')).Canary,
  },
  {
    name: 'history',
    label: 'History',
    load: async () => (await import('../policy/history.tsx')).Past,
  },
]

/** The policy that decides: what it says, what it was, what holds of it, and whom it lets do what. */
export function Policies() {
  const [params] = useSearchParams()
  const view = params.get('view') ?? ''
  const shown = VIEWS.find(({ name }) => name === view) ?? VIEWS[0]
  return (
    <>
      <Live />
      <div role="navigation" aria-label="Of the policy" class="row tabs">
        {VIEWS.map(({ name, label }) => (
          <Link
            key={name}
            href={name === '' ? '/policies' : `/policies?view=${name}`}
            aria-current={shown?.name === name ? 'page' : undefined}
          >
            {label}
            {name === 'edit' && draft.value ? ' (draft)' : ''}
          </Link>
        ))}
      </div>
      {shown ? <Lazy key={shown.name} load={shown.load} /> : null}
    </>
  )
}

/** What is live, and what was last refused. */
function Live() {
  const policy = useResource('policy', () => call('GET /policy'), ['policy'])
  useSignalEffect(() => {
    live.value = policy.data.value?.revision ?? live.peek()
  })
  return (
    <Loaded of={policy}>
      {({ revision, loaded_at: at, environment, stale, rejected, warnings, counts }) => (
        <section aria-label="The live policy">
          <p>
            <Pill of={stale ? 'stale' : 'current'} />{' '}
            <code title={revision}>{revision.slice(0, 12)}</code> in{' '}
            <Said inline text={environment} />, loaded <When at={at} />: {counts['tools'] ?? 0}{' '}
            tools, {counts['guards'] ?? 0} guards, {counts['modules'] ?? 0} modules
          </p>
          {rejected === undefined ? null : (
            <div class="problem" role="alert">
              <strong>What is written now does not load</strong>, and the policy above decides on
              <Findings of={rejected.diagnostics} />
            </div>
          )}
          {warnings.length === 0 ? null : (
            <details>
              <summary>{warnings.length} warnings</summary>
              <Findings of={warnings} />
            </details>
          )}
        </section>
      )}
    </Loaded>
  )
}

function Files() {
  const [params] = useSearchParams()
  const [revision, file] = [params.get('revision'), params.get('file')]
  const files = useResource(
    `${revision} files`,
    () => call('GET /policy/files', { query: { revision: revision ?? undefined } }),
    ['policy'],
  )
  const ofRevision = revision === null ? '' : `&revision=${revision}`
  return (
    <section aria-label="Files">
      <Loaded of={files}>
        {(kept) => (
          <>
            {kept.live ? null : (
              <p class="note">
                Of a past revision, <code>{kept.revision.slice(0, 12)}</code>
              </p>
            )}
            <ul class="cards">
              {kept.files.map((one) => (
                <li key={one.path}>
                  <Link
                    data-row
                    href={`/policies?file=${encodeURIComponent(one.path)}${ofRevision}`}
                    aria-current={one.path === file ? 'true' : undefined}
                  >
                    <Said inline text={one.path} />
                  </Link>{' '}
                  <span class="muted">{one.bytes} bytes</span>
                </li>
              ))}
            </ul>
          </>
        )}
      </Loaded>
      {file === null ? null : <File path={file} revision={revision} />}
    </section>
  )
}

function File({ path, revision }: { path: string; revision: string | null }) {
  const read = useResource(`${revision} ${path}`, () =>
    call('GET /policy/files', { query: { path, revision: revision ?? undefined } }),
  )
  return (
    <Loaded of={read}>
      {({ files: [one] }) =>
        one?.content === undefined ? (
          <Empty>This is no text.</Empty>
        ) : (
          <Shown label={one.path} value={one.content} />
        )
      }
    </Loaded>
  )
}
