import { signal } from '@preact/signals'
import { heardAt, offline, probe, session } from './api.ts'

// One WebSocket a tab, resumed by the last id, so that nothing is missed while it was cut off. What is wanted is told to
// whoever follows; lists ask the gate again rather than guess from an event what became of them.

export interface Entry {
  readonly id: string
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}
type Follower = (entry: Entry) => void

export const link = signal<'live' | 'lost'>('lost')

const RETRY_MS = 2_000
const followers = new Set<Follower>()
let socket: WebSocket | null = null
let last = ''

export function follow(follower: Follower): () => void {
  followers.add(follower)
  return () => followers.delete(follower)
}

/** Opens the stream, and again whenever it is cut off, for as long as somebody is signed in. */
export function openStream(): void {
  if (socket || !session.value) return
  const base = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`
  const resume = last === '' ? '' : `?last_event_id=${last}`
  const opened = new WebSocket(`${base}/api/v1/agents/activity/stream${resume}`)
  socket = opened
  opened.addEventListener('open', () => {
    link.value = 'live'
    heardAt.value = Date.now()
    offline.value = false
  })
  opened.addEventListener('message', ({ data }: MessageEvent<string>) => {
    const entry = JSON.parse(data) as Entry
    heardAt.value = Date.now()
    last = entry.id
    for (const follower of [...followers]) follower(entry)
  })
  opened.addEventListener('close', () => {
    socket = null
    link.value = 'lost'
    // A socket that fails does not say why: the gate may be away, or the session over.
    void probe()
    setTimeout(openStream, RETRY_MS)
  })
}

export function closeStream(): void {
  last = ''
  socket?.close()
}
