// Gives back what a thread needed once. Node collects when memory is asked for, and so a start, or a compilation, keeps twice
// what it needs for as long as nothing else is done. The flag is read when the function is made, and put back.
import v8 from 'node:v8'
import vm from 'node:vm'

let collect: (() => void) | undefined

/** Collects all garbage of this thread, which stands still meanwhile: tens of milliseconds. */
export function collectGarbage(): void {
  collect ??= exposed()
  collect()
}

function exposed(): () => void {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc') as () => void
  v8.setFlagsFromString('--no-expose-gc')
  return gc
}
