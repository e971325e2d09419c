import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { useLocation } from 'wouter-preact'
import type { Calls } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { Said } from '../parts/text.tsx'
import { PAGES } from './pages.ts'

// A few letters, and Enter leads there: pages by their names, and what the gate finds of what is typed. The field keeps the
// focus and says which of the list is chosen, as a combobox does; an answer that comes after a later one was asked for is
// thrown away.

type Found = Calls['GET /search']['answer']['results'][number]

interface Choice {
  readonly to: string
  readonly kind: string
  readonly title: string
  readonly detail: string
}

const WAIT_MS = 120

const WAYS: Readonly<Record<Found['type'], (id: string) => string>> = {
  action: (id) => `/actions/${id}`,
  approval: (id) => `/approvals?id=${id}`,
  agent: (id) => `/agents?q=${id}`,
  tool: (id) => `/actions?tool=${encodeURIComponent(id)}`,
}

const pages = (text: string): Choice[] =>
  PAGES.filter(([, label]) => label.toLowerCase().includes(text.toLowerCase())).map(
    ([to, label]) => ({ to, kind: 'page', title: label, detail: '' }),
  )

/** Leads to a page, an action, an approval, an agent or a tool's actions. */
export function Palette({ onClose }: { onClose: () => void }) {
  const at = useRef<HTMLDialogElement>(null)
  const text = useSignal('')
  const chosen = useSignal(0)
  const choices = useChoices(text.value)
  const [, go] = useLocation()
  useEffect(() => at.current?.showModal(), [])
  useEffect(() => {
    chosen.value = 0
  }, [text.value])
  const index = Math.min(chosen.value, choices.length - 1)
  const leave = (choice: Choice | undefined) => {
    if (!choice) return
    at.current?.close()
    go(choice.to)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (by === undefined || choices.length === 0) return
    event.preventDefault()
    chosen.value = (index + by + choices.length) % choices.length
  }
  return (
    <dialog ref={at} class="palette" aria-label="Go to" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          leave(choices[index])
        }}
      >
        <input
          role="combobox"
          aria-label="Page, agent, tool or id"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={index < 0 ? undefined : `palette-${index}`}
          autoComplete="off"
          placeholder="Page, agent, tool or id"
          value={text.value}
          onKeyDown={onKeyDown}
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
        />
      </form>
      <Choices of={choices} chosen={index} onChoose={leave} />
      {choices.length === 0 ? <p class="muted">Nothing of that name.</p> : null}
    </dialog>
  )
}

function Choices({
  of,
  chosen,
  onChoose,
}: {
  of: readonly Choice[]
  chosen: number
  onChoose: (choice: Choice) => void
}) {
  return (
    <ul role="listbox" id="palette-list" aria-label="Where to go">
      {of.map((one, n) => (
        <li
          key={one.to}
          id={`palette-${n}`}
          role="option"
          aria-selected={n === chosen}
          onClick={() => onChoose(one)}
        >
          <Said inline text={one.title} />{' '}
          <span class="muted">
            {one.kind} <Said inline text={one.detail} />
          </span>
        </li>
      ))}
    </ul>
  )
}

function useChoices(text: string): readonly Choice[] {
  const found = useSignal<readonly Choice[]>([])
  useEffect(() => {
    const query = text.trim()
    found.value = []
    if (query === '') return undefined
    const stop = new AbortController()
    const timer = setTimeout(() => {
      call('GET /search', { query: { q: query }, signal: stop.signal }).then(
        ({ results }) => {
          found.value = results.map(({ type, id, title, detail }) => ({
            ...{ to: WAYS[type](id), kind: type, title, detail },
          }))
        },
        () => {}, // the pages are found without the gate
      )
    }, WAIT_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [text])
  return [...pages(text.trim()), ...found.value]
}
