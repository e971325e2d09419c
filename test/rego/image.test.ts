import { expect } from 'chai'
import { compile, load } from '../../src/rego/index.ts'

const POLICY = `package p

x contains row.name if some row in data.rows
big := count(data.rows)
`

describe('rego: documents as an image', () => {
  it('are taken over by another instance, which answers the same, also after it was replaced', () => {
    const compiled = compile({
      modules: { 'p.rego': POLICY, 'q.rego': 'package q\n\nlong := numbers.range(1, input.n)\n' },
      entrypoints: ['p', 'q'],
    })
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.diagnostics))
    const rows = Array.from({ length: 5_000 }, (_, n) => ({ name: `n${n}`, tags: [n, null, {}] }))
    const first = load(compiled, { data: { rows } })
    const image = first.dataImage()
    expect(image.bytes.buffer).to.be.instanceOf(SharedArrayBuffer)
    const want = first.evaluate('p')
    first.close()
    const second = load(compiled, { image })
    expect(second.evaluate('p')).to.deep.equal(want)
    // So much memory that the instance gives way to a new one.
    expect((second.evaluate('q', { n: 1_500_000 }) as { long: number[] }).long.length).to.equal(
      1_500_000,
    )
    expect(second.evaluate('p')).to.deep.equal(want)
    expect(() => second.setData({})).to.throw('image')
  })

  it('are refused by a module they are not from', () => {
    const of = (text: string, data: unknown) => {
      const compiled = compile({
        modules: { 'a.rego': `package a\n\nx := ${text}\n` },
        entrypoints: ['a'],
      })
      if (!compiled.ok) throw new Error('does not compile')
      return { compiled, loaded: load(compiled, { data }) }
    }
    const image = of('1', { a: 1 }).loaded.dataImage()
    const other = of(`["${'long'.repeat(5_000)}"]`, {})
    expect(() => load(other.compiled, { image })).to.throw('image of another module')
  })
})
