import { expect } from 'chai'
import { compile, load, project, type Projection } from '../../src/rego/index.ts'

const shown = (reads: Projection): unknown =>
  reads === true ? true : Object.fromEntries([...reads].map(([key, inner]) => [key, shown(inner)]))

function readsOf(rules: string): unknown {
  const compiled = compile({ modules: { 'p.rego': `package p\n${rules}` }, entrypoints: ['p'] })
  if (!compiled.ok) throw new Error(compiled.diagnostics.map(({ message }) => message).join('\n'))
  return shown(compiled.reads)
}

const CASES: readonly [says: string, rules: string, reads: unknown][] = [
  ['members', 'a if input.user.name == input.owner', { user: { name: true }, owner: true }],
  ['a member and what is in it', 'a if { input.user.name; input.user }', { user: true }],
  ['nothing', 'a := 1', {}],
  ['a key that a rule works out', 'a if input.user[input.key]', { user: true, key: true }],
  ['all that is iterated', 'a if { some x in input.list; x.ok }', { list: true }],
  ['places of arrays', 'a if input.list[0].ok', { list: true }],
  ['all of it, as a value', 'a := count(input)', true],
  ['all of it, by a variable', 'a if { x := input; x.y }', true],
  ['all of it, by a key', 'a if input[data.k]', true],
  ['what an import names', 'import input.user as u\na if u.name', { user: { name: true } }],
  ['what is in a comprehension', 'a := [x | x := input.xs[_]]', { xs: true }],
  ['what is in an else', 'a := 1 if input.x else := 2 if input.y', { x: true, y: true }],
  ['what is in a head', 'a[input.k] := input.v', { k: true, v: true }],
  [
    'what surrounds what is replaced',
    'b if input.o.x\na if b with input.o.y as input.z',
    {
      o: { x: true, y: true },
      z: true,
    },
  ],
  [
    'not what is replaced whole',
    'b if input.x\na if b with input as {"x": input.y}',
    { x: true, y: true },
  ],
  ['what a function is given', 'f(x) := x.y\na := f(input.o)', { o: true }],
  ['a member called __proto__', 'a := input["__proto__"].x', { ['__proto__']: { x: true } }],
]

describe('what a policy reads of its input', () => {
  for (const [says, rules, reads] of CASES) {
    it(`is ${says}`, () => expect(readsOf(rules)).to.deep.equal(reads))
  }

  it('is all that an evaluation is given', () => {
    let looked = 0
    const input = {
      user: { name: 'ann' },
      get large() {
        looked++
        return 'x'
      },
    }
    const compiled = compile({
      modules: { 'p.rego': 'package p\na := input.user.name' },
      entrypoints: ['p/a'],
    })
    if (!compiled.ok) throw new Error('it compiles')
    expect(load(compiled).evaluate('p/a', input)).to.equal('ann')
    expect(looked).to.equal(0)
  })

  it('leaves values as they are where they are not what was expected', () => {
    const reads = new Map([['a', new Map([['b', true as const]])]])
    for (const a of ['text', 7, null, [1, { b: 2 }]]) {
      expect(JSON.stringify(project(reads, { a, c: 1 }))).to.equal(JSON.stringify({ a }))
    }
    expect(project(reads, 'text')).to.equal('text')
    expect(JSON.stringify(project(reads, { c: 1 }))).to.equal('{}')
    const hostile = JSON.parse('{"a":{"b":1,"__proto__":{"x":1}},"__proto__":{"y":1}}') as unknown
    expect(JSON.stringify(project(reads, hostile))).to.equal('{"a":{"b":1}}')
  })
})
