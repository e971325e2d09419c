import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { compile, EvalError, load } from '../../src/rego/index.ts'
import { ALLOW, equalAsDoubles } from './opa-cases.ts'

// Generated programs with OPA's answers, in answers/*.jsonl.gz. Those of one kind, which share data and input, are
// compiled many at a time, each in a package of its own.

interface Case {
  readonly id: string | number
  readonly modules: readonly { readonly name: string; readonly source: string }[]
  readonly data: unknown
  readonly query: string
  readonly v0?: boolean
  readonly strict_builtin_errors?: boolean
  readonly want_undefined?: boolean
  readonly want_error?: string
  readonly want_refusal?: string
  readonly want_row?: number
  readonly inexact?: boolean
  /** JSON texts: undefined when absent. */
  readonly input?: string
  readonly want?: string
}

const BATCH = 100
/** Fewer of those that are refused: after a hundred diagnostics no more are kept. */
const REFUSED = 10
/** All programs take a minute; REGO_ANSWERS=all runs them. */
const PART = process.env['REGO_ANSWERS'] === 'all' ? 1 : 4

function casesOf(kind: string): Case[] {
  const file = path.join(import.meta.dirname, 'answers', `${kind}.jsonl.gz`)
  return gunzipSync(readFileSync(file))
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const one = JSON.parse(line) as Case
      const asText = (name: 'input' | 'want') =>
        name in one ? { [name]: JSON.stringify(one[name]) } : {}
      return { ...one, ...asText('input'), ...asText('want') }
    })
    .filter(({ inexact }) => inexact !== true)
}

const entrypointOf = ({ query }: Case): string => query.replace(/^data\./, '').replaceAll('.', '/')

/** What is wrong with our answers to cases that are compiled together. */
function wrongOf(cases: readonly Case[]): string[] {
  const [first] = cases
  if (!first) return []
  const isAlone = cases.length === 1
  const mark = (source: string, i: number) =>
    isAlone ? source : source.replace(/^package a$/m, `package a_${i}`)
  const places = cases.map((one, i) =>
    isAlone ? entrypointOf(one) : entrypointOf(one).replace(/^a\//, `a_${i}/`),
  )
  const modules = cases.flatMap((one, i) =>
    one.modules.map(({ name, source }) => [`${i}-${name}`, mark(source, i)] as const),
  )
  const compiled = compile({
    modules: Object.fromEntries(modules),
    entrypoints: places,
    v0: first.v0 ?? false,
    strictBuiltinErrors: first.strict_builtin_errors ?? false,
    capabilities: { allow: ALLOW },
  })
  if (!compiled.ok) {
    return cases.flatMap((one, i) => {
      const found = compiled.diagnostics.find(({ location }) => location.file.startsWith(`${i}-`))
      const fits = found?.code === one.want_refusal && one.want_row === found?.location.row
      if (fits) return []
      return isAlone ? [`${one.id}: ${found?.code ?? ''}: ${found?.message ?? ''}`] : wrongOf([one])
    })
  }
  const loaded = load(compiled, { data: first.data ?? {} })
  const wrong = cases.flatMap((one, i) => {
    let got: { text?: string | undefined; error?: string }
    try {
      got = { text: loaded.evaluateText(places[i] ?? '', one.input) }
    } catch (error) {
      got = { error: error instanceof EvalError ? error.code : String(error) }
    }
    return isRight(one, got) ? [] : [`${one.id}: ${JSON.stringify(got)}`]
  })
  loaded.close()
  return wrong
}

function isRight(one: Case, got: { text?: string | undefined; error?: string }): boolean {
  if (got.error !== undefined) return got.error === one.want_error
  if (one.want_undefined === true) return got.text === undefined
  return one.want !== undefined && equalAsDoubles(got.text, one.want)
}

/** Cases of one data document, input and mode, in batches. */
function batches(cases: readonly Case[]): Case[][] {
  const groups = new Map<string, Case[]>()
  for (const one of cases) {
    const { data, input, strict_builtin_errors: strict, v0, want_refusal: refusal } = one
    const key = JSON.stringify([data, input, strict, v0, refusal])
    const group = groups.get(key) ?? []
    groups.set(key, group)
    group.push(one)
  }
  return [...groups.values()].flatMap((group) => {
    const size = group[0]?.want_refusal === undefined ? BATCH : REFUSED
    return Array.from({ length: Math.ceil(group.length / size) }, (_, i) =>
      group.slice(i * size, (i + 1) * size),
    )
  })
}

describe('rego: generated programs', () => {
  for (const kind of ['negation', 'builtins']) {
    it(`answer as OPA does, all of them: ${kind}`, function () {
      this.timeout(600_000)
      expect(batches(casesOf(kind)).flatMap(wrongOf)).to.deep.equal([])
    })
  }

  it('answer as OPA does: larger ones (REGO_ANSWERS=all runs every one)', function () {
    this.timeout(600_000)
    const cases = casesOf('programs').filter((_, i) => i % PART === 0)
    expect(cases.flatMap((one) => wrongOf([one]))).to.deep.equal([])
  })
})
