import { expect } from 'chai'
import { Histogram, Registry } from 'prom-client'
import { Durations } from '../../src/telemetry/durations.ts'

const BUCKETS = [0.00001, 0.005, 0.5, 10]
const SEEN = [0, 0.00001, 0.000011, 0.005, 0.3, 0.5, 10, 10.000001, 400]

async function scraped(observe: (registry: Registry) => void): Promise<string> {
  const registry = new Registry()
  observe(registry)
  return registry.metrics()
}

describe('durations are scraped as a histogram of prom-client is', () => {
  for (const label of [undefined, 'kind']) {
    for (const values of label ? [[], ['ok'], ['ok', 'a "b"\n\\c', '']] : [['']]) {
      it(`${label ?? 'without a label'}: ${JSON.stringify(values)}`, async () => {
        const of = { name: 'act_seconds', help: 'From request to answer', buckets: BUCKETS }
        const ours = await scraped((registry) => {
          const durations = new Durations({ ...of, ...(label ? { label } : {}) })
          registry.registerMetric(durations.forRegistry)
          for (const value of values) for (const one of SEEN) durations.observe(one, value)
        })
        const theirs = await scraped((registry) => {
          const labelNames = label ? [label] : []
          const histogram = new Histogram({ ...of, labelNames, registers: [registry] })
          for (const value of values) {
            for (const one of SEEN) histogram.observe(label ? { [label]: value } : {}, one)
          }
        })
        expect(ours).to.equal(theirs)
      })
    }
  }

  it('is there with zeros before anything was seen', async () => {
    const text = await scraped((registry) =>
      registry.registerMetric(
        new Durations({ name: 'x_seconds', help: 'x', buckets: BUCKETS }).forRegistry,
      ),
    )
    expect(text).to.include('x_seconds_bucket{le="+Inf"} 0\n').and.include('x_seconds_count 0\n')
  })
})
