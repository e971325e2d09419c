import { expect } from 'chai'
import { postgresBin } from '../support/database.ts'
import { crashCampaign } from './crash.ts'

// A few rounds of what `npm run campaign:crash` does fifty times.
describe('killed under load', function () {
  this.timeout(600_000)

  it('the gate loses nothing acknowledged, repeats nothing, and lists what is unknown', async () => {
    const report = await crashCampaign({ kills: 2, victim: 'gate' })
    expect(report.acknowledged).to.be.greaterThan(0)
    expect(report.effects).to.be.greaterThan(0)
  })

  it('neither does a gate whose database server is killed', async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    const report = await crashCampaign({ kills: 2, victim: 'database' })
    expect(report.effects).to.be.greaterThan(0)
  })
})
