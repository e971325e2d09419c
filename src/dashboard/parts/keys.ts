import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

// Keys of one letter, and `g` with a second one. They count nowhere that somebody types, and not while a dialog is
// open; whoever's machine types by voice turns them off, and that is kept in this browser.

type Run = () => void

const STORED = 'portcullis.letters'
const SEQUENCE_MS = 1_500
const TYPED = 'input, select, textarea, [contenteditable="true"]'
/** The chosen row of a list: its first link. */
const ROWS = 'main .cards > li > a, main [data-row]'

const stored = (name: string): string | null => {
  try {
    return localStorage.getItem(name)
  } catch {
    return null // a browser that keeps nothing
  }
}

/** Whether keys of one letter do something. */
export const letters = signal(stored(STORED) !== 'off')

export function setLetters(on: boolean): void {
  letters.value = on
  try {
    localStorage.setItem(STORED, on ? 'on' : 'off')
  } catch {
    // It holds until the page is left.
  }
}

const bound = new Map<string, Run>()
let first = ''
let timer: ReturnType<typeof setTimeout> | undefined

/** What keys do while a page or a part of it is shown. */
export function useKeys(keys: Readonly<Record<string, Run>>): void {
  useEffect(() => {
    for (const [key, run] of Object.entries(keys)) bound.set(key, run)
    return () => {
      for (const [key, run] of Object.entries(keys)) if (bound.get(key) === run) bound.delete(key)
    }
  })
}

/** Hears keys for as long as the page is open; answers how to stop. */
export function hearKeys(): Run {
  const hear = (event: KeyboardEvent) => {
    const run = runOf(event)
    if (!run) return
    event.preventDefault()
    run()
  }
  addEventListener('keydown', hear)
  return () => removeEventListener('keydown', hear)
}

function runOf(event: KeyboardEvent): Run | undefined {
  const isOpen = document.querySelector('dialog[open]') !== null
  const { key, target } = event
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === 'k' && !isOpen) {
    return bound.get('palette')
  }
  const isTyped = target instanceof Element && target.closest(TYPED) !== null
  if (isOpen || isTyped || event.ctrlKey || event.metaKey || event.altKey) return undefined
  if (key === 'Escape') return bound.get('Escape')
  if (!letters.value) return undefined
  const sequence = first + key
  clearTimeout(timer)
  first = key === 'g' ? 'g ' : ''
  timer = setTimeout(() => {
    first = ''
  }, SEQUENCE_MS)
  return bound.get(sequence)
}

/** Goes to the next row, or to the one before. */
export function step(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>(ROWS)]
  const at = rows.indexOf(document.activeElement as HTMLElement)
  const next = at < 0 ? (by === 1 ? 0 : rows.length - 1) : at + by
  rows[Math.min(Math.max(next, 0), rows.length - 1)]?.focus()
}

/** Goes to the field that searches. */
export const toSearch = (): void =>
  document.querySelector<HTMLElement>('main input[type=search]')?.focus()
