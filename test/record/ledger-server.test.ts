import { expect } from 'chai'
import pg from 'pg'
import { createLogger } from '../../src/lib/log.ts'
import { Ledger, type LedgerKind } from '../../src/record/ledger.ts'
import { HeadFloor } from '../../src/store/head-floor.ts'
import { Store } from '../../src/store/store.ts'
import { until } from '../support/gate.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'

const NOTE = { agentId: '', tool: '', effect: '', actionId: '', detail: {} } as const
const APPLICATION = 'ledger-under-test'

/** Notes whose statements are sent without waiting; `poison` breaks one of them. */
const SENT: LedgerKind<string, string> = {
  name: 'sent',
  order: 2,
  async apply(tx, texts) {
    for (const text of texts) {
      tx.send('select $1::text::int', [text === 'poison' ? 'x' : '1'])
      tx.append({ ...NOTE, kind: 'note', detail: { text } })
    }
    return texts
  },
}

/** Writes ahead of the lock's answer. */
const AHEAD: LedgerKind<string, string, Promise<unknown>> = {
  name: 'ahead',
  order: 1,
  begin(tx) {
    const sent = tx.query('update touched set at = ledger_now()')
    sent.catch(() => {})
    return sent
  },
  async apply(_tx, texts, begun) {
    await begun
    return texts
  },
}

describe('the ledger on a server, where statements are pipelined', function () {
  this.timeout(600_000)
  let server: PostgresServer
  let store: Store
  let ledger: Ledger
  let other: pg.Client
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    const databaseUrl = await server.createDatabase()
    const log = createLogger('silent', null)
    store = new Store({ databaseUrl, dataDir: scratch('ledger'), log })
    await store.start()
    ledger = new Ledger({
      config: store.clientConfig(APPLICATION),
      log,
      deadlineMs: 30_000,
      floor: new HeadFloor(() => {}),
      isServer: true,
    })
    await ledger.start()
    other = new pg.Client({ connectionString: databaseUrl })
    await other.connect()
    await other.query('create table touched (at timestamptz)')
    await other.query('insert into touched values (null)')
  })
  after(async () => {
    await other?.end()
    await ledger?.stop()
    await store?.stop()
    server?.stop()
  })

  const notes = async (): Promise<string[]> => {
    const { rows } = await other.query<{ text: string }>(
      `select body::json->>'text' as text from audit_entries where kind = 'note' order by seq`,
    )
    return rows.map(({ text }) => text)
  }

  it('acknowledges nothing of a batch in which a statement failed unseen, and finds the one at fault', async () => {
    const texts = ['a', 'b', 'poison', 'c', 'd']
    const ends = await Promise.allSettled(texts.map((text) => ledger.submit(SENT, text)))
    expect(ends.map(({ status }) => status)).to.deep.equal([
      ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    ])
    expect((await notes()).toSorted()).to.deep.equal(['a', 'b', 'c', 'd'])
  })

  it('gives back to a savepoint what a write sent before it was refused', async () => {
    const refused = ledger.write(async (tx) => {
      tx.send('update touched set at = now()', [])
      tx.send('select $1::text::int', ['x'])
    })
    const kept = ledger.submit(SENT, 'kept')
    expect((await Promise.allSettled([refused, kept])).map(({ status }) => status)).to.deep.equal([
      ...['rejected', 'fulfilled'],
    ])
    const { rows } = await other.query('select at from touched')
    expect(rows).to.deep.equal([{ at: null }])
  })

  it('writes nothing ahead of a lock that it does not get', async () => {
    await other.query('begin')
    await other.query('select 1 from ledger_head for update')
    const refused = await ledger.submit(AHEAD, 'x').catch((error: unknown) => error)
    await other.query('rollback')
    expect(refused).to.have.property('code', 'audit_unavailable')
    expect((await other.query('select at from touched')).rows).to.deep.equal([{ at: null }])
    await until('the ledger is well', () =>
      ledger.submit(AHEAD, 'y').then(
        () => true,
        () => false,
      ),
    )
    expect((await other.query('select at from touched')).rows[0]?.at).to.be.an.instanceOf(Date)
  })

  it('takes a commit for unanswered that no standby confirmed', async () => {
    await other.query(`alter system set synchronous_standby_names = 'nobody'`)
    await other.query('select pg_reload_conf()')
    await until('the setting is in force', async () => {
      const { rows } = await other.query('show synchronous_standby_names')
      return rows[0]?.synchronous_standby_names === 'nobody'
    })
    const doubtful = ledger.submit(SENT, 'doubtful').catch((error: unknown) => error)
    await until('it waits for the standby and is told to go on', async () => {
      const { rows } = await other.query<{ gone: boolean }>(
        `select pg_cancel_backend(pid) as gone from pg_stat_activity
         where application_name = $1 and wait_event = 'SyncRep'`,
        [APPLICATION],
      )
      return rows.some(({ gone }) => gone)
    })
    expect(await doubtful).to.have.property('code', 'audit_unavailable')
    await other.query('alter system reset synchronous_standby_names')
    await other.query('select pg_reload_conf()')
    await until('the ledger is well', () =>
      ledger.submit(SENT, 'after').then(
        () => true,
        () => false,
      ),
    )
    expect(await notes()).to.include('after')
  })
})
