import type { IncomingMessage } from 'node:http'
import type { KeyRing } from '../../agents/keys.ts'
import type { SentHeaders } from '../../bundle/headers.ts'
import { GatewayError } from '../../errors.ts'
import type { SentFiles } from '../../lib/spool.ts'
import { UNSAID } from '../../model/request.ts'
import type { Tool } from '../../model/tool.ts'
import type { HttpCall, Submission } from '../../pipeline/submission.ts'
import { callerOf, stateOf } from '../edge/context.ts'
import { targetOf } from '../edge/edge.ts'
import type { HttpParts } from '../edge/parts.ts'
import { readProxied } from './body.ts'

// An HTTP request behind a prefix, as a submission: which tool it stands for, the bundle says that judges.

const UPSTREAM = /^[A-Za-z0-9._-]{1,64}$/

/** Where a request goes that came behind a prefix such as `/proxy/`. */
export interface Aimed {
  readonly upstream: string
  readonly path: string
  readonly query: string
}

/** The target as it was sent: nothing that normalises may touch it before the route match. */
export function aimOf(req: IncomingMessage, prefix: string): Aimed {
  const url = targetOf(req)
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const rest = path.startsWith(prefix) ? path.slice(prefix.length) : ''
  const slash = rest.indexOf('/')
  const upstream = slash < 0 ? rest : rest.slice(0, slash)
  if (!UPSTREAM.test(upstream)) {
    throw new GatewayError('not_found', `use ${prefix}{upstream}/{path}`)
  }
  return {
    upstream,
    path: slash < 0 ? '/' : rest.slice(slash),
    query: at < 0 ? '' : url.slice(at + 1),
  }
}

export interface Asked {
  readonly submission: Submission & { readonly call: HttpCall }
  /** The tool it stands for, once that is known. */
  readonly tool: () => Tool | undefined
}

export type AskedParts = Pick<HttpParts, 'heldFiles' | 'config' | 'keyRing'>

/** The request as it was sent, with nothing said beside it. */
export function toAsked(
  req: IncomingMessage,
  aimed: Aimed,
  files: SentFiles,
  { heldFiles: { spool }, config, keyRing }: AskedParts,
): Asked {
  const { uploadBytesMax } = config
  let found: Tool | undefined
  const submission = {
    caller: callerOf(req),
    requestId: stateOf(req).requestId,
    files,
    call: {
      ...aimed,
      method: req.method ?? '',
      headers: sentHeaders(req),
      body: async (tool: Tool) => {
        found = tool
        const startedAt = performance.now()
        const body = await readProxied(req, tool, { spool, files, uploadBytesMax })
        if (performance.now() - startedAt > KEY_CACHE_MS) await assertStillKnown(req, keyRing)
        return body
      },
    },
    ...UNSAID,
    idempotencyKey: null,
    waitMs: 0,
  }
  return { submission, tool: () => found }
}

/** As long as a key that was looked up is believed in. */
const KEY_CACHE_MS = 1_000

// A body may take minutes to come in, and a key that was revoked meanwhile acts no more.
async function assertStillKnown(req: IncomingMessage, keyRing: KeyRing): Promise<void> {
  const { presentedKey, caller } = stateOf(req)
  const again = presentedKey === undefined ? null : await keyRing.authenticate(presentedKey)
  if (again?.keyId === caller?.keyId) return
  throw new GatewayError('unauthenticated', 'the key is unknown or revoked')
}

/** As they came: Node drops some of what is there twice, and joins the rest. */
function sentHeaders({ rawHeaders }: IncomingMessage): SentHeaders {
  const sent = new Map<string, string[]>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    sent.set(name, [...(sent.get(name) ?? []), rawHeaders[at + 1] ?? ''])
  }
  return sent
}
