import { expect } from 'chai'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { format } from '../../src/rego/index.ts'
import { type Case, differs } from './opa-cases.ts'

const HERE = import.meta.dirname

function formatted(source: string, v0 = false): string {
  const result = format(source, { v0 })
  if (!result.ok) throw new Error(`refused: ${source}`)
  return result.text
}

interface Layout {
  readonly what: string
  readonly source: readonly string[]
  readonly want: readonly string[]
}

const layouts = JSON.parse(readFileSync(path.join(HERE, 'layouts.json'), 'utf8')) as Layout[]
const cases = readdirSync(path.join(HERE, 'cases')).flatMap(
  (file) => JSON.parse(readFileSync(path.join(HERE, 'cases', file), 'utf8')) as Case[],
)

/** A case whose modules are formatted first; those that are meant not to parse stay as they are. */
function tidied(one: Case): Case {
  const modules = Object.entries(one.modules).map(([file, source]) => {
    const result = format(source, { v0: one.v0 ?? false })
    return [file, result.ok ? result.text : source] as const
  })
  return { ...one, modules: Object.fromEntries(modules) }
}

describe('rego: format', () => {
  for (const { what, source, want } of layouts) {
    it(what, () => {
      const once = formatted(source.join('\n'))
      expect(once.split('\n')).to.deep.equal(want)
      expect(formatted(once)).to.equal(once)
    })
  }

  it('writes the old dialect in its own way', () => {
    const source =
      'package a\nimport future.keywords.in\np[x]{x=1;x in [1]}\nq=1{\n input.x}\nf(x)=x\n'
    expect(formatted(source, true)).to.equal(
      'package a\n\nimport future.keywords.in\n\np[x] {\n\tx = 1\n\tx in [1]\n}\n\n' +
        'q = 1 {\n\tinput.x\n}\n\nf(x) = x\n',
    )
  })

  it('keeps the operands of `and`, `or` and `not` apart', () => {
    const source = [
      'package a',
      'import future.keywords.or',
      'import future.keywords.and',
      'import future.keywords.not',
      'p if { (input.a and input.b) or ((input.c or input.d)) }',
      'q if { not ( input.a or input.b ) and {input.c; input.d} }',
      'r if input.a and',
      '  input.b',
      's := or({1}, {2})',
      '',
    ]
    expect(formatted(source.join('\n')).split('\n')).to.deep.equal([
      'package a',
      '',
      'import future.keywords.and',
      'import future.keywords.not',
      'import future.keywords.or',
      '',
      'p if input.a and input.b or (input.c or input.d)',
      'q if not (input.a or input.b) and { input.c; input.d }',
      'r if input.a and',
      '\tinput.b',
      '',
      's := {1} | {2}',
      '',
    ])
  })

  it('leaves the text alone where its layout would mean something else', () => {
    const source = 'package a\n\np if {\n\t"x", (2   in input) in {"x": true}\n}\n'
    expect(formatted(source)).to.equal(source)
  })

  it('changes nothing the second time', () => {
    for (const { modules, v0 = false } of cases) {
      for (const source of Object.values(modules)) {
        const once = format(source, { v0 })
        if (!once.ok) continue
        expect(formatted(once.text, v0)).to.equal(once.text)
      }
    }
  })

  it('changes no answer', function () {
    this.timeout(600_000)
    // Where a refusal stands and what a module's tree looks like may move with the layout.
    const settled = cases.filter(
      (one) =>
        one.want_row === undefined && !/parse_module|metadata/.test(JSON.stringify(one.modules)),
    )
    expect(settled.flatMap((one) => differs(tidied(one)) ?? [])).to.deep.equal([])
  })

  it('answers with diagnostics when the text does not parse', () => {
    expect(format('package a\n\np if {').ok).to.equal(false)
  })
})
