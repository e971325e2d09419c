import { effect, signal } from '@preact/signals'
import type { Calls } from '../../client/api.ts'
import { session } from '../data/api.ts'

// A policy somebody is writing: what differs from the revision it was made from, kept in this browser for whoever is
// signed in, until it is published or thrown away. It names its base for good: where another revision becomes the policy
// meanwhile, the draft stays what it is, and is carried over only when somebody says so.

export type KeptFile = Calls['GET /policy/files']['answer']['files'][number]
type Sent = NonNullable<Calls['POST /policy/try']['body']['files']>
export type SentFile = Sent[string]

/** By path: what it says now, or null where it is removed. */
type Changes = ReadonlyMap<string, string | null>

export interface Draft {
  readonly base: string
  readonly changes: Changes
  /** Files that changed here and in the live policy, as long as nobody has looked. */
  readonly conflicts: readonly string[]
  readonly at: number
}

/** A file as the draft has it; `text` is undefined for what is no text, or is too large to be shown. */
export interface DraftFile {
  readonly path: string
  readonly text: string | undefined
  readonly change: 'added' | 'changed' | 'removed' | null
}

/** What is being written, or null where nothing differs. */
export const draft = signal<Draft | null>(null)
/** Whether the browser keeps it: one that is full, or keeps nothing, does not. */
export const isKept = signal(true)
/** Another tab of this browser changed the draft after this one did. */
export const changedElsewhere = signal(false)
/** What is live, as the page knows it. */
export const live = signal<string | null>(null)

const PREFIX = 'portcullis.draft'

const prefixOf = (name: string): string => `${PREFIX}.${name.length}.${name}.`
const keyOf = (base: string): string => prefixOf(session.value?.name ?? '') + base

// Whoever signs in has a draft of their own, whoever was signed in before.
let isOf: string | null = null
effect(() => {
  const name = session.value?.name ?? null
  if (name === isOf) return
  isOf = name
  draft.value = name === null ? null : newest(name)
})
addEventListener('storage', ({ key }) => {
  if (key !== null && isOf !== null && key.startsWith(prefixOf(isOf))) changedElsewhere.value = true
})

function newest(name: string): Draft | null {
  try {
    return (
      Object.keys(localStorage)
        .filter((key) => key.startsWith(prefixOf(name)))
        .flatMap((key) => parsed(localStorage.getItem(key), key.slice(prefixOf(name).length)))
        .sort((a, b) => b.at - a.at)[0] ?? null
    )
  } catch {
    return null // a browser that keeps nothing
  }
}

function parsed(text: string | null, base: string): Draft[] {
  try {
    const { changes, conflicts, at } = JSON.parse(text ?? '') as {
      changes: [string, string | null][]
      conflicts: string[]
      at: number
    }
    return [{ base, changes: new Map(changes), conflicts, at }]
  } catch {
    return [] // of something else
  }
}

/** The draft as another tab left it. */
export function readAgain(): void {
  changedElsewhere.value = false
  draft.value = newest(isOf ?? '')
}

/** The draft as it is here, over what the other tab left. */
export const keepMine = (): void => store(draft.value, draft.value)

function keep(next: Draft | null): void {
  const before = draft.value
  draft.value = next
  // What another tab wrote is not written over before somebody has said which of the two counts.
  if (!changedElsewhere.value) store(before, next)
}

function store(before: Draft | null, next: Draft | null): void {
  changedElsewhere.value = false
  try {
    if (before && before.base !== next?.base) localStorage.removeItem(keyOf(before.base))
    if (next) {
      const { changes, conflicts, at } = next
      const text = JSON.stringify({ changes: [...changes], conflicts, at })
      localStorage.setItem(keyOf(next.base), text)
    }
    isKept.value = true
  } catch {
    isKept.value = false
  }
}

/** Throws the draft away. */
export function discard(): void {
  const before = draft.value
  draft.value = null
  store(before, null)
}

/** What a file says, null for a file that is removed, undefined for one as its base has it. */
export type Change = string | null | undefined

/** Whether a change of a file changes nothing of these files. */
function isAsIn(files: readonly KeptFile[], path: string, to: Change): boolean {
  const was = files.find((one) => one.path === path)
  return to === undefined || (was ? was.content === to : to === null)
}

/** What files of a draft of `base` are from now on. */
export function change(
  base: string,
  files: readonly KeptFile[],
  all: readonly (readonly [string, Change])[],
): void {
  if (draft.value && draft.value.base !== base) return // of a page that is gone
  const changes = new Map(draft.value?.changes)
  for (const [path, to] of all) {
    if (to === undefined || isAsIn(files, path, to)) changes.delete(path)
    else changes.set(path, to)
  }
  const conflicts = (draft.value?.conflicts ?? []).filter((path) => changes.has(path))
  keep(changes.size === 0 ? null : { base, changes, conflicts, at: Date.now() })
}

/** Somebody looked at a file that both sides changed, and wants it as the draft has it. */
export function settle(path: string): void {
  const now = draft.value
  if (now) keep({ ...now, conflicts: now.conflicts.filter((one) => one !== path) })
}

/** Every file of the draft, and of its base, by name. */
export function filesOf(files: readonly KeptFile[], changes: Changes): readonly DraftFile[] {
  const kept = files.map(({ path, content }): DraftFile => {
    const to = changes.get(path)
    if (to === undefined) return { path, text: content, change: null }
    return { path, text: to ?? content, change: to === null ? 'removed' : 'changed' }
  })
  const known = new Set(files.map(({ path }) => path))
  const added = [...changes].flatMap(([path, to]): DraftFile[] =>
    known.has(path) || to === null ? [] : [{ path, text: to, change: 'added' }],
  )
  return [...kept, ...added].sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The whole draft as calls take it: what its base has goes as its digest. */
export function sentFiles(files: readonly KeptFile[], changes: Changes): Sent {
  const sent = new Map<string, SentFile | null>(files.map(({ path, sha256 }) => [path, { sha256 }]))
  for (const [path, to] of changes) sent.set(path, to)
  return Object.fromEntries([...sent].filter((one): one is [string, SentFile] => one[1] !== null))
}

/**
 * Makes the draft one of the live policy. A file that only one side changed is as that side has it; one that both
 * changed stays as it is here, and is a conflict until somebody has looked.
 */
export function carryOver(
  from: readonly KeptFile[],
  to: readonly KeptFile[],
  liveRevision: string,
): void {
  const now = draft.value
  if (!now) return
  const digest = (files: readonly KeptFile[], path: string) =>
    files.find((one) => one.path === path)?.sha256
  const changes = new Map([...now.changes].filter(([path, mine]) => !isAsIn(to, path, mine)))
  const conflicts = [...changes.keys()].filter((path) => digest(from, path) !== digest(to, path))
  keep(changes.size === 0 ? null : { base: liveRevision, changes, conflicts, at: Date.now() })
}
