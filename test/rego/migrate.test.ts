import { expect } from 'chai'
import { compile, load, migrate, parse } from '../../src/rego/index.ts'

const CASES: readonly [old: string, now: string][] = [
  ['p { input.a }', 'p if { input.a }'],
  ['p{input.a}', 'p if {input.a}'],
  ['p = 1 { input.a }', 'p = 1 if { input.a }'],
  ['p := {"a": 1} { input.a }', 'p := {"a": 1} if { input.a }'],
  ['p = {x | x := 1} { input.a }', 'p = {x | x := 1} if { input.a }'],
  ['p = input.a[0].b + -1 { input.a }', 'p = input.a[0].b + -1 if { input.a }'],
  ['p = {1} | {2} { input.a }', 'p = {1} | {2} if { input.a }'],
  ['p[x] { x := input.a }', 'p contains x if { x := input.a }'],
  ['p["a"] { input.a }', 'p contains "a" if { input.a }'],
  ['p[[1, 2]] { input.a }', 'p contains [1, 2] if { input.a }'],
  ['p[{"code": x}] { x := 1 }', 'p contains {"code": x} if { x := 1 }'],
  ['p["a"]', 'p contains "a"'],
  ['p[x] = 1 { x := input.a }', 'p[x] = 1 if { x := input.a }'],
  ['f(x) { x == 1 }', 'f(x) if { x == 1 }'],
  ['f({"a": x}) = y { y := x }', 'f({"a": x}) = y if { y := x }'],
  ['default p = false\n\np { input.a }', 'default p = false\n\np if { input.a }'],
  [
    'p { input.a } else = 2 { input.b } else { input.c }',
    'p if { input.a } else = 2 if { input.b } else if { input.c }',
  ],
  ['p[x] { x := 1 } { x := 2 }', 'p contains x if { x := 1 } \n\np contains x if { x := 2 }'],
  ['p { input.a }\n\n# why\nq = 1 # not\n', 'p if { input.a }\n\n# why\nq = 1 # not\n'],
  ['import future.keywords # all\nimport data.x\n\np { x }', '# all\nimport data.x\n\np if { x }'],
  ['import future.keywords.in\np { 1 in [1] }\nq { true }', 'p if { 1 in [1] }\nq if { true }'],
  [
    'import future.keywords\np if { 1 in [1] }\nq contains 1 if input.a\nr { true }',
    'p if { 1 in [1] }\nq contains 1 if input.a\nr if { true }',
  ],
]

const DECIDES = `package agent

import future.keywords.in

default allow = false

# Who may.
allow { input.role == "admin" } { input.role in {"ops", "dev"} }

deny[reason] {
  not allow
  reason := sprintf("%s may not", [input.role])
}

deny[{"code": "late"}] { hour > 18 }

hour = h { h := input.hour } else = 0 { true }

level(x) = "high" { x > 3 }
level(x) = "low" { x <= 3 }
names[role] = level(n) { n := input.levels[role] }
`

describe('Rego of the old dialect', () => {
  for (const [old, now] of CASES) {
    it(`\`${old.replaceAll('\n', ' ⏎ ')}\` becomes the new one`, () => {
      expect(parse(`package a\n\n${old}`, { v0: true }).ok).to.equal(true)
      expect(migrate(`package a\n\n${old}`)).to.deep.equal({
        ok: true,
        text: `package a\n\n${now}`,
      })
    })
  }

  it('means the same afterwards', () => {
    const migrated = migrate(DECIDES)
    if (!migrated.ok) throw new Error(JSON.stringify(migrated.diagnostics))
    const answers = (text: string, v0: boolean) => {
      const compiled = compile({ modules: { 'a.rego': text }, entrypoints: ['agent'], v0 })
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics))
      const loaded = load(compiled)
      return [
        { role: 'admin', hour: 20 },
        { role: 'dev', levels: { a: 1, b: 9 } },
        { role: 'x' },
      ].map((input) => loaded.evaluate('agent', input))
    }
    expect(answers(migrated.text, false)).to.deep.equal(answers(DECIDES, true))
    expect(migrated.text).to.include('# Who may.')
  })

  it('stays as it is when it is new already', () => {
    const text = 'package a\n\np contains x if some x in input.a\n'
    expect(migrate(text)).to.deep.equal({ ok: true, text })
  })

  it('says what is to be done by hand', () => {
    const found = migrate('package a\n\nif { input.a }\n')
    expect(found.ok).to.equal(false)
    expect(migrate('package a\n\np {').ok).to.equal(false)
  })
})
