import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { Router, type Request, type Response } from 'express'
import { GatewayError } from '../../errors.ts'
import { header } from '../edge/context.ts'

// The page and its parts, as the build left them in dist/ui: nothing is made at run time, and nothing comes from
// elsewhere. Its names hold the hash of what is in them, so they are kept for good; the index is never kept, and gets
// a nonce for styles that a script makes. A path below /ui/ that is no file is a page of the dashboard's own.

const UI = path.join(import.meta.dirname, '..', '..', '..', 'dist', 'ui')
const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const ASSET = /^[\w-]+(?:\.[\w-]+)*\.(?:js|css|svg)$/
const NONCE_BYTES = 16
const NONCE = '__NONCE__'
/** What may stand in a policy without being read as more of it. */
const HOST = /^[A-Za-z0-9.:[\]-]{1,255}$/
/** A body below this gains nothing. */
const GZIP_BYTES_MIN = 1_000

interface Asset {
  readonly type: string
  readonly bytes: Buffer
  readonly gzipped: Buffer | null
}

/** `/ui/*`. */
export function pageRoutes(): Router {
  const router = Router({ caseSensitive: true })
  const assets = new Map<string, Asset | null>()
  const assetOf = (name: string): Asset | null => {
    const known = assets.get(name)
    if (known !== undefined) return known
    const read = ASSET.test(name) ? readAsset(name) : null
    if (read) assets.set(name, read) // only what there is, or anybody could fill it
    return read
  }
  router.get('/ui/assets/:name', (req, res) => sendAsset(req, res, assetOf(req.params.name)))
  router.get(['/ui', '/ui/{*page}'], sendIndex)
  return router
}

function readAsset(name: string): Asset | null {
  const file = path.join(UI, 'assets', name)
  if (!fs.existsSync(file)) return null
  const bytes = fs.readFileSync(file)
  const gzipped = bytes.length < GZIP_BYTES_MIN ? null : gzipSync(bytes, { level: 9 })
  return { type: TYPES[path.extname(name)] ?? 'application/octet-stream', bytes, gzipped }
}

function sendAsset(req: Request, res: Response, asset: Asset | null): void {
  if (!asset) throw new GatewayError('not_found', 'the dashboard has no such file')
  const takesGzip = /\bgzip\b/.test(header(req, 'accept-encoding') ?? '')
  const zipped = takesGzip ? asset.gzipped : null
  res.setHeader('Content-Type', asset.type)
  res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.setHeader('Cross-Origin-Resource-Policy', 'same-origin')
  res.vary('Accept-Encoding')
  if (zipped) res.setHeader('Content-Encoding', 'gzip')
  const body = zipped ?? asset.bytes
  res.setHeader('Content-Length', body.length)
  res.end(body)
}

let index: string | undefined

function sendIndex(req: Request, res: Response): void {
  index ??= readIndex()
  const nonce = randomBytes(NONCE_BYTES).toString('base64')
  res.setHeader('Content-Type', 'text/html; charset=utf-8')
  res.setHeader('Content-Security-Policy', policyFor(nonce, header(req, 'host') ?? ''))
  res.setHeader('X-Content-Type-Options', 'nosniff')
  res.setHeader('X-Frame-Options', 'DENY')
  res.setHeader('Referrer-Policy', 'no-referrer')
  res.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
  res.setHeader('Cache-Control', 'no-store')
  res.end(index.replace(NONCE, nonce))
}

function readIndex(): string {
  const file = path.join(UI, 'index.html')
  if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8')
  throw new GatewayError('not_found', 'the dashboard is not built: npm run build')
}

function policyFor(nonce: string, host: string): string {
  const sockets = HOST.test(host) ? ` ws://${host} wss://${host}` : ''
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    `connect-src 'self'${sockets}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
}
