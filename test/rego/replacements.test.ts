import { expect } from 'chai'
import { compile, load } from '../../src/rego/index.ts'

function answer(source: string, entrypoint: string, data: unknown = {}): unknown {
  const compiled = compile({ modules: { 'p.rego': source }, entrypoints: [entrypoint] })
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics))
  const policy = load(compiled, { data })
  const value = policy.evaluate(entrypoint, {})
  policy.close()
  return value
}

/** A policy of many rules and tests, each of which replaces something that only one rule reads. */
function tested(tests: number): string {
  const rules = Array.from({ length: 100 }, (_, i) => `r${i + 1} if r${i}`)
  const replaced = Array.from(
    { length: tests },
    (_, i) => `t${i} if { r100; s with data.p.k as ${i} with data.p.f as g${i} }\ng${i}(_) := ${i}`,
  )
  const all = replaced.map((_, i) => `all if t${i}`)
  return ['package p', 'r0 := true', 'k := 1', 's if { r100; k >= 0; f(1) >= 0 }', 'f(x) := x']
    .concat(rules, replaced, all)
    .join('\n')
}

describe('rego: what a with replaces', () => {
  it('is compiled again only where it can be seen', () => {
    const size = (tests: number): number => {
      const source = tested(tests)
      const compiled = compile({ modules: { 'p.rego': source }, entrypoints: ['p/all'] })
      return compiled.ok ? compiled.wasm.length : Number.NaN
    }
    // Forty more tests would compile a hundred rules forty times more, each of some fifty bytes.
    expect(size(60) - size(20)).to.be.lessThan(40 * 100 * 10)
    expect(answer(tested(60), 'p/all')).to.equal(true)
  })

  it('is seen through rules, functions, documents and what stands in for a function', () => {
    const source = `package p
import data.lib

limit := 10
double(x) := x * 2
base := limit + 1
far := double(base)
fake(x) := x + limit
deep := {"far": data.p.far, "all": count(data.p.inner)}
inner.a := limit
inner.b := far
table[k] := limit if some k in ["x", "y"]
dynamic := table["x"]
key := "limit"
sub.limit := limit
open := data.p.sub[key]
comprehended := [y | y := far; every z in [1] { z < limit }]
nested := x if x := far with limit as 3
renamed := x if x := far with double as fake
answers["plain"] := x if x := far
answers["limit"] := x if x := far with data.p.limit as 1
answers["deep"] := x if x := deep with data.p.limit as 1
answers["function"] := x if x := far with data.p.double as fake
answers["value"] := x if x := far with data.p.double as 5
answers["both"] := x if x := far with data.p.double as fake with data.p.limit as 1
answers["fake only"] := x if x := fake(1) with data.p.limit as 2
answers["through fake"] := x if x := far with data.p.base as 100 with double as fake with limit as 7
answers["dynamic"] := x if x := dynamic with data.p.limit as 1
answers["open"] := x if x := open with data.p.limit as 1
answers["inner"] := x if x := data.p.inner with data.p.limit as 1
answers["part"] := x if x := data.p.inner with data.p.inner.a as "a"
answers["comprehended"] := x if x := comprehended with data.p.limit as 2
answers["nested"] := x if x := nested with data.p.double as fake
answers["renamed"] := x if x := renamed with data.p.limit as 1
answers["builtin"] := x if x := deep with count as 9
answers["again"] := x if x := far
`
    expect(answer(source, 'p/answers')).to.deep.equal({
      plain: 22,
      limit: 4,
      deep: { far: 4, all: 2 },
      function: 21,
      value: 5,
      both: 3,
      'fake only': 3,
      'through fake': 107,
      dynamic: 1,
      open: 1,
      inner: { a: 1, b: 4 },
      part: { a: 'a', b: 22 },
      comprehended: [6],
      nested: 7,
      renamed: 3,
      builtin: { far: 22, all: 9 },
      again: 22,
    })
  })
})
