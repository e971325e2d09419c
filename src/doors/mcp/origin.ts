import type { RequestHandler } from 'express'
import { GatewayError } from '../../errors.ts'
import { header } from '../edge/context.ts'
import type { Config } from '../../config.ts'

// A page in somebody's browser can reach what listens on that machine, and with a name of its own that it lets point
// there it counts as of the same origin (DNS rebinding). So before anything else, the key included, a request has to name
// a host and an origin that are this gate's own.

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]', '::1'])

/** Refuses foreign origins, and foreign hosts where only this machine is listened to. */
export function ownOrigin({
  host,
  publicServerUrl,
  allowedOrigins,
}: Pick<Config, 'host' | 'publicServerUrl' | 'allowedOrigins'>): RequestHandler {
  const own = publicServerUrl === null ? [] : [publicServerUrl]
  const origins = new Set([...allowedOrigins, ...own.map((url) => new URL(url).origin)])
  const hosts = new Set([...origins].map((origin) => new URL(origin).host))
  const isLocal = LOOPBACK.has(host)
  return (req, _res, next) => {
    const origin = header(req, 'origin')
    if (origin !== undefined && !origins.has(origin) && !isLoopback(origin)) {
      throw new GatewayError('forbidden', 'this origin is not allowed here')
    }
    if (isLocal && !isOwnHost(header(req, 'host') ?? '', hosts)) {
      throw new GatewayError('forbidden', 'this host is not served here')
    }
    next()
  }
}

const isOwnHost = (host: string, hosts: ReadonlySet<string>): boolean =>
  hosts.has(host.toLowerCase()) || isLoopback(`http://${host}`)

function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { hostname, protocol, username, password } = new URL(url)
  const isPlain = username === '' && password === '' && /^https?:$/.test(protocol)
  return isPlain && LOOPBACK.has(hostname)
}
