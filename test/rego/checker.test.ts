import { expect } from 'chai'
import { compile } from '../../src/rego/index.ts'

interface Row {
  readonly stage: string
  readonly source: string
  readonly strict?: true
  /** `code row: message` of all that is found. */
  readonly found: readonly string[]
}

// One program a stage of the checker, in their order, that goes wrong there and nowhere before.
const TABLE: readonly Row[] = [
  {
    stage: 'arguments: names of roots may not be shadowed',
    source: 'f(input) := 1\n\nr := f(2)',
    found: ['rego_compile_error 3: args must not shadow input (use a different variable name)'],
  },
  {
    stage: 'keywords: strict mode wants no deprecated builtins',
    source: 'r := any([true])',
    strict: true,
    found: ['rego_type_error 3: deprecated built-in function calls in expression: any'],
  },
  {
    stage: 'names: an import nobody uses is an error in strict mode',
    source: 'import data.q\n\nr := 1',
    strict: true,
    found: ['rego_compile_error 3: import data.q unused'],
  },
  {
    stage: 'names: a variable is declared once',
    source: 'r if {\n\tx := 1\n\tx := 2\n\tx == 1\n}',
    found: ['rego_compile_error 5: var x assigned above'],
  },
  {
    stage: 'rewrites: a declared variable has to be used in strict mode',
    source: 'r if {\n\tx := 1\n}',
    strict: true,
    found: ['rego_compile_error 4: assigned var x unused'],
  },
  {
    stage: 'conflicts: one name, one kind of rule',
    source: 'r := 1\n\nr contains 2',
    found: ['rego_type_error 3: conflicting rules data.p.r found'],
  },
  {
    stage: 'conflicts: one default at most',
    source: 'default r := 1\n\ndefault r := 2',
    found: ['rego_type_error 1: multiple default rules data.p.r found at gen.rego:3, gen.rego:5'],
  },
  {
    stage: 'functions: what is called is there',
    source: 'r := nobody(1)',
    found: ['rego_type_error 3: undefined function nobody'],
  },
  {
    stage: 'safety of heads: what a head gives has a value',
    source: 'r contains x',
    found: ['rego_unsafe_var_error 3: var x is unsafe'],
  },
  {
    stage: 'safety of bodies: what is negated binds nothing',
    source: 'r if not input.xs[i] == i',
    found: ['rego_unsafe_var_error 3: var i is unsafe'],
  },
  {
    stage: 'recursion: no rule needs itself',
    source: 'r if q\n\nq if r',
    found: [
      'rego_recursion_error 3: rule data.p.r is recursive: data.p.r -> data.p.q -> data.p.r',
      'rego_recursion_error 5: rule data.p.q is recursive: data.p.q -> data.p.r -> data.p.q',
    ],
  },
  {
    stage: 'recursion: a name that is put together may be any',
    source: 'x := "q"\n\nr := data.p[$"{x}"]\n\nq := r',
    found: [
      'rego_recursion_error 5: rule data.p.r is recursive: data.p.r -> data.p.r',
      'rego_recursion_error 7: rule data.p.q is recursive: data.p.q -> data.p.r -> data.p.q',
    ],
  },
  {
    stage: 'types: what a builtin is given fits',
    source: 'r := count(1)',
    found: ['rego_type_error 3: count: invalid argument(s)'],
  },
]

describe('rego: the stages of the checker', () => {
  for (const { stage, source, strict, found } of TABLE) {
    it(stage, () => {
      expect(findings(source, strict)).to.deep.equal(found)
    })
  }

  it('point at the variable that is unsafe, not at all of its expression', () => {
    const source = 'package p\n\nr if count([1 | inptu.x[_] == 2]) > 1\n\nq if inptu.x == 1'
    const compiled = compile({ modules: { 'a.rego': source }, entrypoints: [] })
    const found = compiled.ok ? [] : compiled.diagnostics
    const places = found.map(({ location: { row, col, length } }) => [row, col, length])
    expect(places).to.deep.equal([
      [3, 17, 5],
      [3, 25, 1],
      [5, 6, 5],
    ])
  })

  it('end with the first that finds something: what follows from it is not reported', () => {
    const wrong = 'r := nobody(1)\n\nq := count(1)\n\ns contains x'
    expect(findings(wrong)).to.deep.equal(['rego_type_error 3: undefined function nobody'])
  })
})

function findings(source: string, strict = false): readonly string[] {
  const modules = { 'gen.rego': `package p\n\n${source}\n` }
  const result = compile({ modules, entrypoints: ['p/r'], strict })
  if (result.ok) return []
  return result.diagnostics.map(
    ({ code, message, location }) => `${code} ${location.row}: ${message.split('\n', 1)[0]}`,
  )
}
