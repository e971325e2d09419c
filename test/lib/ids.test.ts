import { expect } from 'chai'
import { isId, newId } from '../../src/lib/ids.ts'

describe('ids', () => {
  it('sort by age, also across a change in the number of digits', () => {
    const times = [0, 31, 32, 1_023, 1_024, 2 ** 40, Date.now(), Date.now() + 1, 2 ** 49]
    const ids = times.map((at) => newId('act', at))
    expect([...ids].sort()).to.deep.equal(ids)
  })

  it('differ, however many are made in one millisecond', () => {
    const ids = new Set(Array.from({ length: 100_000 }, () => newId('req', 1)))
    expect(ids.size).to.equal(100_000)
  })

  it('are told from everything else', () => {
    const id = newId('apr')
    expect(isId('apr', id)).to.equal(true)
    for (const other of [
      id.slice(0, -1),
      `${id}0`,
      id.toUpperCase(),
      `${id}\n`,
      id.replace('apr', 'act'),
      `${id.slice(0, -1)}l`,
      '',
    ]) {
      expect(isId('apr', other), other).to.equal(false)
    }
  })
})
