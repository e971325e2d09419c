import { Link, useSearchParams } from 'wouter-preact'
import { call } from '../data/api.ts'
import { useResource } from '../data/resource.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { Pill, Said, Shown, When } from '../parts/text.tsx'
import { Change, History } from './policy-history.tsx'
import { Matrix, Tests } from './policy-tests.tsx'

const VIEWS = [
  ['', 'Files'],
  ['history', 'History'],
  ['tests', 'Tests'],
  ['matrix', 'Who may what'],
] as const

/** The policy that decides: what it says, what it was, what holds of it, and whom it lets do what. */
export function Policies() {
  const [params] = useSearchParams()
  const view = params.get('view') ?? ''
  const from = params.get('from')
  return (
    <>
      <Live />
      <div role="navigation" aria-label="Of the policy" class="row tabs">
        {VIEWS.map(([name, label]) => (
          <Link
            key={name}
            href={name === '' ? '/policies' : `/policies?view=${name}`}
            aria-current={view === name ? 'page' : undefined}
          >
            {label}
          </Link>
        ))}
      </div>
      {view === '' ? <Files revision={params.get('revision')} file={params.get('file')} /> : null}
      {view === 'history' ? (
        from === null ? (
          <History />
        ) : (
          <Change from={from} to={params.get('to')} />
        )
      ) : null}
      {view === 'tests' ? <Tests /> : null}
      {view === 'matrix' ? <Matrix /> : null}
    </>
  )
}

/** What is live, and what was last refused. */
function Live() {
  const policy = useResource('policy', () => call('GET /policy'), ['policy'])
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

interface Finding {
  readonly file: string
  readonly line: number
  readonly col: number
  readonly code: string
  readonly message: string
  readonly hint?: string
}

const Findings = ({ of }: { of: readonly Finding[] }) => (
  <ul>
    {of.map((one) => (
      <li key={`${one.file}:${one.line}:${one.col} ${one.code} ${one.message}`}>
        <code>
          <Said inline text={`${one.file}:${one.line}:${one.col}`} />
        </code>{' '}
        {one.code}: <Said inline text={one.message} />
        {one.hint === undefined ? null : (
          <>
            {' '}
            (<Said inline text={one.hint} />)
          </>
        )}
      </li>
    ))}
  </ul>
)

function Files({ revision, file }: { revision: string | null; file: string | null }) {
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
