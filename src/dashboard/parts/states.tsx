import type { ComponentChildren } from 'preact'
import type { Failure } from '../data/api.ts'
import type { Resource } from '../data/resource.ts'
import { Copy } from './copied.tsx'
import { Findings } from './findings.tsx'
import { Said, Shown } from './text.tsx'

/** What went wrong, with all that the gate says of it: what to do, findings, a change that can be made elsewhere. */
export function Problem({ failure, again }: { failure: Failure; again?: () => void }) {
  const { next_action: next, diagnostics, patch } = failure.details
  return (
    <div class="problem" role="alert">
      <strong>{failure.code}</strong> <Said text={failure.message} />{' '}
      {failure.requestId === '' ? null : <code>{failure.requestId}</code>}{' '}
      {again ? (
        <button type="button" onClick={again}>
          Retry
        </button>
      ) : null}
      {next === undefined ? null : (
        <p>
          <Said text={next} />
        </p>
      )}
      {diagnostics === undefined ? null : <Findings of={diagnostics} />}
      {patch === undefined ? null : (
        <>
          <Copy label="Copy the patch" text={patch} />
          <Shown label="The patch" value={patch} />
        </>
      )}
    </div>
  )
}

/** What a resource has: its failure, a place for what comes, or what it holds. Old data stays under a failure. */
export function Loaded<T>({
  of,
  children,
}: {
  of: Resource<T>
  children: (data: T) => ComponentChildren
}) {
  const { data, failure, load } = of
  return (
    <>
      {failure.value ? <Problem failure={failure.value} again={() => void load()} /> : null}
      {data.value === undefined ? (
        failure.value ? null : (
          <div class="skeleton" role="status" aria-label="loading" />
        )
      ) : (
        children(data.value)
      )}
    </>
  )
}

/** A part of a page that is a resource; `before` stands above it whether it is there or not. */
export function Part<T>({
  label,
  before,
  ...loaded
}: {
  label: string
  before?: ComponentChildren
  of: Resource<T>
  children: (data: T) => ComponentChildren
}) {
  return (
    <section aria-label={label}>
      {before}
      <Loaded {...loaded} />
    </section>
  )
}

export const Empty = ({ children }: { children: ComponentChildren }) => (
  <div class="empty">{children}</div>
)
