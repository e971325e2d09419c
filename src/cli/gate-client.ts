import fs from 'node:fs'
import path from 'node:path'
import { readConfig } from '../config.ts'
import { CliError, EXIT } from './exit.ts'
import { ROOT } from './root.ts'

export interface ClientOptions {
  readonly url?: string
  readonly key?: string
}

/** The admin key that the first start left in DATA_DIR. */
export const ADMIN_KEY_FILE = 'admin.key'

/** Calls a running gate. @throws CliError with what the gate said */
export async function call(
  options: ClientOptions,
  method: string,
  route: string,
  body?: unknown,
): Promise<Response> {
  const response = await reach(options, method, route, body)
  if (response.ok) return response
  const answer = (await response.json().catch(() => ({}))) as {
    error?: { code?: string; message?: string }
  }
  const { code = String(response.status), message = response.statusText } = answer.error ?? {}
  throw new CliError(EXIT.internal, `${code}: ${message}`)
}

async function reach(
  options: ClientOptions,
  method: string,
  route: string,
  body: unknown,
): Promise<Response> {
  const url = options.url ?? defaultUrl()
  try {
    return await fetch(new URL(route, url), {
      method,
      headers: {
        'x-api-key': options.key ?? defaultKey(),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(
      EXIT.internal,
      `no gate answers at ${url}; is it running there? PORTCULLIS_URL, HOST and PORT, or --url say where`,
    )
  }
}

/** Where the gate of the same environment listens. */
function defaultUrl(): string {
  const { env, host, port } = readConfig(ROOT)
  const given = env['PORTCULLIS_URL']
  if (given !== undefined) {
    if (URL.canParse(given)) return given
    throw new CliError(EXIT.usage, 'PORTCULLIS_URL is not a URL')
  }
  // What listens on every address is reached on this machine's own.
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${near.includes(':') ? `[${near}]` : near}:${port}`
}

function defaultKey(): string {
  const config = readConfig(ROOT)
  const given = config.env['PORTCULLIS_KEY']
  if (given) return given
  const file = path.join(config.dataDir, ADMIN_KEY_FILE)
  if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8').trim()
  throw new CliError(EXIT.usage, 'no key: give --key or set PORTCULLIS_KEY')
}
