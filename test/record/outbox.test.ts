import { expect } from 'chai'
import { GatewayError } from '../../src/errors.ts'
import { createLogger } from '../../src/lib/log.ts'
import { raiseAlert } from '../../src/record/alerts.ts'
import { Ledger } from '../../src/record/ledger.ts'
import { approvalNotice, Outbox } from '../../src/record/outbox.ts'
import { HeadFloor } from '../../src/store/head-floor.ts'
import { Jobs } from '../../src/store/jobs.ts'
import { Store } from '../../src/store/store.ts'
import { QUEUE_OPTIONS } from '../../src/worker/queues.ts'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'

describe('the jobs of a batch', function () {
  this.timeout(600_000)
  let store: Store
  let jobs: Jobs
  let ledger: Ledger
  before(async () => {
    const dataDir = scratch('outbox')
    await prepareEmbedded(dataDir)
    const log = createLogger('silent', null)
    store = new Store({ databaseUrl: null, dataDir, log })
    await store.start()
    jobs = new Jobs(store, log)
    await jobs.start(QUEUE_OPTIONS)
    ledger = new Ledger({
      config: store.clientConfig('ledger'),
      log,
      deadlineMs: 10_000,
      floor: new HeadFloor(),
      isServer: false,
      jobs: new Outbox(jobs, { approvals: false, alerts: true }),
    })
    await ledger.start()
  })
  after(async () => {
    await ledger.stop()
    await jobs.stop()
    await store.stop()
  })

  const count = async (what: string) => {
    const [row] = await store.db.query<{ n: number }>(`select count(*)::int as n from ${what}`)
    return row?.n
  }
  const alert = (message: string) =>
    ledger.write(async (tx) => raiseAlert(tx, 'action_failed', '', message, {}))

  it('are there as soon as it is, and carry the entry as it is recorded', async () => {
    await alert('first')
    const [job] = await store.db.query<{ data: { entry: Record<string, unknown> } }>(
      `select data from pgboss.job where name = 'portcullis.webhook'`,
    )
    const [entry] = await store.db.query<{ body: string }>(
      `select body from audit_entries where kind = 'alert.action_failed'`,
    )
    expect(job?.data.entry).to.deep.equal(JSON.parse(entry?.body ?? ''))
  })

  it('undo it where they cannot be queued: no alert is on record that nobody will be told of', async () => {
    await store.db.query(`alter table pgboss.job rename to away`)
    const before = await count('alerts')
    const refused = await alert('second').catch((error: { code: string }) => error.code)
    await store.db.query(`alter table pgboss.away rename to job`)
    expect(refused).to.equal('audit_unavailable')
    expect(await count('alerts')).to.equal(before)
    await alert('third')
    expect(await count('alerts')).to.equal((before ?? 0) + 1)
  })

  it('are not those of a write that is undone beside others in its batch', async () => {
    const before = await count('pgboss.job')
    const undone = ledger.write(async (tx) => {
      raiseAlert(tx, 'action_failed', '', 'undone', {})
      throw new GatewayError('conflict', 'no')
    })
    await Promise.all([alert('kept'), undone.catch(() => {})])
    expect(await count('pgboss.job')).to.equal((before ?? 0) + 1)
  })

  it('are no notices that nobody is configured to get', async () => {
    const before = await count('pgboss.job')
    await ledger.write(async (tx) => tx.enqueue(approvalNotice('apr_1')))
    expect(await count('pgboss.job')).to.equal(before)
  })
})
