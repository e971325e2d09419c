import { expect } from 'chai'
import fc from 'fast-check'
import { microsFromJson, microsFromText, microsToText } from '../../src/lib/money.ts'

const MICROS_MAX = 9_000_000_000_000_000n

describe('money', () => {
  const amounts: [unknown, bigint][] = [
    ['0', 0n],
    ['12.50', 12_500_000n],
    ['0.000001', 1n],
    ['9000000000', MICROS_MAX],
    [0, 0n],
    [-0, 0n],
    [1, 1_000_000n],
    [0.1, 100_000n],
    [0.3, 300_000n],
    [1e-6, 1n],
    [9e-6, 9n],
    [1.1, 1_100_000n],
    [4.35, 4_350_000n],
    [123_456.789012, 123_456_789_012n],
  ]
  for (const [value, micros] of amounts) {
    it(`reads ${JSON.stringify(value)} as ${micros}`, () => {
      expect(microsFromJson(value)).to.equal(micros)
    })
  }

  const refused: unknown[] = [
    ...['', ' ', '-1', '+1', '1.', '.5', '01', '1e3', '1,5', '1_000', '0x10', 'NaN', 'Infinity'],
    ...[
      '0.0000001',
      '1.1234567',
      '9000000000.000001',
      '10000000000',
      '1'.repeat(40),
      '\u0661',
      '1 ',
    ],
    ...[NaN, Infinity, -Infinity, -1, -1e-6, 1e-7, 1.5e-6, 1e21, 1e10, 0.1 + 0.2, Number.MAX_VALUE],
    ...[null, undefined, true, [], {}, 1n],
  ]
  for (const value of refused) {
    it(`refuses ${typeof value === 'string' ? `'${value}'` : String(value)}`, () => {
      expect(microsFromJson(value)).to.equal(undefined)
    })
  }

  it('prints with two places at least and no zeros beyond', () => {
    expect(microsToText(0n)).to.equal('0.00')
    expect(microsToText(1n)).to.equal('0.000001')
    expect(microsToText(100_000_000n)).to.equal('100.00')
    expect(microsToText(1_230_000n)).to.equal('1.23')
    expect(microsToText(1_234_500n)).to.equal('1.2345')
    expect(microsToText(-1_500_000n)).to.equal('-1.50')
  })

  it('comes back from its own text, always', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MICROS_MAX }), (micros) => {
        expect(microsFromText(microsToText(micros))).to.equal(micros)
      }),
    )
  })

  it('reads every number of at most six decimals as the decimal it was written as', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e12 }),
        fc.integer({ min: 0, max: 6 }),
        (n, places) => {
          const text = (n / 10 ** places).toFixed(places)
          expect(microsFromJson(Number(text))).to.equal(microsFromText(text))
        },
      ),
    )
  })
})
