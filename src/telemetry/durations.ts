import type { Histogram, MetricValueWithName } from 'prom-client'

// A histogram that costs a loop over numbers. The one of prom-client keeps its buckets under their bounds as text, so that each
// observation makes a text of a fraction: three of them were 3 % of what an action costs. Only the scrape is left to it.

interface Series {
  /** By bucket, the last one for what is beyond all bounds. */
  readonly counts: number[]
  sum: number
}

/** Durations in seconds, by at most one label, in the registry of prom-client as any histogram. */
export class Durations {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly #bounds: readonly number[]
  readonly #label: string | undefined
  readonly #series = new Map<string, Series>()

  /** Without a `label` it is there from the beginning, with zeros. */
  constructor(of: { name: string; help: string; buckets: readonly number[]; label?: string }) {
    this.name = of.name
    this.help = of.help
    this.#bounds = of.buckets
    this.#label = of.label
    if (of.label === undefined) this.#of('')
  }

  observe(seconds: number, value = ''): void {
    const series = this.#series.get(value) ?? this.#of(value)
    let at = 0
    while (at < this.#bounds.length && seconds > (this.#bounds[at] as number)) at++
    series.counts[at] = (series.counts[at] as number) + 1
    series.sum += seconds
  }

  /** What the registry renders. */
  async get() {
    const values = [...this.#series].flatMap(([value, series]) => this.#values(value, series))
    const { name, help, type } = this
    return { name, help, type, values, aggregator: 'sum' }
  }

  /** As the registry wants it: it asks `get` and `name` of a metric, and names the classes of its own in its types. */
  get forRegistry(): Histogram {
    return this as unknown as Histogram
  }

  #of(value: string): Series {
    const series = { counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 }
    this.#series.set(value, series)
    return series
  }

  #values(labelValue: string, { counts, sum }: Series): MetricValueWithName<string>[] {
    const labels = this.#label === undefined ? {} : { [this.#label]: labelValue }
    const one = (suffix: string, value: number, more: Record<string, number | string> = {}) => ({
      metricName: `${this.name}_${suffix}`,
      value,
      labels: { ...more, ...labels },
    })
    let below = 0
    const buckets = counts.map((count, at) => {
      below += count
      return one('bucket', below, { le: this.#bounds[at] ?? '+Inf' })
    })
    return [...buckets, one('sum', sum), one('count', below)]
  }
}
