import { type Signal, useSignal } from '@preact/signals'
import { useCallback, useEffect, useRef } from 'preact/hooks'
import type { Diagnostic } from '../../client/api.ts'
import { call, Failure } from '../data/api.ts'
import type { SentFile } from './draft.ts'

/** So long nobody has typed before the draft is checked by itself. */
const DELAY_MS = 400

export interface Checked {
  readonly findings: readonly Diagnostic[]
  /** How it came out, in words. */
  readonly said: string
  readonly failure: Failure | null
}

export interface Check {
  readonly of: Signal<Checked>
  readonly run: () => Promise<void>
}

const UNCHECKED: Checked = { findings: [], said: 'not checked', failure: null }

/** The gate's check of a draft: when asked, and by itself once `key` has been the same for a while. */
export function useCheck(
  key: string,
  isByItself: boolean,
  files: () => Readonly<Record<string, SentFile>>,
): Check {
  const of = useSignal<Checked>(UNCHECKED)
  const asking = useRef<AbortController | undefined>(undefined)
  const latest = useRef(files)
  latest.current = files
  const run = useCallback(async () => {
    asking.current?.abort()
    const stop = new AbortController()
    asking.current = stop
    of.value = { ...of.value, said: 'checking …' }
    const checked = await checkOf(latest.current(), stop.signal)
    if (!stop.signal.aborted) of.value = checked
  }, [])
  useEffect(() => {
    asking.current?.abort() // what it says is of what is no longer written
    if (!isByItself) {
      of.value = UNCHECKED
      return undefined
    }
    const timer = setTimeout(() => void run(), DELAY_MS)
    return () => clearTimeout(timer)
  }, [key, isByItself])
  useEffect(() => () => asking.current?.abort(), [])
  return { of, run }
}

async function checkOf(
  files: Readonly<Record<string, SentFile>>,
  signal: AbortSignal,
): Promise<Checked> {
  const beganAt = performance.now()
  const took = () => `${Math.round(performance.now() - beganAt)} ms`
  try {
    const { warnings } = await call('POST /policy/check', { body: { files }, signal })
    return { findings: sorted(warnings), said: `loads, ${took()}`, failure: null }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { diagnostics } = error.details
    if (!diagnostics) return { ...UNCHECKED, failure: error }
    return { findings: sorted(diagnostics), said: `does not load, ${took()}`, failure: null }
  }
}

const sorted = (all: readonly Diagnostic[]): readonly Diagnostic[] =>
  all.toSorted((a, b) =>
    a.file === b.file ? a.line - b.line || a.col - b.col : a.file < b.file ? -1 : 1,
  )
