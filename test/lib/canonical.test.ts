import { expect } from 'chai'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { canonicalJson, digest, sha256 } from '../../src/lib/canonical.ts'
import { entryHash, GENESIS_HASH } from '../../src/lib/chain.ts'
import type { Json } from '../../src/model/json.ts'

describe('canonical JSON', () => {
  it('gives the text of the example in RFC 8785, section 3.2.2', () => {
    const input = JSON.parse(String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`) as Json
    expect(canonicalJson(input)).to.equal(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  it('sorts keys by UTF-16 code units, as in section 3.2.3', () => {
    const input = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      1: 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    expect(Object.keys(JSON.parse(canonicalJson(input)) as object)).to.deep.equal([
      ...['1', '\r', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33'],
    ])
    const order = [...canonicalJson(input).matchAll(/"([^"]+)":/g)].map(([, key]) => key)
    expect(order).to.deep.equal([
      '\\r',
      '1',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\ud83d\ude00',
      '\ufb33',
    ])
  })

  it('prints numbers as appendix B says', () => {
    // IEEE 754 bits and text, from the appendix.
    const samples: [string, string][] = [
      ['0000000000000000', '0'],
      ['8000000000000000', '0'],
      ['0000000000000001', '5e-324'],
      ['8000000000000001', '-5e-324'],
      ['7fefffffffffffff', '1.7976931348623157e+308'],
      ['ffefffffffffffff', '-1.7976931348623157e+308'],
      ['4340000000000000', '9007199254740992'],
      ['c340000000000000', '-9007199254740992'],
      ['4430000000000000', '295147905179352830000'],
      ['44b52d02c7e14af5', '9.999999999999997e+22'],
      ['44b52d02c7e14af6', '1e+23'],
      ['44b52d02c7e14af7', '1.0000000000000001e+23'],
      ['444b1ae4d6e2ef4e', '999999999999999700000'],
      ['444b1ae4d6e2ef4f', '999999999999999900000'],
      ['444b1ae4d6e2ef50', '1e+21'],
      ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
      ['3eb0c6f7a0b5ed8d', '0.000001'],
      ['41b3de4355555553', '333333333.3333332'],
      ['41b3de4355555554', '333333333.33333325'],
      ['41b3de4355555555', '333333333.3333333'],
      ['41b3de4355555556', '333333333.3333334'],
      ['41b3de4355555557', '333333333.33333343'],
      ['becbf647612f3696', '-0.0000033333333333333333'],
      ['43143ff3c1cb0959', '1424953923781206.2'],
    ]
    for (const [bits, text] of samples) {
      expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).to.equal(text)
    }
  })

  it('refuses what JSON cannot hold', () => {
    for (const value of [NaN, Infinity, -Infinity, '\ud800', { '\udc00': 1 }, ['\ude00\ud83d']]) {
      expect(() => canonicalJson(value)).to.throw(RangeError)
    }
  })

  it('is the same for equal values in whatever order, and parses back to them', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = value as Json
        const text = canonicalJson(json)
        expect(canonicalJson(JSON.parse(text) as Json)).to.equal(text)
        expect(canonicalJson(reversed(json))).to.equal(text)
        expect(JSON.stringify(JSON.parse(text))).to.equal(JSON.stringify(JSON.parse(text)))
      }),
    )
  })

  it('keeps __proto__ and its like as data', () => {
    const value = JSON.parse('{"constructor":1,"__proto__":{"a":2}}') as Json
    expect(canonicalJson(value)).to.equal('{"__proto__":{"a":2},"constructor":1}')
  })

  it('has digests over the canonical bytes in UTF-8', () => {
    const bytes = '{"a":"\u00e9","b":1}'
    expect(digest({ b: 1, a: '\u00e9' })).to.equal(
      createHash('sha256').update(Buffer.from(bytes, 'utf8')).digest('hex'),
    )
    expect(digest({ n: '\u00e9' })).to.not.equal(digest({ n: 'e\u0301' }))
  })
})

describe('the chain', () => {
  it('hashes the previous hash, a newline and the body', () => {
    expect(GENESIS_HASH).to.equal('0'.repeat(64))
    expect(entryHash(GENESIS_HASH, '{}')).to.equal(sha256(`${GENESIS_HASH}\n{}`))
    expect(entryHash(GENESIS_HASH, 'a')).to.not.equal(entryHash(sha256('x'), 'a'))
  })
})

/** The same value with its keys in the opposite order. */
function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map((item) => reversed(item as Json))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item as Json)]),
  )
}
