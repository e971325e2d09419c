import { type Signal, useSignal } from '@preact/signals'
import type { Failure } from '../data/api.ts'

/** What a click does: a signal has this value then. */
export const setTo =
  <T>(into: Signal<T>, value: T) =>
  (): void => {
    into.value = value
  }

/** Something that is asked of the gate by a click, and what it refused of it. */
export function useDoing(): {
  readonly failure: Signal<Failure | undefined>
  readonly run: (work: () => Promise<void>) => Promise<void>
} {
  const failure = useSignal<Failure | undefined>(undefined)
  const run = async (work: () => Promise<void>) => {
    try {
      await work()
      failure.value = undefined
    } catch (error) {
      failure.value = error as Failure
    }
  }
  return { failure, run }
}
