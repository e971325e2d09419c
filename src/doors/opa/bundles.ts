import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { BundleSigner, OpaBundles } from '../../lifecycle/opa-bundle.ts'
import { header } from '../edge/context.ts'
import { Endpoints } from '../edge/endpoints.ts'
import type { HttpParts, PartsOf } from '../edge/parts.ts'
import { PEPS } from '../edge/roles.ts'
import { FAILURES } from './errors.ts'

// The bundle service of OPA, this gate being the server. A client that has the revision already is answered 304, at once or,
// where it says `Prefer: wait=30`, when another becomes live.

const MEDIA = 'application/vnd.openpolicyagent.bundles'
const WAIT_S_MAX = 60
const NAME = /^[A-Za-z0-9._-]{1,100}\.tar\.gz$/

type BundleParts = PartsOf<'lifecycle' | 'config'>

/** `GET /bundles/{name}.tar.gz`. */
export function opaBundleEndpoints(parts: BundleParts): Endpoints {
  const bundles = bundlesOf(parts)
  return new Endpoints('opa', parts).stream(
    'get',
    '/bundles/:name',
    {
      summary: 'The live policy as a bundle for OPA',
      description:
        'Rego and documents; guards are no Rego and not in it. `ETag` is the revision; `Prefer: wait=30` waits for another.',
      roles: PEPS,
      headers: {
        'If-None-Match': 'the `ETag` that is there already',
        Prefer: '`wait=30`: seconds to wait for another revision, at most 60',
      },
      media: MEDIA,
      answer: { description: 'a gzipped tar archive' },
      also: { ...FAILURES, 304: { means: 'it is the one that is there already' } },
      errors: ['not_found'],
    },
    async (asked) => {
      const { req, res } = asked
      if (!NAME.test(asked.param('name'))) throw new GatewayError('not_found', 'use {name}.tar.gz')
      await send(req, res, parts, bundles)
    },
  )
}

// The gate does not start with a key that cannot sign: bundles without a signature would be refused where one is wanted.
function bundlesOf({ policies, lifecycle, config }: BundleParts): () => OpaBundles {
  const { bundleSigningKeyFile: file, bundleSigningKeyId: keyId } = config
  const signer = file ? new BundleSigner(file, keyId) : undefined
  let bundles: OpaBundles | undefined
  return () => (bundles ??= new OpaBundles(policies, lifecycle.history, signer))
}

async function send(
  req: IncomingMessage,
  res: ServerResponse,
  { policies }: Pick<HttpParts, 'policies'>,
  bundles: () => OpaBundles,
): Promise<void> {
  const known = header(req, 'if-none-match')
  const isKnown = () => known === etagOf(policies.current.revision)
  if (isKnown()) await another(req, policies, waitMs(req))
  res.setHeader('Content-Type', MEDIA)
  res.setHeader('Cache-Control', 'no-cache')
  if (isKnown()) {
    res.setHeader('ETag', etagOf(policies.current.revision))
    res.statusCode = 304
    res.end()
    return
  }
  const { revision, bytes } = await bundles().current()
  res.setHeader('ETag', etagOf(revision))
  res.setHeader('Content-Length', bytes.length)
  res.end(bytes)
}

const etagOf = (revision: string): string => `"${revision}"`

function waitMs(req: IncomingMessage): number {
  const seconds = /(?:^|[,;\s])wait=(\d{1,3})/.exec(header(req, 'prefer') ?? '')?.[1]
  return Math.min(Number(seconds ?? 0), WAIT_S_MAX) * 1_000
}

/** Waits until another policy is live, the time is over, or nobody waits any more. */
function another(req: IncomingMessage, policies: HttpParts['policies'], ms: number): Promise<void> {
  if (ms === 0) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      unsubscribe()
      req.socket.off('close', done)
      resolve()
    }
    const timer = setTimeout(done, ms).unref()
    const unsubscribe = policies.subscribe({ onReloaded: done })
    req.socket.once('close', done)
  })
}
