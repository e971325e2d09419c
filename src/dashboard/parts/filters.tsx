import type { ComponentChildren } from 'preact'
import { useSearchParams } from 'wouter-preact'
import { Field } from './dialog.tsx'
import { Empty } from './states.tsx'

/** A filter by a closed list of values, or by text. */
export interface Filter {
  readonly name: string
  readonly label: string
  readonly options?: readonly string[]
  /** What it is called when nothing is chosen. */
  readonly none?: string
}

/** Says something in the URL, or nothing of it any more; another page of a list begins anew. */
export function useSay(): (name: string) => (value: string) => void {
  const [, setParams] = useSearchParams()
  return (name) => (value) =>
    setParams((before) => {
      const after = new URLSearchParams(before)
      after.delete('cursor')
      if (value === '') after.delete(name)
      else after.set(name, value)
      return after
    })
}

/** Filters whose state is the URL, so that a reload or a link shows the same; another page of a list begins anew. */
export function Filters({ of }: { of: readonly Filter[] }) {
  const [params] = useSearchParams()
  const say = useSay()
  return (
    <form class="row filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {of.map(({ name, label, options, none = 'any' }) => (
        <Field key={name} label={label}>
          {options ? (
            <select
              value={params.get(name) ?? ''}
              onChange={(event) => say(name)(event.currentTarget.value)}
            >
              <option value="">{none}</option>
              {options.map((one) => (
                <option key={one} value={one}>
                  {one.replaceAll('_', ' ')}
                </option>
              ))}
            </select>
          ) : (
            <input
              type="search"
              value={params.get(name) ?? ''}
              onChange={(event) => say(name)(event.currentTarget.value)}
            />
          )}
        </Field>
      ))}
    </form>
  )
}

/** What the URL says of these filters and of the place in the list. */
export function useFilters(of: readonly Filter[]): {
  readonly query: Readonly<Record<string, string>>
  readonly key: string
} {
  const [params] = useSearchParams()
  const names = [...of.map(({ name }) => name), 'cursor']
  const given = names.flatMap((name) => {
    const value = params.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  return { query: Object.fromEntries(given), key: JSON.stringify(given) }
}

/** A page of a list: its items as cards, what stands there when there are none, and the way to what follows. */
export function Cards<T extends { readonly id: string }>({
  of,
  empty,
  cursor,
  children,
}: {
  of: readonly T[]
  empty: string
  cursor: string | null
  children: (one: T) => ComponentChildren
}) {
  return (
    <>
      {of.length === 0 ? <Empty>{empty}</Empty> : null}
      <ul class="cards">
        {of.map((one) => (
          <li key={one.id}>{children(one)}</li>
        ))}
      </ul>
      {cursor === null ? null : <Older cursor={cursor} />}
    </>
  )
}

/** The way to what follows in a list. */
export function Older({ cursor }: { cursor: string }) {
  const say = useSay()
  return (
    <button type="button" onClick={() => say('cursor')(cursor)}>
      Older
    </button>
  )
}
