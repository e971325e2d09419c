import { expect } from 'chai'
import type { GatewayError } from '../../src/errors.ts'
import { AskingRates } from '../../src/inquiries/rates.ts'

const EDGE = { role: 'pep', keyId: 'key_1' } as const

describe('the rate of an enforcement point’s key', () => {
  const taken = (rates: AskingRates, questions: number, nowMs: number, who: typeof EDGE = EDGE) => {
    try {
      rates.take(who, questions, nowMs)
      return 'taken'
    } catch (error) {
      const { code, retryAfterS } = error as GatewayError
      return [code, retryAfterS]
    }
  }

  it('is so many a second, a second’s worth at once, and comes back with time', () => {
    const rates = new AskingRates(10)
    expect(taken(rates, 10, 0)).to.equal('taken')
    expect(taken(rates, 1, 0)).to.deep.equal(['rate_limited', 1])
    expect(taken(rates, 1, 50)).to.deep.equal(['rate_limited', 1])
    expect(taken(rates, 1, 100)).to.equal('taken')
    expect(taken(rates, 10, 60_000)).to.equal('taken')
    expect(taken(rates, 1, 60_000)).to.deep.equal(['rate_limited', 1])
  })

  it('lets more at once through than there ever are, which is paid for afterwards', () => {
    const rates = new AskingRates(10)
    expect(taken(rates, 30, 0)).to.equal('taken')
    expect(taken(rates, 1, 1_000)).to.deep.equal(['rate_limited', 2])
    expect(taken(rates, 1, 2_200)).to.equal('taken')
  })

  it('is each key’s own, and no affair of other roles', () => {
    const rates = new AskingRates(1)
    expect(taken(rates, 1, 0)).to.equal('taken')
    expect(taken(rates, 1, 0, { ...EDGE, keyId: 'key_2' } as never)).to.equal('taken')
    for (const role of ['agent', 'admin'] as const) {
      for (const _ of [1, 2, 3])
        expect(taken(rates, 1, 0, { role, keyId: 'k' } as never)).to.equal('taken')
    }
  })
})
