import { expect } from 'chai'
import { createRequire } from 'node:module'
import {
  compile,
  type CompileOptions,
  EvalError,
  expressionsOf,
  eval as evaluate,
  load,
  parse,
  plan,
  printPolicy,
  renderDiagnostic,
} from '../../src/rego/index.ts'
import { fuzz } from './fuzz.ts'

function compiled(source: string, options: Partial<CompileOptions> = {}) {
  const result = compile({
    modules: { 'policy.rego': source },
    entrypoints: ['test/p'],
    ...options,
  })
  if (!result.ok)
    throw new Error(result.diagnostics.map(({ code, message }) => `${code}: ${message}`).join('\n'))
  return result
}

function valueOf(source: string, input?: unknown, data?: unknown): unknown {
  return load(compiled(`package test\n\n${source}`), { data }).evaluate('test/p', input)
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof EvalError) return error.code
    throw error
  }
  return 'none'
}

describe('rego: compile and load', () => {
  it('evaluates complete, set and object rules', () => {
    expect(
      valueOf(
        'p := {"a": q, "b": r, "c": s}\nq contains x if some x in [3, 1, 2]\nr[k] := v if some k, v in {"x": 1}\ns := 1 if false\nelse := 2',
      ),
    ).to.deep.equal({ a: [1, 2, 3], b: { x: 1 }, c: 2 })
  })

  it('keeps undefined apart from false', () => {
    expect(valueOf('p := input.x.y', {})).to.equal(undefined)
    expect(valueOf('p := input.x', { x: false })).to.equal(false)
    expect(valueOf('p if input.x == 1', { x: 2 })).to.equal(undefined)
  })

  it('computes with exact integers and decimals', () => {
    const policy = load(
      compiled(
        'package test\n\np := [0.1 + 0.2, 1 / 3, 9007199254740993 * 3, 12345678901234567890 + 1, 1.0, 7 % 3]',
      ),
    )
    expect(policy.evaluateText('test/p')).to.equal(
      '[0.3,0.33333333333333333334,27021597764222979,12345678901234567891,1.0,1]',
    )
  })

  it('finds constant keys in data of any size', () => {
    const data = {
      t: Object.fromEntries(
        Array.from({ length: 500 }, (_, i) => [`key ${i} ${'x'.repeat(i % 17)}`, i]),
      ),
    }
    for (const i of [0, 3, 16, 499])
      expect(valueOf(`p := data.t["key ${i} ${'x'.repeat(i % 17)}"]`, undefined, data)).to.equal(i)
    expect(valueOf('p := {1, 2, 3, 4, 5, 6, 7, 8, 9, 10.0, "ü"} & {10, "ü", 0}')).to.deep.equal([
      10,
      'ü',
    ])
  })

  it('stops a policy with exponential work within its budget', () => {
    const xs = JSON.stringify(Array.from({ length: 60 }, (_, i) => i))
    const source = `package test\n\nxs := ${xs}\np := count([1 | some a in xs; some b in xs; some c in xs; some d in xs; some e in xs; some f in xs; a + b + c + d + e + f == -1])`
    const policy = load(compiled(source, { budget: { steps: 1_000_000 } }))
    expect(codeOf(() => policy.evaluate('test/p'))).to.equal('rego_budget_exceeded')
    // The instance goes on working.
    expect(codeOf(() => policy.evaluate('test/p'))).to.equal('rego_budget_exceeded')
  })

  it('stops a builtin while it works, not when it has answered', () => {
    const source = 'package test\n\np := count(json.match_schema(input.xs, input.schema)[1])'
    const policy = load(compiled(source, { budget: { steps: 1_000_000 } }))
    const names = Array.from({ length: 3_000 }, (_, i) => `x${i}`)
    const asked = { xs: names.map((_, i) => i), schema: { items: { enum: names } } }
    // What it would say of each takes more memory than there is.
    expect(codeOf(() => policy.evaluate('test/p', asked))).to.equal('rego_budget_exceeded')
    expect(policy.evaluate('test/p', { ...asked, xs: [1, 2] })).to.equal(2)
  })

  it('charges for a regular expression what it compiles to, once in an evaluation', () => {
    const source = `package test

many := count([1 | some i in numbers.range(input.from, input.to); regex.match(sprintf("a{0,%d}b", [i]), "aab")])
same := count([1 | some i in numbers.range(1, 2000); regex.match("a{0,900}b", "aab")])
wide := count([1 | some i in numbers.range(1, 5000); regex.match(sprintf("(?i)[\\\\x{100}-\\\\x{ffff}]%d", [i]), "a")])
classes := count([1 | some i in numbers.range(1, 9000); regex.is_valid(sprintf("(?i)[\\\\pL\\\\pN\\\\pP]{3}(%d", [i]))])`
    const budget = { steps: 5_000_000 }
    const entrypoints = ['test/many', 'test/same', 'test/wide', 'test/classes']
    const built = compile({ modules: { 'test.rego': source }, entrypoints, budget })
    if (!built.ok) throw new Error(built.diagnostics[0]?.message)
    const policy = load(built)
    const costly = { from: 1, to: 990 }
    expect(codeOf(() => policy.evaluate('test/many', costly))).to.equal('rego_budget_exceeded')
    expect(codeOf(() => policy.evaluate('test/wide'))).to.equal('rego_budget_exceeded')
    expect(codeOf(() => policy.evaluate('test/classes'))).to.equal('rego_budget_exceeded')
    // Whether it was compiled before makes no difference.
    const few = { from: 991, to: 999 }
    expect(policy.evaluate('test/many', few)).to.equal(9)
    const first = policy.steps()
    expect(policy.evaluate('test/many', few)).to.equal(9)
    expect(policy.steps())
      .to.equal(first)
      .and.to.be.greaterThan(9 * 20_000)
    expect(policy.evaluate('test/same')).to.equal(2000)
    expect(policy.steps()).to.be.lessThan(1_500_000)
  })

  it('charges for a schema of GraphQL what checking it takes', () => {
    const source =
      'package test\n\np := count([1 | some i in numbers.range(1, input.n); graphql.is_valid("{a}", sprintf("type Query { a%d: Int }", [i]))])'
    const policy = load(compiled(source, { budget: { steps: 5_000_000 } }))
    expect(codeOf(() => policy.evaluate('test/p', { n: 5_000 }))).to.equal('rego_budget_exceeded')
    expect(policy.evaluate('test/p', { n: 100 })).to.equal(0)
    expect(policy.steps()).to.be.within(300_000, 500_000)
  })

  it('ends where a network is too large to be written out, instead of having no answer', () => {
    const policy = load(
      compiled('package test\n\ndefault p := 0\np := count(net.cidr_expand(input.net))'),
    )
    expect(policy.evaluate('test/p', { net: '10.0.0.0/24' })).to.equal(256)
    for (const net of ['10.0.0.0/12', '2001:db8::/32']) {
      expect(codeOf(() => policy.evaluate('test/p', { net }))).to.equal('rego_memory_exceeded')
    }
    expect(policy.evaluate('test/p', { net: 'none' })).to.equal(0)
  })

  it('costs the same steps for the same input', () => {
    const policy = load(compiled('package test\n\np contains x if { some x in input.xs; x > 2 }'))
    policy.evaluate('test/p', { xs: [1, 2, 3, 4] })
    const first = policy.steps()
    policy.evaluate('test/p', { xs: [1, 2, 3, 4] })
    expect(policy.steps()).to.equal(first)
  })

  it('tells what an evaluation took and reached, also when its instance gave way to a new one', () => {
    const source = `package test

p := count(all) > 0

all := [text | some i in numbers.range(1, input.n); text := sprintf("%d of %d, %100d", [i, input.n, i])]`
    const policy = load(compiled(source, { trace: 'values', budget: { steps: 1_000_000_000 } }))
    policy.evaluate('test/p', { n: 10 })
    const [few] = policy.trace()
    policy.resetTrace()
    const before = policy.memoryBytes()
    policy.evaluate('test/p', { n: 200_000 })
    expect(policy.memoryBytes(), 'a new instance').to.equal(before)
    expect(policy.steps()).to.be.greaterThan(200_000)
    expect(policy.trace()[0]).to.deep.equal(few)
    expect(policy.trace().map(({ held }) => held)).to.include(200_000)
    expect(policy.traceValues()).to.deep.include({ json: '200000' })
    policy.evaluate('test/p', { n: 10 })
    expect(policy.trace()[0]?.reached).to.equal(2)
    expect(policy.traceValues()).to.not.deep.include({ json: '200000' })
  })

  it('stops at its memory limit', () => {
    const policy = load(
      compiled('package test\n\np := count(numbers.range(1, 10000000))', {
        budget: { pages: 64, steps: 2_000_000_000 },
      }),
    )
    expect(codeOf(() => policy.evaluate('test/p'))).to.equal('rego_memory_exceeded')
  })

  it('reports conflicts and unknown entrypoints as typed errors', () => {
    const policy = load(compiled('package test\n\np := 1 if input.a\n\np := 2 if input.b'))
    expect(codeOf(() => policy.evaluate('test/p', { a: true, b: true }))).to.equal(
      'eval_conflict_error',
    )
    expect(codeOf(() => policy.evaluate('test/q'))).to.equal('rego_entrypoint_unknown')
  })

  it('makes builtin errors undefined, or an error where that is asked for', () => {
    expect(valueOf('p := 1 / input.n', { n: 0 })).to.equal(undefined)
    const strict = load(compiled('package test\n\np := 1 / input.n', { strictBuiltinErrors: true }))
    expect(codeOf(() => strict.evaluate('test/p', { n: 0 }))).to.equal('eval_builtin_error')
  })

  it('refuses what reaches outside unless the capabilities name it', () => {
    const source = 'package test\n\np := http.send({"method": "get", "url": "http://x"})'
    const result = compile({ modules: { 'policy.rego': source }, entrypoints: ['test/p'] })
    expect(result.ok ? [] : result.diagnostics.map(({ code }) => code)).to.deep.equal([
      'rego_capability_error',
    ])
    expect(
      compile({
        modules: { 'policy.rego': source },
        entrypoints: ['test/p'],
        capabilities: { allow: ['http.send'] },
      }).ok,
    ).to.equal(true)
  })

  it('refuses a declared function whose signature is none, and says so', () => {
    for (const signature of ['(array[any]) any', '(string', 'string', '(text) boolean']) {
      const result = compile({
        modules: { 'p.rego': 'package p\n\nq := f(["a"])\n' },
        entrypoints: ['p/q'],
        capabilities: { functions: { f: signature } },
      })
      expect(result.ok ? [] : result.diagnostics.map(({ code }) => code), signature).to.deep.equal([
        'rego_capability_error',
      ])
    }
  })

  it('calls functions that the embedder brings', () => {
    const source = 'package test\n\np := double(input.n)'
    const policy = load(
      compiled(source, { capabilities: { functions: { double: '(number) number' } } }),
      { builtins: { double: (n) => Number(n) * 2 } },
    )
    expect(policy.evaluate('test/p', { n: 21 })).to.equal(42)
  })

  it('replaces documents and functions with `with`', () => {
    expect(
      valueOf(
        'p := [a, b, c] if { a := q; b := q with data.roles as ["x"]; c := q with count as 7 }\nq := count(data.roles)',
        undefined,
        { roles: [1, 2] },
      ),
    ).to.deep.equal([2, 1, 7])
  })

  it('lists every diagnostic of a stage, in order, with a snippet', () => {
    const source = 'package test\n\np if x\n\nq if y > 1\n'
    const result = compile({ modules: { 'policy.rego': source }, entrypoints: [] })
    if (result.ok) throw new Error('accepted')
    expect(result.diagnostics.map(({ location }) => location.row)).to.deep.equal([3, 5])
    const [first] = result.diagnostics
    expect(first && renderDiagnostic(first, source)).to.include('3 | p if x\n  |      ^')
  })

  describe('references that rules share', () => {
    const value = (source: string, input: unknown, data: unknown = {}) =>
      valueOf(source, input, data)

    it('mean something else inside a `with`', () => {
      const source = `p contains 1 if input.k == 1
p contains [input.k] if input.k
p contains y if { y := input.k with input as {"k": 9} }
p contains {"data": y} if { y := data.d[input.k].v with data.d as {"1": {"v": 5}} }
p contains data.d[input.k].v
p contains {"with": data.d[input.k].v} if input.k
`
      const data = { d: { 1: { v: 'base' } } }
      expect(value(source, { k: 1 }, data)).to.deep.equal([
        1,
        9,
        'base',
        [1],
        { data: 5 },
        { with: 'base' },
      ])
      expect(value(source, {}, data)).to.deep.equal([9])
    })

    it('leave rules alone that do not have them', () => {
      const source = `p contains "a" if input.x.y == 1
p contains "b" if input.x.y == 2
p contains "c" if not input.x.y
p contains "d"
p contains "e" if count([1 | input.x.y]) == 0
`
      expect(value(source, {})).to.deep.equal(['c', 'd', 'e'])
      expect(value(source, { x: { y: 2 } })).to.deep.equal(['b', 'd'])
      expect(value(source, { x: { y: false } })).to.deep.equal(['c', 'd', 'e'])
    })
  })

  it('names file, row and builtin in errors of a strict build', () => {
    const build = (source: string) =>
      load(compiled(`package test\n\n${source}`, { strictBuiltinErrors: true }))
    const message = (source: string, input: unknown) => {
      try {
        return build(source).evaluate('test/p', input)
      } catch (error) {
        if (!(error instanceof EvalError)) throw error
        return `${error.code}: ${error.message}`
      }
    }
    expect(message('p := 1 / input.x', { x: 0 })).to.equal(
      'eval_builtin_error: policy.rego:3: div: illegal operand',
    )
    expect(message('p if {\n\tq\n}\n\nq if units.parse(input.x)', { x: '' })).to.match(
      /^eval_builtin_error: policy\.rego:7: units\.parse: no amount provided/,
    )
    expect(message('p := strings.any_suffix_match(input.x, {"a", "b"})', { x: ['c', 4] })).to.equal(
      'eval_type_error: policy.rego:3: strings.any_suffix_match: operand 1 must be array of strings but got array containing number',
    )
    expect(message('p := 1 / input.x', { x: 2 })).to.equal(0.5)
  })

  it('takes a function without arguments for a rule of one value', () => {
    expect(valueOf('p := f\n\nf() := 7')).to.equal(7)
    // It can be called where its type is not known before.
    expect(valueOf('p := f()\n\nf() := input.x', { x: 3 })).to.equal(3)
    expect(() => compiled('package test\n\np := f()\n\nf() := 7')).to.throw('undefined function')
  })

  it('warns of exactly what strict mode refuses', () => {
    const wrong: readonly (readonly [string, number])[] = [
      ['import data.unused\n\np := 1', 3],
      ['import input.a as b\n\np if data.b', 3],
      ['p if {\n\tx := 1\n\tinput.a\n}', 4],
      ['p := [1 |\n\tx := 2\n]', 4],
      ['p := f(1, 2)\n\nf(a, b) := a', 5],
    ]
    for (const [source, row] of wrong) {
      const modules = { 'policy.rego': `package test\n\n${source}` }
      const loose = compile({ modules, entrypoints: [] })
      const strict = compile({ modules, entrypoints: [], strict: true })
      if (!loose.ok || strict.ok) throw new Error(source)
      expect(loose.warnings, source).to.deep.equal(strict.diagnostics)
      expect(loose.warnings[0]?.location.row).to.equal(row)
    }
    const good = compiled('package test\n\nimport data.a\n\np := f(a.x, 1)\n\nf(x, _) := x')
    expect(good.warnings).to.deep.equal([])
    const old = { 'policy.rego': 'package test\n\np { any([true]) }' }
    const dropped = compile({ modules: old, entrypoints: [], v0: true })
    expect(dropped.ok && dropped.warnings[0]?.message).to.include('deprecated')
  })

  it('counts what held in a trace build', () => {
    const result = compiled('package test\n\np if {\n\tinput.a\n\tinput.b\n}', { trace: true })
    const policy = load(result)
    policy.evaluate('test/p', { a: true })
    const points = policy.trace().map((count, i) => ({ ...count, row: result.tracePoints[i]?.row }))
    expect(points).to.deep.include({ row: 4, reached: 1, held: 1, valued: 1 })
    expect(points).to.deep.include({ row: 5, reached: 1, held: 0, valued: 0 })
  })

  describe('a trace build with values', () => {
    const explained = (source: string, input?: unknown) => {
      const text = `package test\n\n${source}`
      const result = compiled(text, { trace: 'values' })
      const policy = load(result)
      policy.resetTrace()
      policy.evaluate('test/p', input)
      return expressionsOf(result, policy, { 'policy.rego': text })
    }
    const only = (source: string, input?: unknown) => explained(source, input)[0]

    const CASES: readonly (readonly [string, unknown, object])[] = [
      ['p if input.a > 1', { a: 2 }, { outcome: 'true', values: { 'input.a': 2 } }],
      ['p if input.a > 1', { a: 0 }, { outcome: 'false', values: { 'input.a': 0 } }],
      ['p if input.a > 1', {}, { outcome: 'undefined', missing: ['input.a'], values: {} }],
      ['p if input.a', { a: false }, { outcome: 'false', values: { 'input.a': false } }],
      ['p if not input.a', {}, { outcome: 'true', text: 'not input.a', missing: ['input.a'] }],
      ['p if not input.a', { a: 1 }, { outcome: 'false', values: { 'input.a': 1 } }],
      ['p if count(input.a) == 2', { a: [1] }, { values: { 'count(input.a)': 1, 'input.a': [1] } }],
      ['p if x := input.a', { a: 3 }, { values: { x: 3, 'input.a': 3 } }],
      ['p if some x in input.a', { a: [5, 6] }, { values: { x: 5, 'input.a': [5, 6] } }],
      ['p if input.a[_] == 6', { a: [5, 6] }, { outcome: 'true', values: { 'input.a': [5, 6] } }],
      ['p if input.a[i] == 6', { a: [5, 6] }, { values: { 'input.a[i]': 6, i: 1 } }],
      ['p if [x, 1] = input.a', { a: [2, 3] }, { outcome: 'false', values: { 'input.a': [2, 3] } }],
      ['p if input.a == 1 with input as {"a": 1}', { a: 2 }, { values: { 'input.a': 1 } }],
      ['p if every x in input.a { x > 1 }', { a: [2, 0] }, { outcome: 'false' }],
      ['p if q\n\nq := 7 if input.a', {}, { outcome: 'undefined', missing: ['q'] }],
    ]
    for (const [source, input, expected] of CASES) {
      it(`says what was in \`${source.split('\n')[0]}\` for ${JSON.stringify(input)}`, () => {
        expect(only(source, input)).to.deep.include(expected)
      })
    }

    it('keeps the values with which an expression held first', () => {
      const [, larger] = explained('p if {\n\tsome x in input.a\n\tx > 1\n\tx > 9\n}', {
        a: [1, 2, 3],
      })
      expect(larger).to.deep.include({ reached: 3, held: 2, values: { x: 2 }, outcome: 'true' })
    })

    it('names the rule each expression stands in, functions and other branches too', () => {
      const found = explained('p := 1 if input.a\nelse := 2 if f(3)\n\nf(x) if {\n\tx > 1\n}\n', {})
      expect(found.map(({ rule, row }) => [rule?.path, rule?.row, row])).to.deep.equal([
        ['data.test.p', 3, 3],
        ['data.test.p', 4, 4],
        ['data.test.f', 6, 7],
      ])
    })

    it('cuts long values and says which', () => {
      const one = only('p if input.a', { a: 'x'.repeat(500) })
      expect(one?.cut).to.deep.equal(['input.a'])
      expect(String(one?.values['input.a'])).to.have.length(200)
    })
  })

  describe('the rule index', () => {
    const names = Array.from({ length: 300 }, (_, i) => `n${i}`)
    const set = `package test\n\n${names.map((n) => `p contains "${n}" if input.name == "${n}"`).join('\n')}
p contains "any" if input.other
p contains "two" if { input.name == "n7"; input.other }
`
    it('answers as without it, and hardly grows with the number of rules', () => {
      const indexed = load(compiled(set))
      const plain = load(compiled(set, { trace: true }))
      for (const input of [
        { name: 'n7', other: 1 },
        { name: 'n299' },
        { name: 'x' },
        {},
        { name: 7 },
      ]) {
        expect(indexed.evaluate('test/p', input)).to.deep.equal(plain.evaluate('test/p', input))
      }
    })

    it('knows equal numbers, and other kinds apart', () => {
      const rules = ['1', '1.0', '"1"', 'true', 'null', '2'].map(
        (c, i) => `p contains ${i} if input.x == ${c}`,
      )
      const value = (x: unknown) => valueOf(rules.join('\n'), { x })
      expect(value(1)).to.deep.equal([0, 1])
      expect(value('1')).to.deep.equal([2])
      expect([value(true), value(null), value(2), value([1])]).to.deep.equal([[3], [4], [5], []])
    })

    it('serves functions, branches and defaults', () => {
      const source = `default p := "none"
p := f(input.k)
f("a") := 1
f("b") := 2
f("c") := g
f("d") := 4
g := "g1" if input.m == 1
else := "g2" if input.m == 2
else := "g3" if input.m == 3
else := "g4" if input.m == 4
else := "g5"
`
      const value = (k: string, m: number) => valueOf(source, { k, m })
      expect([value('a', 0), value('b', 0), value('x', 0)]).to.deep.equal([1, 2, 'none'])
      expect([value('c', 2), value('c', 4), value('c', 9)]).to.deep.equal(['g2', 'g4', 'g5'])
    })

    it('looks at the input that a `with` puts in place', () => {
      const source = `p := [a, b, c] if { a := q; b := q with input as {"k": "b"}; c := q with input.k as "c" }
q := 1 if input.k == "a"
q := 2 if input.k == "b"
q := 3 if input.k == "c"
q := 4 if input.k == "d"
`
      expect(valueOf(source, { k: 'a' })).to.deep.equal([1, 2, 3])
    })
  })

  it('answers a one-off query with bindings', () => {
    expect(evaluate({ query: 'x := 1 + 1; y = [x]' })).to.deep.equal({
      ok: true,
      solutions: [{ x: 2, y: [2] }],
    })
    expect(evaluate({ query: 'input.a + 1', input: { a: 2 } })).to.deep.equal({
      ok: true,
      solutions: [{ result: 3 }],
    })
  })

  it('prints the intermediate representation', () => {
    const planned = plan({
      modules: { 'a.rego': 'package test\n\np if input.x == 1' },
      entrypoints: ['test/p'],
    })
    expect(planned.ok ? printPolicy(planned.policy) : '').to.equal(
      [
        'plan test/p',
        '  block',
        '    Call func="g.data.test.p" args=[L0, L1] result=2',
        '    MakeObject target=3',
        '    ObjectInsert key="result" value=L2 object=3',
        '    ResultSetAdd value=3',
        'func g.data.test.p(L0, L1) memo',
        '  block',
        '    ResetLocal target=3',
        '    Dot source=L0 key="x" target=4',
        '    Equal a=L4 b={"kind":"number","text":"1"}',
        '    AssignVar source=true target=5',
        '    ReturnLocal source=5',
        '  block',
        '    IsDefined source=3',
        '    AssignVarOnce source=L3 target=2',
        '  block',
        '    IsDefined source=2',
        '    ReturnLocal source=2',
        '',
      ].join('\n'),
    )
  })

  it('parses both dialects', () => {
    expect(parse('package a\n\np { input.x }', { v0: true }).ok).to.equal(true)
    expect(parse('package a\n\np { input.x }').ok).to.equal(false)
  })

  it('loads in the npm SDK with nothing of ours', async () => {
    const require = createRequire(import.meta.url)
    const sdk = require('@open-policy-agent/opa-wasm') as {
      loadPolicy(
        wasm: Uint8Array,
      ): Promise<{ setData(data: unknown): void; evaluate(input: unknown): unknown }>
    }
    const { wasm } = compiled(
      'package test\n\np contains sprintf("%v is %d", [k, v]) if some k, v in object.union(data.x, input.x)',
    )
    const policy = await sdk.loadPolicy(wasm)
    policy.setData({ x: { a: 1 } })
    expect(policy.evaluate({ x: { b: 2 } })).to.deep.equal([{ result: ['a is 1', 'b is 2'] }])
  })

  it('answers mutated text with diagnostics or a module', function () {
    this.timeout(600_000)
    expect(fuzz(2000, 500, 7).failures).to.deep.equal([])
  })
})
