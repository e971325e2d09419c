import { expect } from 'chai'
import fc from 'fast-check'
import { membersOf, replaced, scalarsOf, spansAt } from '../../src/lib/json-spans.ts'
import type { Json, JsonObject } from '../../src/model/json.ts'

const hidden = (text: string, pointers: readonly (readonly string[])[]) =>
  replaced(text, spansAt(text, pointers), () => '"x"')

/** The same on values, as slowly and plainly as can be. */
function expected(value: Json, pointers: readonly (readonly string[])[]): Json {
  if (pointers.some(({ length }) => length === 0)) return 'x'
  if (value === null || typeof value !== 'object') return value
  const below = (step: string) =>
    pointers.filter(([first]) => first === step || first === '*').map(([, ...rest]) => rest)
  if (Array.isArray(value)) {
    return value.map((one: Json, index) => expected(one, below(String(index))))
  }
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([name, one]) => [name, expected(one, below(name))]),
  )
}

describe('values inside JSON text', () => {
  it('are found wherever a pointer leads, whatever the text is like', () => {
    const step = fc.oneof(fc.constantFrom('*', '0', '1', '', 'a', '"', '\\'), fc.string())
    const pointers = fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 4 })
    const spaces = fc.constantFrom(0, 1, '\t')
    fc.assert(
      fc.property(fc.json(), pointers, spaces, (text, wanted, indent) => {
        const value = JSON.parse(text) as Json
        const spaced = JSON.stringify(value, null, indent)
        expect(JSON.parse(hidden(spaced, wanted))).to.deep.equal(expected(value, wanted))
      }),
      { numRuns: 2_000 },
    )
  })

  it('leave what is around them as it came: digits, order, spaces, members twice', () => {
    const text = ' {"n": 12345678901234567890, "a":1, "a" : {"b":[ 1.0 ]}, "\\u0062":2 } '
    expect(hidden(text, [['a']])).to.equal(
      ' {"n": 12345678901234567890, "a":"x", "a" : "x", "\\u0062":2 } ',
    )
    expect(hidden(text, [['a', 'b', '*'], ['b']])).to.equal(
      ' {"n": 12345678901234567890, "a":1, "a" : {"b":[ "x" ]}, "\\u0062":"x" } ',
    )
    expect(hidden(text, [['none'], ['a', 'b', '1']])).to.equal(text)
  })

  it('are found in texts of any depth', () => {
    const depth = 200_000
    const deep = `{"a":${'['.repeat(depth)}${']'.repeat(depth)},"b":"secret"}`
    expect(hidden(deep, [['b']]).endsWith('"b":"x"}')).to.equal(true)
    expect(hidden(deep, [['*', '*', '*']]).length).to.be.lessThan(deep.length)
  })

  it('scalars are strings and numbers, and which of them name members', () => {
    const text = '{"a" :"b\\"c", "d":[-1.5e3, true, null, "e"]}'
    const found = [...scalarsOf(text)].map(({ from, to, isName }) => [text.slice(from, to), isName])
    expect(found).to.deep.equal([
      ['"a"', true],
      ['"b\\"c"', false],
      ['"d"', true],
      ['-1.5e3', false],
      ['"e"', false],
    ])
  })

  it('lists members and elements as they stand, whatever they are called', () => {
    const text = ' { "*" : 1, "10": "}", "a\\"b" :{"x":[1 , 2]}, "2":null }'
    expect([...membersOf(text)]).to.deep.equal([
      ['*', '1'],
      ['10', '"}"'],
      ['a"b', '{"x":[1 , 2]}'],
      ['2', 'null'],
    ])
    expect([...membersOf('[ 1e400, {"a":[ ]} ]')]).to.deep.equal([
      ['0', '1e400'],
      ['1', '{"a":[ ]}'],
    ])
    expect([...membersOf('{}'), ...membersOf('[ ]')]).to.deep.equal([])
  })
})
