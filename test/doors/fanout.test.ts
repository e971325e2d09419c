import { expect } from 'chai'
import { Fanout } from '../../src/doors/streams/fanout.ts'
import type { AuditEntry } from '../../src/model/audit.ts'
import type { EventListener, EventStream } from '../../src/record/events.ts'
import { until } from '../support/gate.ts'

const FOLLOWERS = 3_000
const BATCH = 10

/** A stream that says what the test wants said. */
function stream(): { events: EventStream; publish: (count: number) => number[] } {
  const listeners: EventListener[] = []
  let seq = 0
  const publish = (count: number) =>
    Array.from({ length: count }, () => {
      seq++
      for (const listener of listeners) listener({ seq: BigInt(seq) } as AuditEntry)
      return seq
    })
  const events = { subscribe: (listener: EventListener) => listeners.push(listener) }
  return { events: events as unknown as EventStream, publish }
}

describe('what goes to many readers', () => {
  it('is given out in slices, to each once and in order, whatever comes meanwhile', async () => {
    const { events, publish } = stream()
    const fanout = new Fanout(events)
    let given = 0
    const all = Array.from({ length: FOLLOWERS }, () => {
      const seqs: number[] = []
      const take = (entry: AuditEntry) => {
        given++
        seqs.push(Number(entry.seq))
      }
      fanout.follow({ take, behind: () => expect.fail('nobody is behind') })
      return seqs
    })
    const published = publish(BATCH)
    expect(given, 'nothing within the turn that published').to.equal(0)
    let most = 0
    await until('all have all', async () => {
      const before = given
      await new Promise(setImmediate)
      most = Math.max(most, given - before)
      if (published.length < BATCH * 3) published.push(...publish(BATCH))
      return given === FOLLOWERS * published.length
    })
    for (const seqs of all) expect(seqs).to.deep.equal(published)
    expect(most, 'given out in one turn').to.be.at.most(1_000)
  })

  it('ends for who leaves in the middle of it', async () => {
    const { events, publish } = stream()
    const fanout = new Fanout(events)
    const seqs: number[] = []
    const leave = fanout.follow({
      take: ({ seq }) => {
        seqs.push(Number(seq))
        if (seq === 3n) leave()
      },
      behind: () => {},
    })
    publish(BATCH)
    await new Promise(setImmediate)
    publish(BATCH)
    await new Promise(setImmediate)
    expect(seqs).to.deep.equal([1, 2, 3])
  })

  it('is not kept without end: who is too far behind is told so', () => {
    const { events, publish } = stream()
    const fanout = new Fanout(events)
    let told = 0
    const behind = () => {
      told++
      leave()
    }
    const leave = fanout.follow({ take: () => {}, behind })
    publish(5_000)
    expect(told).to.equal(1)
  })
})
