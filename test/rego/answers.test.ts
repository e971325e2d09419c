import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { compile, EvalError, load } from '../../src/rego/index.ts'
import { compareValues, parseValue, type Value } from '../../src/rego/host/value.ts'
import { fuzzCases } from './fuzz-cases.ts'
import { jsonFiles, readLines, requireData } from './data.ts'

interface Answer {
  readonly text?: string
  readonly undefined?: true
  readonly error?: string
}
type Sources = readonly { name: string; source: string }[]

function evaluate(
  modules: Sources,
  query: string,
  data: unknown,
  input: unknown,
): { text?: string | undefined; error?: string } {
  const entrypoint = query
    .replace(/^data\./, '')
    .replace(/ = x$/, '')
    .replaceAll('.', '/')
  const sources = Object.fromEntries(modules.map(({ name, source }) => [name, source]))
  const result = compile({ modules: sources, entrypoints: [entrypoint] })
  if (!result.ok)
    return {
      error: result.diagnostics.map(({ code, message }) => `${code}: ${message}`).join('; '),
    }
  try {
    return {
      text: load(result, { data }).evaluateText(
        entrypoint,
        input === undefined ? undefined : JSON.stringify(input),
      ),
    }
  } catch (error) {
    return { error: error instanceof EvalError ? error.code : String(error) }
  }
}

function agrees(got: ReturnType<typeof evaluate>, want: Answer): boolean {
  if (want.error !== undefined) return got.error === want.error
  if (got.error !== undefined) return false
  if (want.undefined) return got.text === undefined
  return got.text !== undefined && same(parseValue(got.text), parseValue(want.text ?? ''))
}

/** Equal when sets on one side may be arrays on the other. */
function same(a: Value, b: Value): boolean {
  return compareValues(flat(a), flat(b)) === 0
}
function flat(v: Value): Value {
  return parseValue(JSON.stringify(toPlain(v)))
}
function toPlain(v: Value): unknown {
  if (v === null || typeof v !== 'object') return v
  if (Array.isArray(v)) return v.map(toPlain)
  if ('text' in v) return Number(v.text)
  if ('items' in v) return v.items.map(toPlain)
  if (!('pairs' in v)) return null
  return Object.fromEntries(
    v.pairs.map(([k, x]) => [typeof k === 'string' ? k : JSON.stringify(toPlain(k)), toPlain(x)]),
  )
}

describe('rego: answers', () => {
  it('gives what OPA gives for random policies', function () {
    this.timeout(600_000)
    const data = requireData(this)
    interface Case {
      seed: number
      modules: Sources
      data: unknown
      input: unknown
      query: string
      want_text: string | null
      want_error?: string
      inexact?: boolean
    }
    const wrong: number[] = []
    for (const c of readLines<Case>(path.join(data, 'differential/cases.jsonl'))) {
      if (c.inexact) continue
      const want: Answer =
        c.want_error === undefined
          ? c.want_text === null
            ? { undefined: true }
            : { text: c.want_text }
          : { error: c.want_error }
      if (!agrees(evaluate(c.modules, c.query, c.data, c.input), want)) wrong.push(c.seed)
    }
    expect(wrong).to.deep.equal([])
  })

  it('gives one answer on both hosts, and with values kept, for mutated policies', function () {
    this.timeout(600_000)
    const { evaluated, failures } = fuzzCases(requireData(this), 400, 11)
    expect(failures).to.deep.equal([])
    expect(evaluated).to.be.greaterThan(50)
  })

  it('gives what OPA gives for policies of the domain', function () {
    this.timeout(600_000)
    const data = requireData(this)
    interface Case {
      id: string
      modules: Sources
      data: unknown
      queries: string[]
      cases: { input: unknown; answers: Record<string, Answer> }[]
    }
    const wrong: string[] = []
    for (const file of jsonFiles(path.join(data, 'realistic'))) {
      const c = JSON.parse(readFileSync(file, 'utf8')) as Case
      for (const query of c.queries) {
        for (const [i, { input, answers }] of c.cases.entries()) {
          if (!agrees(evaluate(c.modules, query, c.data, input), answers[query] ?? {}))
            wrong.push(`${c.id} ${query} ${i}`)
        }
      }
    }
    expect(wrong).to.deep.equal([])
  })
})
