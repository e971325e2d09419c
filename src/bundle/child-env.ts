import type { ChildProgram } from '../model/tool.ts'

// The environment of a program that the gate starts: nothing but what the policy names. Values stay where they are until it
// is started, so that no policy, no record and no revision holds what may be secret.

const ENTRY = /^([A-Za-z_][A-Za-z0-9_]*)(?:=([^]*))?$/
const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g

/** Variables that say how a machine is set up. Others are credentials, for all that the gate knows. */
const PLAIN: ReadonlySet<string> = new Set([
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'LANG', 'LANGUAGE', 'LC_ALL', 'TZ'],
  ...['TMPDIR', 'TMP', 'TEMP', 'PWD', 'NODE_ENV', 'NODE_PATH', 'NODE_EXTRA_CA_CERTS'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR'],
])

/** The gate's own variables that one entry takes its value from. */
export function variablesIn(entry: string): readonly string[] {
  const [, name = '', value] = ENTRY.exec(entry) ?? []
  if (value === undefined) return [name]
  return [...value.matchAll(VARIABLE)].map(([, variable = '']) => variable)
}

/** The variables whose values no agent may see. */
export const secretVariables = ({ env }: ChildProgram): readonly string[] =>
  env.flatMap(variablesIn).filter((name) => !PLAIN.has(name))

/** What the program is started with; of a variable that is not set, its name. */
export function childEnv(
  { env }: ChildProgram,
  own: Readonly<Record<string, string>>,
): { readonly env: Readonly<Record<string, string>>; readonly missing: readonly string[] } {
  const missing = env.flatMap(variablesIn).filter((name) => own[name] === undefined)
  const filled = env.map((entry): [string, string] => {
    const [, name = '', value] = ENTRY.exec(entry) ?? []
    if (value === undefined) return [name, own[name] ?? '']
    return [name, value.replace(VARIABLE, (_, variable: string) => own[variable] ?? '')]
  })
  return { env: Object.fromEntries(filled), missing }
}
