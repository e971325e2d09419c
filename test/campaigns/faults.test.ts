import { expect } from 'chai'
import { postgresBin } from '../support/database.ts'
import { faultsCampaign } from './faults.ts'

// A few rounds of what `npm run campaign:faults` does two hundred times, without its stop-watch.
describe('suspended, cut off, frozen and filled under load', function () {
  this.timeout(600_000)

  it('the gate with its embedded database comes back by itself, loses nothing and repeats nothing', async () => {
    const report = await faultsCampaign('embedded', 2, { isTimed: false })
    expect(report.acknowledged).to.be.greaterThan(0)
  })

  it('so does the gate on a PostgreSQL server', async function () {
    if (!postgresBin()) {
      console.log('      skipped: no PostgreSQL binaries (initdb, pg_ctl) on this machine')
      this.skip()
    }
    const report = await faultsCampaign('server', 4, { isTimed: false })
    expect(report.acknowledged).to.be.greaterThan(0)
    expect(Object.keys(report.byFault)).to.have.length(4)
  })
})
