import { expect } from 'chai'
import { format } from '../../src/rego/index.ts'

function formatted(source: string): string {
  const result = format(source)
  if (!result.ok) throw new Error('refused')
  return result.text
}

describe('rego: format', () => {
  it('settles indentation, spaces and blank lines, and keeps comments', () => {
    const source =
      'package  a\n\n\n\nimport data.b\n\np   if {\n      input.x==1 # why\n  y:=[1 ,2,\n 3]\n   y[0]<2\n}\n'
    expect(formatted(source)).to.equal(
      'package a\n\nimport data.b\n\np if {\n\tinput.x == 1 # why\n\ty := [1, 2,\n\t\t3]\n\ty[0] < 2\n}\n',
    )
  })

  it('changes nothing the second time', () => {
    const source =
      'package a\n\np := $"a {input.x} {[1|true]}" if {x := `raw\n  text`;x!=-1}\n\nq[ x ]:=y if some x,y in {"k":1 , "l" : {2}}\n'
    const once = formatted(source)
    expect(formatted(once)).to.equal(once)
    expect(once).to.include('$"a {input.x} {[1|true]}"').and.include('`raw\n  text`')
  })

  it('answers with diagnostics when the text does not parse', () => {
    expect(format('package a\n\np if {').ok).to.equal(false)
  })
})
