import { expect } from 'chai'
import { createLogger } from '../../src/lib/log.ts'
import type { AuditEntry } from '../../src/model/audit.ts'
import { EventStream } from '../../src/record/events.ts'
import type { Db } from '../../src/store/tx.ts'

const NOTHING: Db = { query: async () => [] }

const entry = (seq: bigint): AuditEntry => ({
  ...{ seq, at: '', kind: 'note', agentId: '', tool: '', effect: '', actionId: '' },
  ...{ detail: {}, body: '', prevHash: '', hash: '' },
})

describe('the event stream', () => {
  it('gives every entry to every listener, also when one of them breaks', async () => {
    const events = new EventStream(NOTHING, createLogger('silent', null))
    await events.start()
    const heard: string[] = []
    events.subscribe(({ seq }) => {
      heard.push(`first ${seq}`)
      if (seq === 1n) throw new RangeError('a listener broke')
    })
    events.subscribe(({ seq }) => heard.push(`second ${seq}`))
    events.publish([entry(1n), entry(2n)])
    expect(heard).to.deep.equal(['first 1', 'second 1', 'first 2', 'second 2'])
    expect(events.seq).to.equal(2n)
  })
})
