import { expect } from 'chai'
import { sha256 } from '../../src/lib/canonical.ts'
import { createLogger } from '../../src/lib/log.ts'
import {
  keepContent,
  missingContents,
  readContent,
  sweepContents,
} from '../../src/record/policy-contents.ts'
import { Store } from '../../src/store/store.ts'
import { prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'

describe('contents of policy files', () => {
  let store: Store
  before(async () => {
    const dataDir = scratch('contents')
    await prepareEmbedded(dataDir)
    store = new Store({ databaseUrl: null, dataDir, log: createLogger('silent', null) })
    await store.start()
  })
  after(() => store.stop())

  const keep = async (text: string): Promise<string> => {
    const digest = sha256(text)
    await keepContent(store.db, digest, Buffer.from(text))
    return digest
  }
  const age = (days: number) =>
    store.db.query(`update policy_contents set at = now() - make_interval(days => $1)`, [days])
  const revision = async (name: string, digests: readonly string[]) => {
    await store.db.query('insert into policy_revisions (revision, files) values ($1, $2)', [
      name,
      '[]',
    ])
    for (const digest of digests) {
      await store.db.query('insert into policy_needs (revision, sha256) values ($1, $2)', [
        name,
        digest,
      ])
    }
  }
  let n = 0
  const publish = (name: string, daysAgo: number) =>
    store.db.query(
      `insert into policy_publications (n, revision, parent, author, source, note, detail, at)
       values ($1, $2, '', '', 'api', '', '{}', now() - make_interval(days => $3))`,
      [++n, name, daysAgo],
    )
  const isKept = async (digest: string) => (await readContent(store.db, digest)) !== undefined

  it('are kept in pieces, once, and are what they were', async () => {
    const long = Array.from({ length: 200_000 }, (_, at) => sha256(String(at))).join('\n')
    const digest = await keep(long)
    await keep(long)
    const [row] = await store.db.query<{ n: bigint }>('select count(*) as n from policy_contents')
    expect(Number(row?.n)).to.be.greaterThan(2)
    expect((await readContent(store.db, digest))?.toString()).to.equal(long)
    expect(await missingContents(store.db, [digest, sha256('another')])).to.deep.equal([
      sha256('another'),
    ])
    await store.db.query('delete from policy_contents where sha256 = $1 and piece = 1', [digest])
    expect(await missingContents(store.db, [digest])).to.deep.equal([digest])
    expect(await readContent(store.db, digest)).to.equal(undefined)
  })

  it('go when no revision needs them, though not those written a moment ago', async () => {
    const digest = await keep('of a publish that came to nothing')
    await sweepContents(store.db, 400)
    expect(await isKept(digest)).to.equal(true)
    await age(1)
    await sweepContents(store.db, 400)
    expect(await isKept(digest)).to.equal(false)
  })

  it('of a revision go when it was replaced long ago and decided nothing that is on record', async () => {
    const [old, used, shared, live] = [
      ...[await keep('old'), await keep('used'), await keep('shared'), await keep('live')],
    ] as [string, string, string, string]
    await revision('r-old', [old, shared])
    await revision('r-used', [used])
    await revision('r-live', [live, shared])
    await publish('r-old', 900)
    await publish('r-used', 800)
    await publish('r-live', 700)
    await store.db.query(
      `insert into actions (id, decision_id, agent_id, key_id, tool, upstream, request, request_hash, target_hash,
         effect, state, revision, explain, created_at)
       values ('act_1', 'dec_1', 'agt_1', 'key_1', 't', 'u', '{}', '', '', 'allow', 'succeeded', 'r-used', '{}', now())`,
    )
    await age(500)
    await sweepContents(store.db, 0)
    expect(await isKept(old), '0 keeps all').to.equal(true)
    await sweepContents(store.db, 1_000)
    expect(await isKept(old), 'not yet').to.equal(true)
    await sweepContents(store.db, 400)
    expect(await Promise.all([old, used, shared, live].map(isKept))).to.deep.equal([
      ...[false, true, true, true],
    ])
  })

  it('of a revision that was on trial go as long after that, and never while it is', async () => {
    const [tried, running] = [await keep('tried'), await keep('running')]
    await revision('r-tried', [tried])
    await revision('r-running', [running])
    const trial = (name: string, status: string, endedDaysAgo: number | null) =>
      store.db.query(
        `insert into policy_canaries (id, revision, base, mode, percent, terms, author, note, status,
           started_at, until_at, ended_at)
         values ($1, $1, '', 'compare', 1, '{}', '', '', $2, now() - interval '900 days', now(),
           now() - make_interval(days => $3))`,
        [name, status, endedDaysAgo],
      )
    await trial('r-tried', 'aborted', 500)
    await trial('r-running', 'running', null)
    await age(900)
    await sweepContents(store.db, 600)
    expect([await isKept(tried), await isKept(running)]).to.deep.equal([true, true])
    await sweepContents(store.db, 400)
    expect([await isKept(tried), await isKept(running)]).to.deep.equal([false, true])
  })
})
