import type { Findings, Place } from './diagnostics.ts'

/** Values the loader may put into `base_url`. Passed in: only `config.ts` reads the environment. */
export type PolicyEnv = Readonly<Record<string, string | undefined>>

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/** Fills `${NAME}` and `${NAME:-default}` in. A name without value and default is a finding. */
export function substituteEnv(
  text: string,
  env: PolicyEnv,
  used: Map<string, string>,
  place: Place,
  found: Findings,
): string {
  return text.replace(VARIABLE, (_, name: string, fallback: string | undefined) => {
    const given = env[name]
    const value = given === undefined || given === '' ? fallback : given
    if (value === undefined) {
      found.error(place, 'env_missing', `environment variable \`${name}\` is not set`)
      return ''
    }
    used.set(name, value)
    return value
  })
}
