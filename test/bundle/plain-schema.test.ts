import { expect } from 'chai'
import { compileArgsSchema, schemaProblem } from '../../src/bundle/ajv.ts'
import { isPlainSchema } from '../../src/bundle/plain-schema.ts'
import type { Json, JsonObject } from '../../src/model/json.ts'

/** The same numbers in every run (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const VALUES: readonly Json[] = [
  ...[0, 1, -1, 2.5, '', 'a', '^a+$', '(?=x)', '(', 'email', 'uri', 'string', 'object', true],
  ...[false, null, [], ['a'], ['a', 'a'], [1, 2], [null, 'x'], ['string', 'null'], [{}], [[]], {}],
]
const KEYWORDS = [
  ...['type', 'enum', 'const', 'title', 'description', 'examples', 'minLength', 'maxLength'],
  ...['pattern', 'format', 'minimum', 'exclusiveMaximum', 'multipleOf', 'items', 'minItems'],
  ...['maxItems', 'uniqueItems', 'properties', 'required', 'additionalProperties', 'anyOf', 'not'],
  ...['allOf', 'oneOf', 'minProperties', '$ref', 'if', 'default', 'nullable', 'unknown'],
]

function schema(random: () => number, depth: number): JsonObject {
  const at = (of: readonly unknown[]): number => Math.floor(random() * of.length)
  const value = (): Json => {
    if (depth === 0 || random() < 0.5) return VALUES[at(VALUES)] ?? null
    const inner = schema(random, depth - 1)
    return random() < 0.3 ? [inner] : random() < 0.5 ? { a: inner } : inner
  }
  return Object.fromEntries(
    Array.from({ length: 1 + Math.floor(random() * 3) }, () => [
      KEYWORDS[at(KEYWORDS)] ?? 'type',
      value(),
    ]),
  )
}

describe('a plain schema', () => {
  it('compiles, whatever it is made of', () => {
    const random = numbers(20_261_127)
    let plain = 0
    for (let n = 0; n < 3_000; n++) {
      const one = schema(random, 2)
      if (!isPlainSchema(one) || schemaProblem(one) !== undefined) continue
      plain++
      expect(compileArgsSchema(one), JSON.stringify(one)).to.have.property('ok', true)
    }
    expect(plain).to.be.greaterThan(50)
  })

  it('is what tools have, nested and combined', () => {
    const address = {
      type: 'object',
      properties: { zip: { type: 'string', pattern: '^[0-9]{5}$' } },
    }
    const args = {
      id: { type: 'string', maxLength: 64 },
      to: { anyOf: [address, { type: 'null' }] },
    }
    expect(isPlainSchema({ type: 'object', properties: args, required: ['id'] })).to.equal(true)
  })

  it('says what the compiler says of any other', () => {
    expect(schemaProblem({ type: 'object', typo: 1 })).to.match(/typo/)
    expect(schemaProblem({ type: 'array', uniqueItems: true })).to.match(/maxItems/)
    expect(schemaProblem({ type: 'string', pattern: '(?=x)' })).to.match(/pattern/)
    expect(schemaProblem({ $ref: '#/$defs/a', $defs: { a: { type: 'string' } } })).to.equal(
      undefined,
    )
  })
})
