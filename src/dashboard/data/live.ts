import { effect, signal } from '@preact/signals'
import type { AuditEntry } from '../../client/api.ts'
import { call } from './api.ts'
import { follow, link } from './stream.ts'

// What happens, as it happens, whichever page is open. Of each entry only what a row shows is kept, and of the newest
// ones only, so that a day of traffic takes the memory of a minute; the counts are of all. Nobody is told of every
// entry: `changed` moves a few times a second at most, and whoever shows something looks then.

/** How many entries are kept. */
export const KEPT = 2_000
const TELL_MS = 250
const PAST = 200

export interface Row {
  readonly seq: number
  readonly at: string
  readonly kind: string
  readonly effect: string
  readonly tool: string
  readonly agent: string
  readonly agentId: string
  readonly actionId: string
  /** The first reason of a decision, or what became of an action. */
  readonly why: string
}

/** Since this page was opened. */
export interface Counts {
  readonly entries: number
  readonly allow: number
  readonly deny: number
  readonly require_approval: number
}

const NOTHING: Counts = { entries: 0, allow: 0, deny: 0, require_approval: 0 }
let rows: Row[] = []
let counts = NOTHING
let timer: ReturnType<typeof setTimeout> | undefined
/** Moves when there is something new to show. */
export const changed = signal(0)
export const isPastKnown = signal(false)

/** The newest entries that are kept, oldest first. */
export const keptRows = (): readonly Row[] => rows
export const countsNow = (): Counts => counts

/** Follows the stream, after what was before; answers how to stop. */
export function openLive(): () => void {
  rows = []
  counts = NOTHING
  const leave = follow(({ id, data }) => {
    add(toRow({ ...data, seq: Number(id) }))
    count(String(data['kind']), String(data['effect']))
    tell()
  })
  // Again when the stream begins, for what came in between.
  const forget = effect(() => {
    if (link.value === 'live' || !isPastKnown.peek()) void past()
  })
  return () => {
    leave()
    forget()
    clearTimeout(timer)
    timer = undefined
  }
}

async function past(): Promise<void> {
  try {
    const { entries } = await call('GET /audit/timeline', { query: { limit: PAST } })
    const known = new Set(rows.map(({ seq }) => seq))
    const before = entries.map(toRow).filter(({ seq }) => !known.has(seq))
    rows = [...before.reverse(), ...rows].sort((a, b) => a.seq - b.seq)
  } catch {
    // What comes from now on is shown all the same.
  }
  isPastKnown.value = true
  tell()
}

function add(row: Row): void {
  if ((rows.at(-1)?.seq ?? 0) >= row.seq) return // of the past, and of the stream as well
  rows.push(row)
  if (rows.length > KEPT + PAST) rows = rows.slice(-KEPT)
}

function count(kind: string, effect: string): void {
  const more = { ...counts, entries: counts.entries + 1 }
  const isCounted = kind === 'decision' && effect in NOTHING
  const name = effect as 'allow' | 'deny' | 'require_approval'
  counts = isCounted ? { ...more, [name]: more[name] + 1 } : more
}

function tell(): void {
  timer ??= setTimeout(() => {
    timer = undefined
    changed.value++
  }, TELL_MS)
}

function toRow(entry: AuditEntry | Readonly<Record<string, unknown>>): Row {
  const text = (name: string) => {
    const value = entry[name]
    return typeof value === 'string' ? value : ''
  }
  return {
    seq: Number(entry['seq']),
    at: text('at'),
    kind: text('kind'),
    effect: text('effect'),
    tool: text('tool'),
    agent: text('agent_name') || text('agent_id'),
    agentId: text('agent_id'),
    actionId: text('action_id'),
    why: whyOf(entry) || text('status') || text('code') || text('actor'),
  }
}

function whyOf({ reasons }: Readonly<Record<string, unknown>>): string {
  const [first] = Array.isArray(reasons) ? (reasons as Readonly<Record<string, unknown>>[]) : []
  return typeof first?.['code'] === 'string' ? first['code'] : ''
}
