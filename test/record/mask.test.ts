import { expect } from 'chai'
import fc from 'fast-check'
import { MaskedValues, RecordMask } from '../../src/record/mask.ts'

const MASK = new RecordMask('a secret of the tests')
const hiding = (...values: readonly (string | number | boolean | object)[]) => {
  const masked = new MaskedValues(MASK)
  masked.hide({ values: values as never }, [['values', '*']])
  return masked
}
const digest = (value: string | number) => MASK.digest(value)

describe('masked values', () => {
  it('have a digest that depends on the value and the secret, not on the order of members', () => {
    const other = new RecordMask('another secret')
    expect(digest('a')).to.match(/^masked:[0-9a-f]{32}$/)
    expect(digest('a')).to.equal(digest('a'))
    expect([digest('b'), other.digest('a'), digest(1)]).not.to.include(digest('a'))
    expect(MASK.digest('1')).not.to.equal(MASK.digest(1))
    const places = [['x']]
    const one = new MaskedValues(MASK).hide({ x: { a: 1, b: [2] } }, places)
    expect(new MaskedValues(MASK).hide({ x: { b: [2], a: 1 } }, places)).to.deep.equal(one)
  })

  it('are told apart to the last digit, where JavaScript would not', () => {
    const hide = (text: string) => new MaskedValues(MASK).hideIn(text, [['n']])
    const long = hide('{"n":12345678901234567890}')
    expect(long).not.to.equal(hide('{"n":12345678901234567891}'))
    expect(long).to.equal(hide('{"n":12345678901234567890}'))
  })

  it('are found in any case, as JSON and URLs spell them, and long ones within words', () => {
    const email = 'Zoë+x@Example.com'
    const masked = hiding(email)
    for (const [before, after] of [
      ['to ', '!'],
      ['x', 'x'],
      ['', ''],
    ] as const) {
      const spelt = [email, email.toUpperCase(), encodeURIComponent(email).toLowerCase()]
      for (const one of spelt) {
        expect(masked.data(`${before}${one}${after}`)).to.equal(`${before}${digest(email)}${after}`)
      }
    }
    const street = 'ΟΔΟΣ ΑΘΗΝΑΣ' // its last letter is folded by what comes after
    expect(hiding(street).data(`${street}x`)).to.equal(`${digest(street)}x`)
    const quoted = hiding('a "quoted" \\ one')
    const json = JSON.stringify({ a: JSON.stringify({ b: 'a "quoted" \\ one' }), c: 'd' })
    expect(JSON.parse(quoted.sweptIn(json))).to.deep.equal({
      a: `{"b":"${digest('a "quoted" \\ one')}"}`,
      c: 'd',
    })
    expect(hiding('long/enough').sweptIn('{"a":"long\\/enough"}')).to.equal(
      JSON.stringify({ a: digest('long/enough') }),
    )
  })

  it('short ones are found as words only, and the shortest in messages only', () => {
    const masked = hiding('123', 'ab', 'known')
    expect(masked.data('order 1234, code 123')).to.equal(`order 1234, code ${digest('123')}`)
    expect(masked.data('unknown known')).to.equal(`unknown ${digest('known')}`)
    expect(masked.data('ab')).to.equal('ab')
    expect(masked.prose('not ab')).to.equal(`not ${digest('ab')}`)
  })

  it('numbers are found as numbers and in texts; names of members are no values', () => {
    const masked = hiding(778899, { street: 'Elm Street 5' }, 12)
    expect(masked.swept({ street: 778899, n: 12, t: 'about 778899' })).to.deep.equal({
      street: digest(778899),
      n: 12,
      t: `about ${digest(778899)}`,
    })
  })

  it('leave nothing of two that overlap, and are not masked again', () => {
    const masked = hiding('abcdefgh-1234', 'xx-abcdefgh')
    expect(masked.data('xx-abcdefgh-1234')).not.to.match(/abcd|1234$/)
    const once = masked.swept({ a: 'xx-abcdefgh' })
    expect(masked.swept(once)).to.deep.equal(once)
  })

  it('one that looks like a digest is a value like any other', () => {
    const hide = (a: string) => new MaskedValues(MASK).hide({ a }, [['a']]).a
    expect(hide(hide('secret')))
      .to.match(/^masked:/)
      .and.not.equal(hide('secret'))
  })

  it('so many that looking for each takes too long leave no string behind', () => {
    const many = Array.from({ length: 5_000 }, (_, at) => `value number ${at}`)
    const masked = hiding(...many)
    const text = 'x'.repeat(40_000)
    const swept = masked.swept({ text, quoted: `${text}${many[7]}`, n: 1, ok: true })
    expect(swept).to.deep.equal({
      text: digest(text),
      quoted: digest(`${text}${many[7]}`),
      n: 1,
      ok: true,
    })
  })

  it('are never left in a text, whatever stands around them', () => {
    const value = fc.string({ unit: 'binary', minLength: 8, maxLength: 20 })
    fc.assert(
      fc.property(
        value,
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        (it, a, b) => {
          const masked = hiding(it)
          const spelt = masked.any && it !== '' ? it : 'nothing'
          expect(masked.data(`${a}${spelt}${b}`)).to.contain(digest(it))
          expect(JSON.stringify(masked.swept([`${a}${spelt}${b}`]))).to.contain(digest(it))
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
