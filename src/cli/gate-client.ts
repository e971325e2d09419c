import fs from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../config.ts'
import type { Diagnostic } from '../sources/diagnostics.ts'
import { CliError, EXIT, visible } from './exit.ts'

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
  headers: Headers = {},
): Promise<Response> {
  const response = await reach(options, method, route, body, headers)
  if (response.ok) return response
  const answer = (await response.json().catch(() => ({}))) as {
    error?: Refusal & { code?: string }
  }
  const code = answer.error?.code ?? String(response.status)
  throw new GateRefusal(code, answer.error)
}

/** The same, of an answer that is JSON. */
export async function ask<T>(
  options: ClientOptions,
  method: string,
  route: string,
  body?: unknown,
  headers: Headers = {},
): Promise<T> {
  return (await (await call(options, method, route, body, headers)).json()) as T
}

type Headers = Readonly<Record<string, string>>

/** What a gate that answers said no with, and what to do about it. */
export class GateRefusal extends CliError {
  readonly code: string
  /** Of a policy that does not load. */
  readonly diagnostics: readonly Diagnostic[]
  /** The change that could not be made there. */
  readonly patch: string | undefined

  constructor(code: string, error: Refusal = {}) {
    const { message = 'the gate refused', next_action: next, diagnostics = [], patch } = error
    super(EXIT.internal, visible(`${code}: ${message}${next ? `; ${next}` : ''}`))
    this.code = code
    this.diagnostics = diagnostics
    this.patch = patch
  }
}

interface Refusal {
  readonly message?: string
  readonly next_action?: string
  readonly diagnostics?: readonly Diagnostic[]
  readonly patch?: string
}

/** A path with its values escaped: path`/agents/${name}`. */
export const path = (texts: TemplateStringsArray, ...values: readonly string[]): string =>
  texts.reduce((all, text, at) => `${all}${encodeURIComponent(values[at - 1] ?? '')}${text}`)

/** A path followed by a query of what is given. */
export function query(
  route: string,
  members: Readonly<Record<string, string | undefined>>,
): string {
  const given = Object.entries(members).filter((one): one is [string, string] => !!one[1])
  return given.length === 0 ? route : `${route}?${new URLSearchParams(given).toString()}`
}

async function reach(
  options: ClientOptions,
  method: string,
  route: string,
  body: unknown,
  headers: Headers,
): Promise<Response> {
  const url = gateUrl(options.url)
  try {
    return await fetch(new URL(route, url), {
      method,
      headers: {
        'x-api-key': options.key ?? defaultKey(),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
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

/** Where the gate listens: where it is said, else where that of the same environment does. */
export function gateUrl(said?: string): string {
  if (said !== undefined) return said.replace(/\/+$/, '')
  const { env, host, port } = readConfig()
  const given = env['PORTCULLIS_URL']
  if (given) {
    if (URL.canParse(given)) return given
    throw new CliError(EXIT.usage, 'PORTCULLIS_URL is not a URL')
  }
  // What listens on every address is reached on this machine's own.
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${near.includes(':') ? `[${near}]` : near}:${port}`
}

function defaultKey(): string {
  const config = readConfig()
  const given = config.env['PORTCULLIS_KEY']
  if (given) return given
  const file = join(config.dataDir, ADMIN_KEY_FILE)
  if (fs.existsSync(file)) return fs.readFileSync(file, 'utf8').trim()
  throw new CliError(EXIT.usage, 'no key: give --key or set PORTCULLIS_KEY')
}
