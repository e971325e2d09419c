import type { Family } from './kind.ts'

/** Every host builtin by its name. */
export function families(): Family {
  return {}
}
