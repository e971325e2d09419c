import type { KillState } from '../control/kill-state.ts'
import type { Replica } from '../control/replica.ts'
import type { EventStream } from '../record/events.ts'
import { LEDGER_CHANNEL } from '../record/ledger.ts'
import type { Jobs } from '../store/jobs.ts'
import { Listener } from '../store/listener.ts'
import type { Store } from '../store/store.ts'

// Replicas tell each other of every batch through the database's NOTIFY, with the size of the chain and the
// epoch of the kill switch. It is an optimisation: a message that is lost costs the time until the next beat
// or poll, and none of what must hold depends on one.

export interface PeerParts {
  readonly store: Store
  readonly events: EventStream
  readonly replica: Replica
  readonly jobs: Jobs
  readonly killState: KillState
}

/** Hears what other replicas commit, so that nobody waits for the next poll or beat. */
export function peerListener({ store, events, replica, jobs, killState }: PeerParts): Listener {
  const config = store.clientConfig('portcullis-listener')
  return new Listener(config, LEDGER_CHANNEL, (payload) => {
    const [seq = '0', epoch = '0', origin = '', queues = ''] = payload.split(':')
    // Its own batch: published and woken already, or recovered by the next one.
    if (origin === replica.id) return
    if (BigInt(epoch) > killState.epoch) void replica.beat()
    events.advanceTo(BigInt(seq)).catch(() => {})
    for (const queue of queues.split(',')) jobs.wake(queue)
  })
}
