import { expect } from 'chai'
import { Metrics } from '../../src/telemetry/metrics.ts'

describe('labels of metrics', () => {
  it('stop growing: the 500th code of a policy counts as itself, all later ones as `other`', async () => {
    const metrics = new Metrics()
    for (let n = 0; n < 2_000; n++) metrics.countDenied([`code-${n}`])
    metrics.countDenied(['code-7'])
    const { values } = await metrics.denied.get()
    const of = (reason: string) => values.find(({ labels }) => labels['reason'] === reason)?.value
    expect(of('code-7')).to.equal(2)
    expect(of('code-1999')).to.equal(undefined)
    expect(of('other')).to.equal(1_500)
    expect(values.length).to.be.lessThan(510)
  })
})
