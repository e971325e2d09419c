import type { Calls, GateFailure, Json } from '../../client/api.ts'
import { signal } from '@preact/signals'

// The gate's public API and nothing else, by the cookie of the session. Every write carries the header that no foreign
// page can send, and a key of its own, so that one whose answer was lost is answered again and not carried out again.

/** What the gate refused, or that it cannot be reached. */
export class Failure extends Error {
  readonly status: number
  readonly code: string
  readonly requestId: string
  readonly details: Partial<GateFailure>
  /** The whole answer, for a refusal that is an answer: what is not ready. */
  readonly body: unknown

  constructor(status: number, failure: Partial<GateFailure>, requestId: string, body?: unknown) {
    super(failure.message ?? 'the gate does not answer')
    this.status = status
    this.code = failure.code ?? 'unreachable'
    this.requestId = requestId
    this.details = failure
    this.body = body
  }
}

/** Null: signed out; undefined: not known yet. */
export const session = signal<Calls['GET /ui/session']['answer'] | null | undefined>(undefined)
/** When the gate was last heard of, and whether it answers. */
export const heardAt = signal(0)
export const offline = signal(false)

type Name = keyof Calls
type Values = Readonly<Record<string, unknown>>
interface Given {
  readonly path?: Values
  readonly query?: Values
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Of a write that is repeated by hand: the same one. */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal
}

const ID_BYTES = 16

/** Not `randomUUID`, which browsers have over TLS only. */
export const newKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(ID_BYTES))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')

/** One call by its `METHOD /path`, typed by the API document. @throws Failure */
export async function call<N extends Name>(
  name: N,
  given: Given = {},
): Promise<Calls[N]['answer']> {
  return (await ask(name, given)).body as Calls[N]['answer']
}

/** The same with the status, for calls of which it says something. @throws Failure */
export async function ask(
  name: string,
  { path = {}, query = {}, body, headers = {}, idempotencyKey, signal: stop }: Given = {},
): Promise<{ readonly status: number; readonly body: unknown }> {
  const [method = 'GET', template = '/'] = name.split(' ')
  const url = template.replaceAll(/\{(\w+)\}/g, (_, part: string) =>
    encodeURIComponent(String(path[part])),
  )
  const isWrite = method !== 'GET'
  const response = await fetched(url + queryText(query), {
    method,
    credentials: 'same-origin',
    cache: 'no-store',
    headers: {
      ...(isWrite
        ? { 'x-portcullis-csrf': '1', 'idempotency-key': idempotencyKey ?? newKey() }
        : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(stop ? { signal: stop } : {}),
  })
  const text = await response.text()
  const answer = parsed(text)
  if (response.ok) return { status: response.status, body: answer }
  const { error = {} } = (answer ?? {}) as { error?: Partial<GateFailure> }
  if (response.status === 401 && template !== '/ui/session') session.value = null
  throw new Failure(response.status, error, response.headers.get('x-request-id') ?? '', answer)
}

/** Asks whether the gate is there, and who is signed in by now. */
export async function probe(): Promise<void> {
  try {
    session.value = await call('GET /ui/session')
  } catch (error) {
    if (error instanceof Failure && error.status === 401) session.value = null
  }
}

async function fetched(url: string, init: RequestInit): Promise<Response> {
  try {
    const response = await fetch(url, init)
    heardAt.value = Date.now()
    offline.value = false
    return response
  } catch (error) {
    if ((error as Error).name !== 'AbortError') offline.value = true
    throw new Failure(0, {}, '')
  }
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

function queryText(query: Values): string {
  const given = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== '' && value !== null,
  )
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return text === '' ? '' : `?${text}`
}

const RANK = ['observer', 'approver', 'operator', 'admin']

/** Whether whoever is signed in has at least this role. The gate decides; this only explains. */
export const hasRole = (role: 'approver' | 'operator' | 'admin'): boolean =>
  RANK.indexOf(session.value?.role ?? '') >= RANK.indexOf(role)

/** What stands beside what a role may not do. */
export const needs = (role: 'approver' | 'operator' | 'admin'): string =>
  hasRole(role) ? '' : `needs the role ${role}`
