import { expect } from 'chai'
import { LedgerQueue, type Lane } from '../../src/record/ledger-queue.ts'

interface Op {
  readonly lane: Lane
  readonly kindName: string
  readonly agentId: string
  readonly n: number
}

const op = (lane: Lane, n: number, agentId = ''): Op => ({ lane, kindName: lane, agentId, n })
const shown = (ops: readonly Op[]) => ops.map(({ lane, agentId, n }) => `${lane} ${agentId}${n}`)

describe('what waits for a batch', () => {
  let queue: LedgerQueue<Op>
  beforeEach(() => {
    queue = new LedgerQueue<Op>()
  })

  it('goes by lane: what stops things, outcomes, writes, new work', () => {
    for (const lane of ['work', 'write', 'outcome', 'stop'] as const) queue.put(op(lane, 1))
    expect(shown(queue.take())).to.deep.equal(['stop 1', 'outcome 1', 'write 1', 'work 1'])
    expect(queue.size).to.equal(0)
  })

  it('takes agents in turn, however many one has sent before', () => {
    for (let n = 1; n <= 300; n++) queue.put(op('work', n, 'flood'))
    for (let n = 1; n <= 2; n++) queue.put(op('work', n, 'other'))
    expect(shown(queue.take()).slice(0, 5)).to.deep.equal([
      ...['work flood1', 'work other1', 'work flood2', 'work other2', 'work flood3'],
    ])
    expect(queue.size).to.equal(302 - 100)
  })

  it('is as many as a batch has time for, by what they have cost', () => {
    for (let n = 1; n <= 30; n++) queue.put(op('work', n))
    queue.learn([op('work', 0)], 25)
    expect(queue.take()).to.have.length(4)
    expect(queue.waitMs).to.equal(26 * 25)
  })

  it('leaves room for work beside many writes, and stops wait for neither', () => {
    queue.learn([op('write', 0)], 10)
    queue.learn([op('work', 0)], 10)
    for (let n = 1; n <= 20; n++) queue.put(op('write', n))
    for (let n = 1; n <= 20; n++) queue.put(op('work', n))
    queue.put(op('stop', 1))
    const lanes = queue.take().map(({ lane }) => lane)
    expect(lanes[0]).to.equal('stop')
    expect(lanes.filter((lane) => lane === 'write')).to.have.length(5)
    expect(lanes.filter((lane) => lane === 'work')).to.have.length(5)
  })

  it('one that costs more than a batch may take goes alone', () => {
    queue.learn([op('write', 0)], 5_000)
    for (let n = 1; n <= 2; n++) queue.put(op('write', n))
    expect(queue.take()).to.have.length(1)
    expect(queue.take()).to.have.length(1)
  })

  it('gives up new work alone when it is late', () => {
    for (const lane of ['work', 'write', 'outcome'] as const) queue.put(op(lane, 1))
    expect(shown(queue.late(-1))).to.deep.equal(['work 1'])
    expect(queue.late(60_000)).to.deep.equal([])
    expect(shown(queue.take())).to.deep.equal(['outcome 1', 'write 1'])
  })
})
