import { expect } from 'chai'
import { engage, engagedSwitch, release } from '../../src/control/kill-switch.ts'
import { GatewayError } from '../../src/errors.ts'
import { createLogger } from '../../src/lib/log.ts'
import { Ledger, type LedgerKind, type Tx } from '../../src/record/ledger.ts'
import { HeadFloor } from '../../src/store/head-floor.ts'
import { Store } from '../../src/store/store.ts'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'

const NOTE = { agentId: '', tool: '', effect: '', actionId: '', detail: {} }

/** Notes of one kind, of which `poison` breaks the statement of whatever batch it is in. */
const NOTES: LedgerKind<string, string> = {
  name: 'notes',
  order: 2,
  async apply(tx, texts) {
    await tx.query('select $1::int', [texts.includes('poison') ? 'x' : '1'])
    for (const text of texts) tx.append({ ...NOTE, kind: 'note', detail: { text } })
    return texts
  },
}

const WATCHING: LedgerKind<string, number> = {
  name: 'watching',
  order: 2,
  async apply(tx, texts) {
    return texts.map(() => tx.switches.length)
  },
}

describe('the ledger', function () {
  this.timeout(600_000)
  let store: Store
  let ledger: Ledger
  let failures: string[]
  before(async () => {
    const dataDir = scratch('ledger')
    await prepareEmbedded(dataDir)
    const log = createLogger('silent', null)
    store = new Store({ databaseUrl: null, dataDir, log })
    await store.start()
    ledger = new Ledger({
      config: store.clientConfig('ledger'),
      log,
      deadlineMs: 10_000,
      floor: new HeadFloor(),
      isServer: false,
    })
    ledger.onCommitted((entries) => {
      const bad = entries.find(({ body }) => body.includes('break the reader'))
      if (bad) throw new RangeError('a reader broke')
    })
    failures = []
    ledger.onCommitted((entries) => failures.push(...entries.map(({ kind }) => kind)))
    await ledger.start()
  })
  after(async () => {
    await ledger.stop()
    await store.stop()
  })

  const head = async () => {
    const [row] = await store.db.query<{ seq: bigint; batch: bigint }>(
      'select audit_seq as seq, batch_no as batch from ledger_head',
    )
    if (!row) throw new Error('there is no head')
    return row
  }

  it('writes once what a reader after the commit chokes on, and lets the other readers read', async () => {
    const before = await head()
    failures.length = 0
    let runs = 0
    await ledger.write(async (tx) => {
      runs++
      tx.append({ ...NOTE, kind: 'note', detail: { text: 'break the reader' } })
      tx.afterCommit(() => {
        throw new RangeError('an action after the commit broke')
      })
    })
    expect(runs).to.equal(1)
    expect((await head()).seq).to.equal(before.seq + 1n)
    expect(failures).to.deep.equal(['note'])
  })

  it('finds the one input that poisons its batch by halving, and writes all others', async () => {
    const texts = Array.from({ length: 200 }, (_, n) => (n === 137 ? 'poison' : `n${n}`))
    const before = await head()
    const results = await Promise.allSettled(texts.map((text) => ledger.submit(NOTES, text)))
    const refused = results.flatMap(({ status }, n) => (status === 'rejected' ? [texts[n]] : []))
    expect(refused).to.deep.equal(['poison'])
    const after = await head()
    expect(after.seq - before.seq).to.equal(199n)
    // Each halving leaves one good half: as many batches as there are halvings, not one an input.
    expect(Number(after.batch - before.batch)).to.be.lessThan(12)
  })

  it('holds what a batch claims against the kill switch that the same batch engaged', async () => {
    const row = engagedSwitch({ agent: null, tool: 'x', upstream: null }, 'drill', 'test')
    const seen = ledger.submit(WATCHING, 'asks')
    const engaged = ledger.writeFirst((tx) => engage(tx, row)) // queued later, runs first
    await engaged
    expect(await seen).to.equal(1)
    const free = ledger.submit(WATCHING, 'asks')
    await ledger.writeFirst((tx) => release(tx, row))
    expect(await free).to.equal(0)
  })

  it('forgets a switch that a refused work had engaged', async () => {
    const row = engagedSwitch({ agent: null, tool: 'y', upstream: null }, 'drill', 'test')
    const refused = ledger.writeFirst(async (tx: Tx) => {
      await engage(tx, row)
      throw new GatewayError('conflict', 'not after all')
    })
    const seen = ledger.submit(WATCHING, 'asks')
    expect(await refused.catch(({ code }: GatewayError) => code)).to.equal('conflict')
    expect(await seen).to.equal(0)
  })

  it('moves its head with every batch, also with one that leaves no entry', async () => {
    const before = await head()
    await ledger.write(async (tx) => void (await tx.query('delete from window_counts')))
    const after = await head()
    expect([after.seq, after.batch]).to.deep.equal([before.seq, before.batch + 1n])
  })

  it('refuses new work that has waited too long, before it begins, and writes what is no new work', async () => {
    const impatient = new Ledger({
      config: store.clientConfig('impatient'),
      log: createLogger('silent', null),
      deadlineMs: 10_000,
      floor: new HeadFloor(),
      isServer: false,
      workWaitMsMax: 1,
    })
    await impatient.start()
    const slow = impatient.write((tx) => tx.query('select pg_sleep(0.05)'))
    await new Promise(setImmediate) // its batch has begun
    const work: Promise<string>[] = []
    const written = impatient.submit(NOTES, 'an outcome')
    for (const text of ['a', 'b']) work.push(impatient.submit({ ...NOTES, lane: 'work' }, text))
    const ends = await Promise.allSettled(work)
    expect(ends.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    for (const end of ends) {
      expect(end).to.have.nested.property('reason.code', 'overloaded')
      expect(end).to.have.nested.property('reason.retryAfterS').that.is.at.least(1)
    }
    await slow
    expect(await written).to.equal('an outcome')
    expect(await impatient.submit({ ...NOTES, lane: 'work' }, 'later')).to.equal('later')
    await impatient.stop()
  })
})
