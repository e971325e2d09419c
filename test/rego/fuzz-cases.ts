// Mutated real policies: OPA's conformance modules and the realistic ones, with their data and input. Whatever becomes of
// them, the module is valid, our host and the npm SDK give the same answer, and so does a build that keeps values.
// usage: node --import tsx test/rego/fuzz-cases.ts [programs] [seed]
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { compile, type Compiled, EvalError, expressionsOf, load } from '../../src/rego/index.ts'
import { hostFunctions } from '../../src/rego/host/functions.ts'
import { readLines, regoData } from './data.ts'
import { edited, pick, random } from './fuzz.ts'

interface Seed {
  readonly modules: readonly string[]
  readonly query: string
  readonly data: unknown
  readonly input: unknown
}

const require = createRequire(import.meta.url)
const sdk = require('@open-policy-agent/opa-wasm') as {
  loadPolicySync(
    wasm: Uint8Array,
    memory: { initial: number; maximum?: number },
    builtins: Readonly<Record<string, (...operands: unknown[]) => unknown>>,
  ): { setData(data: unknown): void; evaluate(input: unknown): unknown }
}

/** Time, chance and the outside differ from one evaluation to the next. */
const VARYING = /rand\.|now_ns|uuid|http\.send|lookup_ip|opa\.runtime|sleep|time\.clock|time\.date/
const BUDGET = { steps: 300_000, pages: 512 }

function seeds(data: string): Seed[] {
  interface Case {
    readonly modules?: readonly string[]
    readonly query: string
    readonly data?: unknown
    readonly input?: unknown
  }
  const found: Seed[] = []
  for (const one of readLines<Case>(path.join(data, 'conformance/cases/v1.jsonl'))) {
    const { modules = [], query, data: documents = {}, input } = one
    if (modules.length > 0 && modules.length < 6 && !VARYING.test(modules.join('') + query)) {
      found.push({ modules, query, data: documents, input })
    }
  }
  const folder = path.join(data, 'realistic')
  for (const file of existsSync(folder) ? readdirSync(folder) : []) {
    if (!file.endsWith('.json')) continue
    const one = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as {
      readonly modules: readonly { readonly source: string }[]
      readonly data: unknown
      readonly queries: readonly string[]
      readonly cases: readonly { readonly input: unknown }[]
    }
    const modules = one.modules.map(({ source }) => source)
    for (const [at, query] of one.queries.entries()) {
      const { input } = one.cases[at % one.cases.length] ?? { input: undefined }
      found.push({ modules, query: `x = ${query}`, data: one.data, input })
    }
  }
  return found
}

type Outcome = { readonly text: string } | { readonly failed: true }

function ours(compiled: Compiled, { data, input }: Seed): Outcome {
  const loaded = load(compiled, { data })
  try {
    return { text: JSON.stringify(loaded.solutions(input)) }
  } catch (error) {
    if (error instanceof EvalError && error.code !== 'eval_internal_error') return { failed: true }
    throw error
  } finally {
    loaded.close()
  }
}

const table = hostFunctions() as Readonly<Record<string, (...operands: unknown[]) => unknown>>

function theirs(compiled: Compiled, { data, input }: Seed): Outcome {
  try {
    const policy = sdk.loadPolicySync(compiled.wasm, { initial: 64 }, table)
    policy.setData(data)
    return { text: JSON.stringify(policy.evaluate(input)) }
  } catch {
    return { failed: true }
  }
}

function keepingValues(options: Parameters<typeof compile>[0], seed: Seed): Outcome {
  const built = compile({ ...options, trace: 'values', budget: { ...BUDGET, steps: 3_000_000 } })
  if (!built.ok) return { text: 'refused' }
  const loaded = load(built, { data: seed.data })
  try {
    loaded.resetTrace()
    const text = JSON.stringify(loaded.solutions(seed.input))
    expressionsOf(built, loaded, options.modules)
    return { text }
  } catch (error) {
    if (error instanceof EvalError && error.code !== 'eval_internal_error') return { failed: true }
    throw error
  } finally {
    loaded.close()
  }
}

const same = (a: Outcome, b: Outcome): boolean => JSON.stringify(a) === JSON.stringify(b)

const TOKEN = /[A-Za-z_][\w]*|-?\d+(?:\.\d+)?|"(?:[^"\\\n]|\\.)*"|[=!<>:]=|[<>=+*/%&|-]/g
const OPERATORS = ['==', '!=', '<', '<=', '>', '>=', '=', '+', '-', '*', '/', '%', '&', '|']

const kindOf = (token: string): string =>
  /^["]/.test(token) ? 'string' : /^-?\d/.test(token) ? 'number' : /^\w/.test(token) ? 'word' : 'op'

/** Mostly still a policy: a token becomes another of its kind, a line goes, comes twice or moves. */
function tweaked(next: () => number, source: string): string {
  let text = source
  const at = (length: number) => Math.floor(next() * length)
  for (let i = 1 + at(3); i > 0; i--) {
    const tokens = [...text.matchAll(TOKEN)]
    const token = tokens[at(tokens.length)]
    if (token && next() < 0.7) {
      const kind = kindOf(token[0])
      const others =
        kind === 'op' ? OPERATORS : tokens.map(([one]) => one).filter((one) => kindOf(one) === kind)
      const other = others[at(others.length)] ?? token[0]
      text = text.slice(0, token.index) + other + text.slice(token.index + token[0].length)
      continue
    }
    const lines = text.split('\n')
    const line = at(lines.length)
    const [taken = ''] = next() < 0.6 ? lines.splice(line, 1) : [lines[line]]
    if (next() < 0.6) lines.splice(at(lines.length), 0, taken)
    text = lines.join('\n')
  }
  return text
}

export interface CaseFuzzReport {
  readonly compiled: number
  readonly evaluated: number
  readonly failures: readonly string[]
}

export function fuzzCases(data: string, programs: number, seed: number): CaseFuzzReport {
  const next = random(seed)
  const all = seeds(data)
  const failures: string[] = []
  let compiled = 0
  let evaluated = 0
  for (let i = 0; i < programs; i++) {
    const from = pick(next, all)
    const at = Math.floor(next() * from.modules.length)
    const other = pick(next, all)
    const texts = from.modules.map((text, n) =>
      n !== at
        ? text
        : next() < 0.1
          ? edited(next, text, other.modules[0] ?? '')
          : tweaked(next, text),
    )
    const modules = Object.fromEntries(texts.map((text, n) => [`m${n}.rego`, text]))
    if (VARYING.test(texts.join(''))) continue
    const options = { modules, entrypoints: [], query: from.query, budget: BUDGET }
    const report = (what: string) =>
      failures.push(`${what}\n${from.query}\n${texts.join('\n---\n')}`)
    try {
      const built = compile(options)
      if (!built.ok) continue
      compiled++
      if (!WebAssembly.validate(built.wasm)) {
        report('invalid module')
        continue
      }
      const mine = ours(built, from)
      if ('text' in mine) evaluated++
      // Both hosts stop at the same step, but the SDK starts with less memory: only answers are compared with failures.
      const sdks = theirs(built, from)
      if (!same(mine, sdks)) report(`hosts differ: ${show(mine)} and ${show(sdks)}`)
      const kept = keepingValues(options, from)
      if ('text' in mine && !same(mine, kept))
        report(`values change it: ${show(mine)} and ${show(kept)}`)
    } catch (error) {
      report(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
  }
  return { compiled, evaluated, failures }
}

const show = (outcome: Outcome): string => JSON.stringify(outcome).slice(0, 300)

if (process.argv[1] === import.meta.filename) {
  const [programs = '5000', seed = '1'] = process.argv.slice(2)
  const data = regoData
  if (data === undefined) throw new Error('REGO_DATA is not there')
  const { compiled, evaluated, failures } = fuzzCases(data, Number(programs), Number(seed))
  console.log(`${programs} programs, ${compiled} compiled, ${evaluated} evaluated`)
  for (const failure of failures.slice(0, 10)) console.log(failure, '\n')
  console.log(`${failures.length} failures`)
  process.exitCode = failures.length > 0 ? 1 : 0
}
