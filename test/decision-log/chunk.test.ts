import { expect } from 'chai'
import { gunzipSync } from 'node:zlib'
import { packed } from '../../src/decision-log/chunk.ts'
import { erased } from '../../src/decision-log/erase.ts'
import { masked } from '../../src/decision-log/rego-mask.ts'
import type { JsonObject } from '../../src/model/json.ts'

const unpacked = (bytes: Buffer) => JSON.parse(gunzipSync(bytes).toString('utf8')) as JsonObject[]
const random = (size: number) => Array.from({ length: size }, () => Math.random()).join(' ')

describe('a chunk of decision logs', () => {
  it('is the longest beginning that fits, in order', async () => {
    const events = Array.from({ length: 40 }, (_, n) => ({
      decision_id: `d-${n}`,
      input: random(10),
    }))
    for (const limit of [1_024, 2_048, 4_096]) {
      const { bytes, events: count } = await packed(events, limit)
      expect(bytes.length).to.be.at.most(limit)
      expect(unpacked(bytes)).to.deep.equal(events.slice(0, count))
    }
    expect((await packed(events, 1 << 20)).events).to.equal(40)
  })

  it('holds an event that is too large without its input, and then without its result', async () => {
    const event = { decision_id: 'd', input: random(300), result: { effect: 'deny' } }
    const [first] = unpacked((await packed([event, event], 1_024)).bytes)
    expect(first).to.deep.equal({
      decision_id: 'd',
      result: { effect: 'deny' },
      erased: ['/input'],
    })
    const large = { ...event, result: random(300) }
    const [second] = unpacked((await packed([large], 1_024)).bytes)
    expect(second).to.deep.equal({ decision_id: 'd', erased: ['/input', '/result'] })
  })
})

describe('what an event must not carry', () => {
  const event = {
    input: { user: { name: 'a', token: 't' }, list: [{ k: 1, s: 2 }, { s: 3 }], 'a/b': 'x' },
    result: true,
  }

  it('is erased by pointer, with * for each, and said where something was', () => {
    expect(erased(event, [['input', 'user', 'token']])).to.deep.equal({
      ...event,
      input: { ...event.input, user: { name: 'a' } },
      erased: ['/input/user/token'],
    })
    expect(erased(event, [['input', 'list', '*', 's']])).to.deep.equal({
      ...event,
      input: { ...event.input, list: [{ k: 1 }, {}] },
      erased: ['/input/list/*/s'],
    })
    expect(erased(event, [['input', 'a/b'], ['result']])).to.deep.equal({
      input: { user: event.input.user, list: event.input.list },
      erased: ['/input/a~1b', '/result'],
    })
    expect(erased(event, [['input', '*']])).to.deep.equal({
      input: {},
      result: true,
      erased: ['/input/*'],
    })
  })

  it('leaves an event as it is where there is nothing', () => {
    for (const steps of [
      ['input', 'none'],
      ['input', 'user', 'name', 'deeper'],
      ['input', 'list', '7'],
    ]) {
      expect(erased(event, [steps])).to.equal(event)
    }
  })
})

describe('what a policy masks of an event', () => {
  const event = {
    input: { user: { name: 'a', age: 7 }, list: ['x', 'y'] },
    result: { allow: true },
  }
  const by = (rules: unknown) => masked(event, () => JSON.stringify(rules))

  it('is erased, or replaced, and said where', () => {
    expect(by(['/input/user/name', { op: 'remove', path: '/result' }])).to.deep.equal({
      input: { user: { age: 7 }, list: ['x', 'y'] },
      erased: ['/input/user/name', '/result'],
    })
    expect(by([{ op: 'upsert', path: '/input/user/name', value: '**' }])).to.deep.equal({
      ...event,
      input: { ...event.input, user: { name: '**', age: 7 } },
      masked: ['/input/user/name'],
    })
    expect(by([{ op: 'upsert', path: '/input/list/1', value: null }]).input).to.deep.equal({
      ...event.input,
      list: ['x', null],
    })
  })

  it('is nothing where it says nothing', () => {
    expect(by([])).to.deep.equal(event)
    expect(masked(event, () => undefined)).to.deep.equal(event)
    expect(masked(event, undefined)).to.equal(event)
  })

  it('costs the event its input and result where it fails or cannot be read', () => {
    const failing = () => {
      throw new Error('too much')
    }
    for (const mask of [
      failing,
      () => '{}',
      () => 'no json',
      () => '[7]',
      () => '["/labels"]',
      () => '[{"op":"x","path":"/input"}]',
    ]) {
      expect(masked(event, mask)).to.deep.equal({ erased: ['/input', '/result'] })
    }
  })
})
