import { expect } from 'chai'
import { createRequire } from 'node:module'
import {
  compile,
  type CompileOptions,
  EvalError,
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
    const begin = performance.now()
    expect(codeOf(() => policy.evaluate('test/p'))).to.equal('rego_budget_exceeded')
    expect(performance.now() - begin).to.be.lessThan(2000)
    // The instance goes on working.
    expect(codeOf(() => policy.evaluate('test/p'))).to.equal('rego_budget_exceeded')
  })

  it('costs the same steps for the same input', () => {
    const policy = load(compiled('package test\n\np contains x if { some x in input.xs; x > 2 }'))
    policy.evaluate('test/p', { xs: [1, 2, 3, 4] })
    const first = policy.steps()
    policy.evaluate('test/p', { xs: [1, 2, 3, 4] })
    expect(policy.steps()).to.equal(first)
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

  it('counts what held in a trace build', () => {
    const result = compiled('package test\n\np if {\n\tinput.a\n\tinput.b\n}', { trace: true })
    const policy = load(result)
    policy.evaluate('test/p', { a: true })
    const points = policy.trace().map((count, i) => ({ ...count, row: result.tracePoints[i]?.row }))
    expect(points).to.deep.include({ row: 4, reached: 1, held: 1 })
    expect(points.find(({ row }) => row === 5)?.held).to.equal(0)
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
    this.timeout(60_000)
    const { failures, slowestMs } = fuzz(2000, 500, 7)
    expect(failures).to.deep.equal([])
    expect(slowestMs).to.be.lessThan(2000)
  })
})
