import type { KeyUses } from '../../agents/key-uses.ts'
import type { KeyRing } from '../../agents/keys.ts'
import type { BrowserSessions } from '../../agents/sessions.ts'
import type { ManifestTrust } from '../../agents/manifests.ts'
import type { AgentCache } from '../../agents/registry.ts'
import type { Config } from '../../config.ts'
import type { KillState } from '../../control/kill-state.ts'
import type { Replica } from '../../control/replica.ts'
import type { Logger } from '../../lib/log.ts'
import type { Lifecycle } from '../../lifecycle/lifecycle.ts'
import type { Operations } from '../../operations/operations.ts'
import type { TokenVerifier } from '../../oauth/verifier.ts'
import type { Inquiries } from '../../inquiries/inquiries.ts'
import type { Pipeline } from '../../pipeline/pipeline.ts'
import type { Replays } from '../../rehearsal/replays.ts'
import type { Sandbox } from '../../rehearsal/sandbox.ts'
import type { Plans } from '../../plans/plans.ts'
import type { Turns } from '../../turns/turns.ts'
import type { McpPeers } from '../../protocols/mcp/peers.ts'
import type { PolicyStore } from '../../policy/store.ts'
import type { Checkpointer } from '../../record/checkpoints.ts'
import type { EventStream } from '../../record/events.ts'
import type { HeldFiles } from '../../record/held-files.ts'
import type { RecordMask } from '../../record/mask.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { HeadFloor } from '../../store/head-floor.ts'
import type { Db } from '../../store/tx.ts'
import type { FailedLogins } from './failed-logins.ts'
import type { Fanout } from '../streams/fanout.ts'
import type { OpenStreams } from '../streams/streams.ts'
import type { Readiness } from './readiness.ts'

/** What the edge is built from. */
export interface HttpParts {
  readonly config: Config
  readonly version: string
  readonly db: Db
  readonly log: Logger
  readonly metrics: Metrics
  readonly keyRing: KeyRing
  readonly keyUses: KeyUses
  readonly failedLogins: FailedLogins
  readonly sessions: BrowserSessions
  readonly pipeline: Pipeline
  readonly inquiries: Inquiries
  readonly operations: Operations
  readonly plans: Plans
  readonly peers: McpPeers
  readonly agents: AgentCache
  readonly turns: Turns
  readonly sandbox: Sandbox
  readonly replays: Replays
  readonly policies: PolicyStore
  readonly lifecycle: Lifecycle
  readonly killState: KillState
  readonly replica: Replica
  readonly events: EventStream
  readonly mask: RecordMask
  readonly heldFiles: HeldFiles
  readonly fanout: Fanout
  readonly streams: OpenStreams
  readonly checkpoints: Checkpointer
  readonly floor: HeadFloor
  readonly trust: ManifestTrust
  /** Null: tokens are taken nowhere. */
  readonly tokens: TokenVerifier | null
  readonly readiness: () => Promise<readonly Readiness[]>
}

/**
 * The parts that a group of endpoints names, beside those that any write of it goes through: what a group
 * can reach is read off its signature.
 */
export type PartsOf<Name extends keyof HttpParts = never> = Pick<
  HttpParts,
  Name | 'operations' | 'mask' | 'policies'
>
