// Programs with OPA's answers, run on both hosts: ours and the npm SDK.
import { createRequire } from 'node:module'
import { compile, type Compiled, EvalError, load } from '../../src/rego/index.ts'
import { hostFunctions } from '../../src/rego/host/functions.ts'

export interface Case {
  readonly note: string
  /** File -> source. */
  readonly modules: Readonly<Record<string, string>>
  readonly query: string
  readonly data?: unknown
  /** Undefined when absent. */
  readonly input?: unknown
  readonly v0?: true
  readonly strict?: true
  readonly strict_builtin_errors?: true
  /** The value as JSON text, sets as arrays. */
  readonly want_text?: string
  readonly want_undefined?: true
  readonly want_error?: string
  /** Code and row of the first diagnostic. */
  readonly want_refusal?: string
  readonly want_row?: number
  readonly want_message?: string
}

type Answer =
  | { readonly text: string | undefined }
  | { readonly error: string }
  | { readonly refused: string; readonly row: number | undefined }

const require = createRequire(import.meta.url)
const sdk = require('@open-policy-agent/opa-wasm') as {
  loadPolicySync(
    wasm: Uint8Array,
    memory: { initial: number; maximum?: number },
    builtins: Readonly<Record<string, (...operands: unknown[]) => unknown>>,
  ): {
    setData(data: unknown): void
    evaluate(input: unknown, entrypoint: string): readonly { readonly result: unknown }[]
  }
}
const table = hostFunctions() as Readonly<Record<string, (...operands: unknown[]) => unknown>>

/** All that a policy may use here; time and chance are the cases' own business. */
export const ALLOW = ['opa.runtime', 'rand.intn', 'time.now_ns', 'uuid.rfc4122']

/** What is wrong with our answers to a case, or undefined. */
export function differs(one: Case): string | undefined {
  const entrypoint = one.query.replace(/^data\./, '').replaceAll('.', '/')
  const compiled = compile({
    modules: one.modules,
    entrypoints: [entrypoint],
    v0: one.v0 ?? false,
    strict: one.strict ?? false,
    strictBuiltinErrors: one.strict_builtin_errors ?? false,
    capabilities: { allow: ALLOW },
  })
  if (!compiled.ok) {
    const [first] = compiled.diagnostics
    return compare(one, { refused: first?.code ?? '', row: first?.location.row })
  }
  return (
    compare(one, ours(compiled, entrypoint, one)) ??
    compareLoosely(theirs(compiled, entrypoint, one), one)
  )
}

function ours(compiled: Compiled, entrypoint: string, { data, input }: Case): Answer {
  const loaded = load(compiled, { data: data ?? {} })
  try {
    return {
      text: loaded.evaluateText(
        entrypoint,
        input === undefined ? undefined : JSON.stringify(input),
      ),
    }
  } catch (error) {
    return { error: error instanceof EvalError ? error.code : String(error) }
  } finally {
    loaded.close()
  }
}

function theirs(compiled: Compiled, entrypoint: string, { data, input }: Case): Answer {
  try {
    const policy = sdk.loadPolicySync(compiled.wasm, { initial: 64 }, table)
    policy.setData(data ?? {})
    const [found] = policy.evaluate(input, entrypoint)
    return { text: found && JSON.stringify(found.result) }
  } catch (error) {
    return { error: String(error) }
  }
}

function compare(one: Case, got: Answer): string | undefined {
  const show = (): string =>
    `${one.note}: ${JSON.stringify(got)}, wanted ${one.want_text ?? one.want_error ?? one.want_refusal ?? 'undefined'}`
  if ('refused' in got) {
    const fits =
      got.refused === one.want_refusal && (one.want_row === 0 || got.row === one.want_row)
    return fits ? undefined : show()
  }
  if ('error' in got) return got.error === one.want_error ? undefined : show()
  if (one.want_undefined) return got.text === undefined ? undefined : show()
  return one.want_text !== undefined &&
    got.text !== undefined &&
    canonical(got.text) === canonical(one.want_text)
    ? undefined
    : show()
}

/** The SDK reads numbers as doubles and says what failed in its own words. */
function compareLoosely(got: Answer, one: Case): string | undefined {
  const fits =
    'error' in got
      ? one.want_error !== undefined
      : 'text' in got && one.want_error === undefined && equalAsDoubles(got.text, one.want_text)
  return fits ? undefined : `through the SDK: ${one.note}: ${JSON.stringify(got)}`
}

export function equalAsDoubles(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return sorted(JSON.parse(a)) === sorted(JSON.parse(b))
}

/** JSON with the keys of objects in order. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  )
}

/** JSON text with the keys of objects in order and numbers as they are written. */
function canonical(text: string): string {
  return sorted(
    JSON.parse(
      text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (t) => (t[0] === '"' ? t : `"#${t}"`)),
    ),
  )
}
