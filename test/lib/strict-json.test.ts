import { expect } from 'chai'
import fc from 'fast-check'
import {
  parseStrictJson,
  StrictJsonError,
  type StrictJsonRules,
} from '../../src/lib/strict-json.ts'

describe('strict JSON', () => {
  it('reads whatever JSON.stringify writes, with the same value', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 8 }),
        fc.integer({ min: 0, max: 4 }),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent)
          if (hasUnsafeInteger(text)) return
          expect(parseStrictJson(text)).to.deep.equal(JSON.parse(text))
        },
      ),
    )
  })

  it('never accepts what JSON.parse refuses, whatever the bytes', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '1',
      '-',
      '.',
      'e',
      '\\',
      'u00',
      'true',
      ' ',
      'a',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        const mine = attempt(() => parseStrictJson(text))
        const theirs = attempt(() => JSON.parse(text) as unknown)
        if (mine.ok) expect(mine).to.deep.equal(theirs)
      }),
      { numRuns: 3_000 },
    )
  })

  const refused: [string, string, RegExp][] = [
    ['nothing', '', /unexpected end/],
    ['a duplicate key', '{"a":1,"a":1}', /duplicate key "a" at position 7/],
    ['a duplicate key, escaped', '{"ab":1,"a\\u0062":2}', /duplicate key/],
    ['a duplicate key in an array', '[{"a":{"x":1,"x":2}}]', /duplicate key "x"/],
    ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}', /duplicate key "__proto__"/],
    ['2^53', '9007199254740992', /integer beyond 2\^53/],
    ['-2^53', '-9007199254740992', /integer beyond 2\^53/],
    ['a large integer with a fraction of zero', '9007199254740993.0', /integer beyond/],
    ['a large integer as an exponent', '1e21', /integer beyond/],
    ['an overflow', '1e999', /number too large/],
    ['a lone high surrogate', '"\\ud800"', /lone surrogate/],
    ['a lone low surrogate as it is', '"\udc00"', /lone surrogate/],
    ['65 levels', '['.repeat(65), /nesting deeper than 64/],
    ['a control character', '"\u0001"', /control character/],
    ['a control character after an escape', '"\\n\u0001"', /control character/],
    ['an open string', '"abc', /unterminated string/],
    ['an open escape', '"\\', /unterminated|invalid/],
    ['an unknown escape', '"\\x41"', /invalid escape/],
    ['a short \\u', '"\\u12"', /invalid \\u escape/],
    ['a \\u with a sign', '"\\u+123"', /invalid \\u escape/],
    ['a leading zero', '01', /unexpected/],
    ['a plus', '+1', /unexpected/],
    ['a lone minus', '-', /unexpected/],
    ['hexadecimal', '0x1', /unexpected/],
    ['a bare word', 'nulll', /unexpected/],
    ['a form feed as space', '\f1', /unexpected/],
    ['a no-break space', '\u00a01', /unexpected/],
    ['a byte order mark', '\ufeff1', /unexpected/],
    ['a missing comma', '[1 2]', /expected/],
    ['a missing colon', '{"a" 1}', /expected/],
    ['a key without quotes', '{a:1}', /expected a string key/],
    ['a trailing comma in an object', '{"a":1,}', /expected a string key/],
  ]
  for (const [what, text, message] of refused) {
    it(`refuses ${what}`, () => {
      expect(() => parseStrictJson(text)).to.throw(StrictJsonError, message)
    })
  }

  it('takes 64 levels, safe integers, fractions and every escape', () => {
    expect(parseStrictJson('['.repeat(64) + ']'.repeat(64))).to.be.an('array')
    expect(parseStrictJson('9007199254740991')).to.equal(Number.MAX_SAFE_INTEGER)
    expect(parseStrictJson('1.5e-7')).to.equal(1.5e-7)
    expect(parseStrictJson('1e5')).to.equal(100_000)
    expect(parseStrictJson(String.raw`"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"`)).to.equal(
      '"\\/\b\f\n\r\tA\ud83d\ude00',
    )
  })

  it('keeps __proto__ as an own member', () => {
    const value = parseStrictJson('{"__proto__":{"polluted":true}}') as object
    expect(Object.keys(value)).to.deep.equal(['__proto__'])
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype)
  })

  it('says where a key stood first, however much came between and however it was written', () => {
    const text = '[0, {"x": {"ab": [1, {"c": 2}]}, "ab": 1, "y": 2, "a\\u0062": 3}]'
    const error = refusal(text)
    expect(error.duplicate).to.deep.equal({ key: 'ab', firstAt: text.indexOf('"ab": 1') })
    expect(text.slice(error.at, error.end)).to.equal('"a\\u0062"')
  })

  it('says what is wrong by a code and a place', () => {
    const where = (text: string) => {
      const { code, at, end } = refusal(text, { depthMax: 2, valuesMax: 4 })
      return [code, text.slice(at, end)]
    }
    expect(where('[1e999]')).to.deep.equal(['number', '1e999'])
    expect(where('["\\ud800"]')).to.deep.equal(['syntax', '"\\ud800"'])
    expect(where('[[[]]]')).to.deep.equal(['too_deep', '['])
    expect(where('[1,2,3,4]')).to.deep.equal(['too_many_values', '4'])
  })

  it('counts an object once, also when a key stands twice', () => {
    expect(refusal('{"a":1,"b":2,"a":3}', { valuesMax: 4 }).code).to.equal('duplicate_key')
  })

  it('tells where the entries of the outermost list stand, and of no other', () => {
    const text = '[ 1, [2, 3] , {"a": [4]}]'
    const entries: string[] = []
    parseStrictJson(text, { onEntry: (at, end) => entries.push(text.slice(at, end)) })
    expect(entries).to.deep.equal(['1', '[2, 3]', '{"a": [4]}'])
  })

  it('rounds fractions and reserves a key only when told so', () => {
    const pi = '3.14159265358979323846'
    expect(refusal(pi).code).to.equal('number')
    expect(parseStrictJson(pi, { fractions: 'rounded' })).to.equal(Math.PI)
    expect(refusal('9007199254740993.0', { fractions: 'rounded' }).code).to.equal('number')
    expect(refusal('{"a":1}', { reservedKey: 'a' }).problem).to.equal('key `a` is reserved')
  })

  it('reads a megabyte of anything without recursion into the stack', () => {
    expect(() => parseStrictJson('['.repeat(1 << 20))).to.throw(StrictJsonError)
    expect(() => parseStrictJson('{"a":'.repeat(1 << 17))).to.throw(StrictJsonError)
    expect(parseStrictJson(`"${'x'.repeat(1 << 20)}"`)).to.have.length(1 << 20)
  })
})

function refusal(text: string, rules?: StrictJsonRules): StrictJsonError {
  try {
    parseStrictJson(text, rules)
  } catch (error) {
    if (error instanceof StrictJsonError) return error
    throw error
  }
  throw new Error(`${text} was accepted`)
}

function attempt(work: () => unknown): { ok: boolean; value?: unknown } {
  try {
    return { ok: true, value: work() }
  } catch {
    return { ok: false }
  }
}

const hasUnsafeInteger = (text: string): boolean =>
  (text.match(/-?\d[\d.eE+-]*/g) ?? []).some(
    (number) => Number.isInteger(Number(number)) && !Number.isSafeInteger(Number(number)),
  )
