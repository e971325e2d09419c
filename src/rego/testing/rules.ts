import type { ParseCache } from '../index.ts'

// Tests are rules, and a rule may be written several times: Rego would take the definitions together, and one that
// fails would hide behind another that holds. As OPA does, each definition of a plain test is a test of its own, so
// all but the first get another name in the source before it is compiled.

/** One test: the rule to ask for, and how it is shown. */
export interface TestRule {
  readonly entrypoint: string
  /** The name, with `#01` and so on for further definitions. */
  readonly name: string
  readonly file: string
  readonly row: number
}

const IS_TEST = /^(?:todo_)?test_/

/** The tests of these modules, and the modules with every definition of a plain test under a name of its own. */
export function testRules(
  modules: Readonly<Record<string, string>>,
  v0: boolean,
  parsed: ParseCache,
): { readonly tests: readonly TestRule[]; readonly modules: Readonly<Record<string, string>> } {
  const tests = new Map<string, TestRule>()
  const counts = new Map<string, number>()
  const renamed = Object.entries(modules).map(([file, source]) => {
    const { module } = parsed.parse(file, source, { v0, experimental: false })
    if (!module) return [file, source] as const // compiling reports it
    const lines = source.split('\n')
    for (const { head, loc } of module.rules) {
      const [{ name }] = head.ref
      if (!IS_TEST.test(name)) continue
      const isPlain = head.ref.length === 1 && head.key === undefined
      const pkg = module.package.path.join('/')
      const seen = counts.get(`${pkg}/${name}`) ?? 0
      counts.set(`${pkg}/${name}`, seen + 1)
      const number = isPlain && seen > 0 ? String(seen).padStart(2, '0') : ''
      const own = number === '' ? name : `${name}__${number}`
      if (number !== '') rename(lines, loc, name, own)
      const shown = number === '' ? name : `${name}#${number}`
      const entrypoint = `${pkg}/${own}`
      if (!tests.has(entrypoint))
        tests.set(entrypoint, { entrypoint, name: shown, file, row: loc.row })
    }
    return [file, lines.join('\n')] as const
  })
  return { tests: [...tests.values()], modules: Object.fromEntries(renamed) }
}

function rename(
  lines: string[],
  { row, col }: { readonly row: number; readonly col: number },
  name: string,
  own: string,
): void {
  const line = lines[row - 1] ?? ''
  const at = line.indexOf(name, col - 1)
  if (at >= 0) lines[row - 1] = line.slice(0, at) + own + line.slice(at + name.length)
}

/** The names of the cases in `test_x[name]` that do not hold; undefined where the value is none of cases. */
export function failedCases(value: unknown, path: readonly string[] = []): string[] | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  const failed: string[] = []
  for (const [name, one] of Object.entries(value)) {
    const inner = failedCases(one, [...path, name])
    if (inner) failed.push(...inner)
    else if (one !== true) failed.push([...path, name].join('/'))
  }
  return failed
}
