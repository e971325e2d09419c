import type { Calls } from '../../client/api.ts'
import { call } from '../data/api.ts'
import { type Resource, useResource } from '../data/resource.ts'
import { draft, filesOf, live, type SentFile, sentFiles } from './draft.ts'

export type Kept = Calls['GET /policy/files']['answer']

/** The revision that the draft was made from; the live one where there is none. */
export const baseRevision = (): string => draft.value?.base ?? live.value ?? ''

/** The files that the draft was made from; those of the live policy where there is none. */
export function useBase(): Resource<Kept> {
  const base = baseRevision()
  return useResource(`files ${base}`, () =>
    call('GET /policy/files', { query: { revision: base } }),
  )
}

const NONE: ReadonlyMap<string, string | null> = new Map()

/** What the draft changes of these files; of others it changes nothing. */
export const changesOf = (kept: Kept): ReadonlyMap<string, string | null> =>
  draft.value?.base === kept.revision ? draft.value.changes : NONE

export const draftFiles = (kept: Kept) => filesOf(kept.files, changesOf(kept))

export const draftSent = (kept: Kept): Readonly<Record<string, SentFile>> =>
  sentFiles(kept.files, changesOf(kept))

/** Of the draft as a whole policy, or undefined where there is none: what is live then. */
export async function draftNow(): Promise<Readonly<Record<string, SentFile>> | undefined> {
  const now = draft.peek()
  if (!now) return undefined
  const { files } = await call('GET /policy/files', { query: { revision: now.base } })
  return sentFiles(files, now.changes)
}
