import { expect } from 'chai'
import { liveReplicas } from '../../src/control/replica.ts'
import { RevisionsWatch } from '../../src/lifecycle/revisions-watch.ts'
import { entriesOf, liveOf } from '../support/canaries.ts'
import type { Tx } from '../../src/store/tx.ts'
import { postgresBin, PostgresServer } from '../support/database.ts'
import { TestGate, until } from '../support/gate.ts'
import { GATE, writePolicies } from '../support/policies.ts'
import { TestUpstream } from '../support/upstream.ts'

describe('replicas with policy directories of their own', function () {
  this.timeout(300_000)
  let server: PostgresServer
  let upstream: TestUpstream
  let gates: readonly TestGate[] = []
  before(async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    server = await PostgresServer.start()
    upstream = await TestUpstream.start()
    const databaseUrl = await server.createDatabase()
    gates = [
      await TestGate.start({ databaseUrl, upstream }),
      await TestGate.start({ databaseUrl, upstream }),
    ]
  })
  after(async () => {
    for (const gate of gates) await gate.stop()
    await upstream?.stop()
    server?.stop()
  })

  it('that differ for more than a minute raise one alert, and another when they differ again', async () => {
    const [a, b] = gates as [TestGate, TestGate]
    let nowMs = 0
    const { operations, log } = a.gate
    const parts = {
      replicas: () => operations.write((tx) => liveReplicas(tx)),
      write: (work: (tx: Tx) => Promise<void>) => operations.write(work),
      nowMs: () => nowMs,
      log,
    }
    // As on both of them, by one clock.
    const watches = [new RevisionsWatch(parts), new RevisionsWatch(parts)]
    const at = async (time: number) => {
      nowMs = time
      for (const watch of watches) await watch.look()
      const { alerts } = (await b.call('GET', '/api/v1/alerts?type=revisions_differ')).body
      return alerts.length
    }
    const edit = async (text: string) => {
      writePolicies(b.policyDir, { 'gate.yaml': text })
      const before = await liveOf(b)
      await until('b has read it', async () => (await liveOf(b)) !== before)
      const revision = await liveOf(b)
      await until('it says so', async () =>
        (await parts.replicas()).some((one) => one.revision === revision),
      )
    }
    expect(await at(0)).to.equal(0)
    await edit(`${GATE}# of b\n`)
    expect(await at(1_000)).to.equal(0)
    expect(await at(61_000)).to.equal(0)
    expect(await at(61_001)).to.equal(1)
    expect(await at(600_000)).to.equal(1)
    const [entry] = await entriesOf(a, 'alert.revisions_differ')
    expect(entry.message).to.equal('2 replicas decide by 2 revisions, for more than a minute')
    expect(
      entry.details.replicas.map(({ revision }: { revision: string }) => revision),
    ).to.have.members([...[await liveOf(a), await liveOf(b)]])
    await edit(GATE)
    expect(await at(700_000)).to.equal(1)
    await edit(`${GATE}# of b again\n`)
    expect(await at(700_001)).to.equal(1)
    expect(await at(760_000)).to.equal(1)
    expect(await at(760_002)).to.equal(2)
  })
})
