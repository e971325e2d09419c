// Mutated and random policies: whatever the text, the compiler answers with diagnostics or a valid module.
// usage: node --import tsx test/rego/fuzz.ts [parser inputs] [programs] [seed]
import { compile, parse } from '../../src/rego/index.ts'

/** A small deterministic generator (mulberry32): a failure is a seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const SEEDS = [
  'package a\n\nimport data.b as c\n\ndefault p := false\n\np if {\n\tsome k, v in input.xs\n\tv.name == "x"\n\tnot c.q[k]\n}\n\nq contains x if some x in {1, 2, 3}\n',
  'package b\n\nf(x, [y, _]) := z if {\n\tz := x + y * 2\n\tz > 1\n} else := -1.5e3 if x == null\n\nr[k].s := v if {\n\tsome k\n\tv := input[k]\n\tevery w in v { w != `raw` }\n}\n',
  'package c\n\n# METADATA\n# title: t\np := $"a {input.x} b {count([1 | true])}" if {\n\tx := {y: z | z := data.t[y][_]; y in ["a"]}\n\tx.a with input as {"x": 1} with data.t as {}\n}\n\nq := [a, b] if { a = b; b = {"k": [1, {2}]}["k"] }\n',
  'package d\n\nimport rego.v1\n\nallow if {\n\tcount(deny) == 0\n\tinput.user in data.users\n}\n\ndeny contains sprintf("%s %d", [x, 3 % 2]) if {\n\tx := input.list[_]\n\tstartswith(x, "a/") == true\n}\n',
]
const PIECES = [
  '{',
  '}',
  '[',
  ']',
  '(',
  ')',
  ':=',
  '=',
  '==',
  ' if ',
  ' else ',
  ' contains ',
  ' some ',
  ' in ',
  ' every ',
  ' not ',
  ' with ',
  ' as ',
  ' default ',
  '"',
  '`',
  '$"',
  '|',
  '&',
  ',',
  ';',
  '\n',
  '.',
  '_',
  'input',
  'data',
  'x',
  '0',
  '1e',
  '-',
  '#',
  '\\',
  '\u0000',
  '\ud800',
  '💥',
  ' and ',
  ' or ',
]

export function pick<T>(next: () => number, list: readonly T[]): T {
  const found = list[Math.floor(next() * list.length)]
  if (found === undefined) throw new RangeError('nothing to pick from')
  return found
}

export function mutated(next: () => number): string {
  return edited(next, pick(next, SEEDS), pick(next, SEEDS))
}

/** A text with up to eight edits: pieces put in, cut out or doubled, and the end of another text in place of its own. */
export function edited(next: () => number, source: string, other: string): string {
  let text = source
  const edits = 1 + Math.floor(next() * 8)
  for (let i = 0; i < edits; i++) {
    const at = Math.floor(next() * text.length)
    const length = Math.floor(next() * 12)
    const what = next()
    if (what < 0.35) text = text.slice(0, at) + pick(next, PIECES) + text.slice(at)
    else if (what < 0.6) text = text.slice(0, at) + text.slice(at + length)
    else if (what < 0.8) text = text.slice(0, at) + text.slice(at, at + length * 3) + text.slice(at)
    else text = text.slice(0, at) + other.slice(Math.floor(next() * 60))
  }
  return text
}

/** A program that is mostly well-formed: rules over a handful of names, so that checks and planning are reached. */
export function program(next: () => number): string {
  const names = ['p', 'q', 'r', 's', 't']
  const vars = ['a', 'b', 'c', 'k']
  const term = (depth: number): string => {
    const kind = Math.floor(next() * (depth > 2 ? 6 : 14))
    switch (kind) {
      case 0:
        return String(Math.floor(next() * 10) - 3)
      case 1:
        return JSON.stringify(pick(next, ['', 'x', 'a.b', 'ü']))
      case 2:
      case 3:
        return pick(next, vars)
      case 4:
        return `input.${pick(next, vars)}`
      case 5:
        return pick(next, [
          'true',
          'null',
          '1.5',
          '_',
          `data.f.${pick(next, names)}`,
          pick(next, names),
        ])
      case 6:
        return `[${term(depth + 1)}, ${term(depth + 1)}]`
      case 7:
        return `{${term(depth + 1)}: ${term(depth + 1)}}`
      case 8:
        return `{${term(depth + 1)}, ${term(depth + 1)}}`
      case 9:
        return `[${term(depth + 1)} | ${expr(depth + 1)}]`
      case 10:
        return `{${term(depth + 1)} | ${expr(depth + 1)}; ${expr(depth + 1)}}`
      case 11:
        return `${pick(next, ['count', 'sum', 'f', 'upper', 'is_null', 'walk', 'object.keys'])}(${term(depth + 1)})`
      case 12:
        return `${pick(next, ['input', 'data', 'p', 'a'])}[${term(depth + 1)}]`
      default:
        return `(${term(depth + 1)} ${pick(next, ['+', '-', '*', '/', '%', '|', '&', '==', '<', 'in'])} ${term(depth + 1)})`
    }
  }
  const expr = (depth: number): string => {
    const kind = Math.floor(next() * 9)
    switch (kind) {
      case 0:
        return `${pick(next, vars)} := ${term(depth)}`
      case 1:
        return `${term(depth)} = ${term(depth)}`
      case 2:
        return `some ${pick(next, vars)} in ${term(depth)}`
      case 3:
        return `not ${term(depth)}`
      case 4:
        return `every ${pick(next, vars)} in ${term(depth)} { ${expr(depth + 1)} }`
      case 5:
        return `${term(depth)} with ${pick(next, ['input', 'input.a', 'data.f.p', 'count', 'data.x.y'])} as ${term(depth)}`
      case 6:
        return `some ${pick(next, vars)}`
      default:
        return term(depth)
    }
  }
  const body = () =>
    `{ ${Array.from({ length: 1 + Math.floor(next() * 3) }, () => expr(0)).join('; ')} }`
  const rule = (): string => {
    const name = pick(next, names)
    switch (Math.floor(next() * 7)) {
      case 0:
        return `${name} if ${body()}`
      case 1:
        return `${name} := ${term(0)} if ${body()}`
      case 2:
        return `${name} contains ${term(0)} if ${body()}`
      case 3:
        return `${name}[${pick(next, vars)}] := ${term(0)} if ${body()}`
      case 4:
        return `f(${pick(next, vars)}) := ${term(0)} if ${body()}`
      case 5:
        return `default ${name} := ${Math.floor(next() * 3)}`
      default:
        return `${name} := ${term(0)} if ${body()} else := ${term(0)}`
    }
  }
  return `package f\n\n${Array.from({ length: 1 + Math.floor(next() * 4) }, rule).join('\n\n')}\n`
}

export interface FuzzReport {
  readonly parsed: number
  readonly modules: number
  readonly failures: string[]
  readonly slowestMs: number
}

export function fuzz(inputs: number, programs: number, seed: number): FuzzReport {
  const next = random(seed)
  const failures: string[] = []
  let parsed = 0
  let modules = 0
  let slowestMs = 0
  const timed = (text: string, run: () => void) => {
    const begin = performance.now()
    try {
      run()
    } catch (error) {
      failures.push(
        `${error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join(' ') : String(error)}\n${text}`,
      )
    }
    slowestMs = Math.max(slowestMs, performance.now() - begin)
  }
  for (let i = 0; i < inputs; i++) {
    const text = mutated(next)
    timed(text, () => {
      if (parse(text, { experimental: i % 3 === 0, v0: i % 5 === 0 }).ok) parsed++
    })
  }
  for (let i = 0; i < programs; i++) {
    const text = i % 4 === 0 ? mutated(next) : program(next)
    timed(text, () => {
      const result = compile({ modules: { 'f.rego': text }, entrypoints: [], query: 'x = data' })
      if (!result.ok) return
      modules++
      if (!WebAssembly.validate(result.wasm)) failures.push(`invalid module\n${text}`)
    })
  }
  return { parsed, modules, failures, slowestMs }
}

if (process.argv[1] === import.meta.filename) {
  const [inputs = '100000', programs = '10000', seed = '1'] = process.argv.slice(2)
  const report = fuzz(Number(inputs), Number(programs), Number(seed))
  console.log(
    `${inputs} inputs, ${report.parsed} parsed; ${programs} programs, ${report.modules} modules; slowest ${report.slowestMs.toFixed(1)} ms`,
  )
  for (const failure of report.failures.slice(0, 10)) console.log(failure, '\n')
  console.log(`${report.failures.length} failures`)
  process.exitCode = report.failures.length > 0 ? 1 : 0
}
