import { trustedKeys } from '../agents/manifests.ts'
import { BrowserSessions } from '../agents/sessions.ts'
import type { Db } from '../store/tx.ts'
import { directAct } from './api/act.ts'
import { createApp } from './app.ts'
import { directProxy } from './proxy/proxy.ts'
import { TokenVerifier } from '../oauth/verifier.ts'
import { FailedLogins } from './edge/failed-logins.ts'
import { extAuthzService } from './ext-authz/grpc.ts'
import { extMcpService } from './ext-mcp/checks.ts'
import { GrpcPort } from './grpc/port.ts'
import { Fanout } from './streams/fanout.ts'
import { frontDoor } from './edge/front.ts'
import { Listening } from './edge/listening.ts'
import type { HttpParts } from './edge/parts.ts'
import { readiness, type ReadinessParts } from './edge/readiness.ts'
import { OpenStreams } from './streams/streams.ts'
import { ActivityStream } from './streams/websocket.ts'

/** What the door is made of; the rest of `HttpParts` belongs to the door itself. */
export type DoorParts = Omit<
  HttpParts,
  'failedLogins' | 'sessions' | 'fanout' | 'streams' | 'trust' | 'tokens' | 'readiness'
> &
  Omit<ReadinessParts, 'db'> & {
    /** Answers at once or not at all; lists and statistics go through `db`. */
    readonly quick: Db
  }

/** The HTTP door, still closed. */
export function httpDoor(given: DoorParts): Listening {
  const { config, events, keyRing, log, pipeline } = given
  const sessions = new BrowserSessions(given.quick, keyRing)
  const parts: HttpParts = {
    ...given,
    failedLogins: new FailedLogins(),
    sessions,
    fanout: new Fanout(events),
    streams: new OpenStreams({
      keyRing,
      sessions,
      events,
      perKey: config.streamsPerKey,
      max: config.streamsMax,
    }),
    trust: {
      keys: trustedKeys(config.manifestKeyFiles),
      profiles: new Set(config.signedProfiles),
    },
    tokens: config.oauth && new TokenVerifier(config.oauth, log),
    readiness: () => readiness({ ...given, db: given.quick }),
  }
  const { host, port } = config
  const app = frontDoor(parts, [directAct(parts), directProxy(parts)], createApp(parts))
  const keys = { keyRing, failed: parts.failedLogins }
  const beside =
    config.grpc === null
      ? undefined
      : new GrpcPort(parts, { ...config.grpc, host }, keys, [
          extAuthzService(parts, keys),
          extMcpService(parts, keys),
        ])
  const activity = new ActivityStream(parts)
  return new Listening({ host, port, app, activity, pipeline, log, beside })
}
