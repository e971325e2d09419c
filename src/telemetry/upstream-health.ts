/** What became of one call: whether an answer came, and with which status. */
export interface UpstreamCall {
  readonly result: 'answered' | 'not_sent' | 'unknown'
  readonly status: number | null
  readonly seconds: number
  readonly atMs: number
  /** The gate itself stopped it, which says nothing of the upstream. */
  readonly isRefused: boolean
}

export interface UpstreamState {
  readonly calls: number
  readonly answered: number
  readonly notSent: number
  readonly unknown: number
  readonly secondsMax: number
  readonly secondsMean: number
  readonly last: UpstreamCall
}

/** How upstreams have done since this process started, from the calls of its actions alone: nothing is probed. */
export class UpstreamHealth {
  readonly #states = new Map<string, UpstreamState>()

  note(upstream: string, call: UpstreamCall): void {
    const before = this.#states.get(upstream)
    const calls = (before?.calls ?? 0) + 1
    const mean = before?.secondsMean ?? 0
    const count = (was: number | undefined, is: boolean): number => (was ?? 0) + (is ? 1 : 0)
    this.#states.set(upstream, {
      calls,
      answered: count(before?.answered, call.result === 'answered'),
      notSent: count(before?.notSent, call.result === 'not_sent'),
      unknown: count(before?.unknown, call.result === 'unknown'),
      secondsMax: Math.max(before?.secondsMax ?? 0, call.seconds),
      secondsMean: mean + (call.seconds - mean) / calls,
      last: call.isRefused && before ? before.last : call,
    })
  }

  /** Undefined: it was not called yet. */
  of(upstream: string): UpstreamState | undefined {
    return this.#states.get(upstream)
  }
}

/** Whether the last call says that an upstream works; null where none says anything. */
export function isWorking(state: UpstreamState | undefined): boolean | null {
  if (!state || state.last.isRefused) return null
  const { result, status } = state.last
  return result === 'answered' && (status ?? 0) < 500
}
