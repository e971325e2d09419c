import { type Signal, useSignal } from '@preact/signals'
import { useCallback, useEffect, useRef } from 'preact/hooks'
import { Failure } from './api.ts'
import { follow } from './stream.ts'

/** What was asked for: the last answer stays while the next one is on its way. */
export interface Resource<T> {
  readonly data: Signal<T | undefined>
  readonly failure: Signal<Failure | undefined>
  readonly load: () => Promise<void>
}

const AGAIN_MS = 1_000

/** Asks, and again when `key` changes or an entry of one of these kinds arrives, at most once in `againMs`. */
export function useResource<T>(
  key: string,
  ask: (stop: AbortSignal) => Promise<T>,
  kinds: readonly string[] = [],
  againMs = AGAIN_MS,
): Resource<T> {
  const data = useSignal<T | undefined>(undefined)
  const failure = useSignal<Failure | undefined>(undefined)
  const asking = useRef<AbortController | undefined>(undefined)
  const latest = useRef(ask)
  latest.current = ask
  const load = useCallback(async () => {
    asking.current?.abort()
    const stop = new AbortController()
    asking.current = stop
    try {
      const answer = await latest.current(stop.signal)
      if (stop.signal.aborted) return
      data.value = answer
      failure.value = undefined
    } catch (error) {
      if (stop.signal.aborted) return
      failure.value =
        error instanceof Failure ? error : new Failure(0, { message: String(error) }, '')
    }
  }, [])
  useEffect(() => {
    data.value = undefined
    void load()
    let timer: ReturnType<typeof setTimeout> | undefined
    const leave = follow(({ type }) => {
      if (!kinds.some((kind) => type === kind || type.startsWith(`${kind}.`))) return
      timer ??= setTimeout(() => {
        timer = undefined
        void load()
      }, againMs)
    })
    return () => {
      leave()
      clearTimeout(timer)
      asking.current?.abort()
    }
  }, [key])
  return { data, failure, load }
}
