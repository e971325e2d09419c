import { useSignal } from '@preact/signals'
import type { FunctionComponent } from 'preact'
import { useEffect } from 'preact/hooks'
import { Failure } from '../data/api.ts'
import { Problem } from './states.tsx'

/** A part of the page that is fetched when it is first shown. `load` is asked once. */
export function Lazy({ load }: { load: () => Promise<FunctionComponent> }) {
  const part = useSignal<FunctionComponent | null>(null)
  const failure = useSignal<Failure | null>(null)
  const fetchIt = () =>
    load().then(
      (loaded) => {
        failure.value = null
        part.value = loaded
      },
      () => {
        failure.value = new Failure(0, { message: 'a part of the page cannot be fetched' }, '')
      },
    )
  useEffect(() => void fetchIt(), [])
  if (failure.value) return <Problem failure={failure.value} again={() => void fetchIt()} />
  const Part = part.value
  return Part ? <Part /> : <div class="skeleton" role="status" aria-label="loading" />
}
