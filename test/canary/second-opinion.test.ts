import { expect } from 'chai'
import type { Bundle } from '../../src/bundle/types.ts'
import type { Decision, Effect, Reason } from '../../src/model/decision.ts'
import { askBeside, LATE, opinionOf } from '../../src/canary/second-opinion.ts'

const bundle = { revision: 'r-other', tools: new Map() } as unknown as Bundle
const beside = { canaryId: 'cnr_1', side: 'candidate', bundle, isNamedAlike: true } as const
const facts = { nowMs: 0, lookups: {}, unavailable: {} } as never
const known = { tool: undefined, toolName: 'items.get', facts }

const reason = (code: string, effect: Effect): Reason => ({
  code,
  message: code,
  effect,
  source: 's',
})
const decision = (effect: Effect, code = 'c'): Decision =>
  ({ effect, reasons: [reason(code, effect)], trace: [] }) as unknown as Decision

describe('the policy of a canary that does not decide', () => {
  const said = (decide: (of: Bundle) => Promise<Decision>) => askBeside(beside, known, decide)

  it('may throw or reject: it is an error of the candidate, and nothing else', async () => {
    const ways: ((of: Bundle) => Promise<Decision>)[] = [
      () => {
        throw new Error('at once')
      },
      () => Promise.reject(new Error('later')),
    ]
    for (const way of ways) {
      const opinion = opinionOf(beside, decision('allow'), await said(way))
      expect(opinion).to.include({
        change: 'error',
        isDeniedByCandidate: true,
        isDeniedLive: false,
      })
      expect(opinion.differing).to.deep.include({ revision: 'r-other', effect: 'deny' })
    }
  })

  it("that does not get its turn in time is late, on either side, which is nobody's error", async () => {
    for (const side of ['candidate', 'live'] as const) {
      const answer = await askBeside({ ...beside, side }, known, () => new Promise(() => {}))
      expect(answer).to.equal(LATE)
      expect(opinionOf({ ...beside, side }, decision('allow'), answer)).to.deep.equal({
        ...{ canaryId: 'cnr_1', side, change: 'late' },
        ...{ isDeniedLive: false, isDeniedByCandidate: false, differing: null },
      })
    }
  })

  it('that is the live one, and gives no answer, says nothing of the candidate', async () => {
    const live = { ...beside, side: 'live' } as const
    const failed = await askBeside(live, known, () => Promise.reject(new Error('later')))
    const opinion = opinionOf(live, decision('deny'), failed)
    expect(opinion).to.include({
      change: 'unplayable',
      isDeniedByCandidate: false,
      differing: null,
    })
  })

  it('is counted from what the live one says to what the candidate says, whichever decides', () => {
    const change = (live: Decision, candidate: Decision) =>
      [
        opinionOf(beside, live, candidate),
        opinionOf({ ...beside, side: 'live' }, candidate, live),
      ].map((one) => one.change)
    expect(change(decision('allow'), decision('deny'))).to.deep.equal(Array(2).fill('allow_deny'))
    expect(change(decision('require_approval'), decision('allow'))).to.deep.equal(
      Array(2).fill('hold_allow'),
    )
    expect(change(decision('deny', 'a'), decision('deny', 'b'))).to.deep.equal(
      Array(2).fill('reasons'),
    )
    expect(change(decision('deny'), decision('deny'))).to.deep.equal(Array(2).fill('same'))
  })

  it('is not asked where it takes the request for another call', async () => {
    const asked = { ...beside, isNamedAlike: false }
    const answer = await askBeside(asked, known, async () => decision('deny'))
    expect(answer).to.equal(null)
    expect(opinionOf(asked, decision('allow'), answer).change).to.equal('unplayable')
  })
})
