import {
  EvalError,
  type Loaded,
  type ParseCache,
  type PlainFunction,
  separateTests,
  TEST_CASE,
  type TestRule,
} from '../index.ts'

// What holds for a test wherever it is run: each definition is a test of its own, and each name in `test_x[name]` a
// case that has to hold. A case that does not is not in the object, so those that were begun are heard of beside it.

/** The tests of these modules, which are compiled with `tests`. */
export function testRules(
  modules: Readonly<Record<string, string>>,
  v0: boolean,
  parsed: ParseCache,
): readonly TestRule[] {
  const trees = Object.entries(modules).flatMap(([file, source]) => {
    const { module } = parsed.parse(file, source, { v0, experimental: false })
    return module ? [module] : [] // compiling reports it
  })
  return separateTests(trees).tests
}

/** Hears which cases are begun: its builtins are to be given to `load` of a build with `tests`. */
export class BegunCases {
  readonly builtins: Readonly<Record<string, PlainFunction>> = {
    [TEST_CASE]: (path) => {
      this.#begun.push((path as unknown[]).map(keyText))
      return true
    },
  }
  readonly #begun: string[][] = []

  /** Those of one test, without its own path; and forgets all. */
  take({ entrypoint }: TestRule): readonly (readonly string[])[] {
    const own = entrypoint.split('/')
    const begun = this.#begun.splice(0)
    return begun
      .filter((path) => own.every((key, at) => path[at] === key))
      .map((path) => path.slice(own.length))
  }
}

const keyText = (key: unknown): string => (typeof key === 'string' ? key : JSON.stringify(key))

export type Outcome =
  | { readonly kind: 'holds' }
  /** Names of cases that do not hold. */
  | { readonly kind: 'cases'; readonly failed: readonly string[] }
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'error'; readonly error: EvalError }

/** What came of a test; its value is `true`, or it has cases that all hold. */
export function outcomeOf(loaded: Loaded, one: TestRule, cases: BegunCases): Outcome {
  try {
    const value = loaded.evaluate(one.entrypoint)
    const begun = cases.take(one)
    if (value === true) return { kind: 'holds' }
    if (!one.hasCases || !isObject(value)) return { kind: 'value', value }
    const failed = new Set([...failedCases(value), ...missingCases(value, begun)])
    return failed.size === 0 ? { kind: 'holds' } : { kind: 'cases', failed: [...failed] }
  } catch (error) {
    cases.take(one)
    if (error instanceof EvalError) return { kind: 'error', error }
    throw error
  }
}

type Cases = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Cases =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function failedCases(value: Cases, path: readonly string[] = []): string[] {
  return Object.entries(value).flatMap(([name, one]) => {
    if (isObject(one)) return failedCases(one, [...path, name])
    return one === true ? [] : [[...path, name].join('/')]
  })
}

function missingCases(value: Cases, begun: readonly (readonly string[])[]): string[] {
  return begun.flatMap((path) => {
    let found: unknown = value
    for (const key of path) {
      found = isObject(found) && Object.hasOwn(found, key) ? found[key] : undefined
    }
    return found === undefined ? [path.join('/')] : []
  })
}
