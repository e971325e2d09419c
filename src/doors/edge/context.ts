import type { IncomingMessage } from 'node:http'
import type { Request } from 'express'
import type { Caller } from '../../agents/keys.ts'
import type { BrowserSession } from '../../agents/sessions.ts'
import { GatewayError } from '../../errors.ts'
import type { Client } from './client.ts'
import type { Json, JsonObject } from '../../model/json.ts'

/** What the edge knows of a request; set by its middlewares in order. */
export interface RequestState {
  requestId: string
  startedAt: number
  readonly client: Client
  caller: Caller | null
  /** The API key, or the cookie for it, as it was presented; it seals stored answers and goes nowhere else. */
  presentedKey: string | undefined
  /** What `WWW-Authenticate` says where the credential is refused, if that is more than `Bearer`. */
  challenge?: string
  /** Of a browser that is signed in, where its cookie stands in for a key. */
  session?: BrowserSession & { readonly id: string }
  /** Strictly parsed JSON, or undefined for an empty body. */
  body: Json | undefined
  /** What the log says of the path when it is answered, where that may hold what is masked. */
  shownPath?: () => string | undefined
}

const states = new WeakMap<object, RequestState>()

export function setState(req: object, state: RequestState): void {
  states.set(req, state)
}

export function stateOf(req: object): RequestState {
  const state = states.get(req)
  if (!state) throw new Error('the request has no state')
  return state
}

/** The authenticated caller. @throws GatewayError `unauthenticated` */
export function callerOf(req: object): Caller {
  const { caller } = stateOf(req)
  if (!caller) throw new GatewayError('unauthenticated', 'a key is needed: X-API-Key')
  return caller
}

/** The body as an object. @throws GatewayError `invalid_request` */
export function bodyObject(req: object): JsonObject {
  const { body } = stateOf(req)
  if (body === undefined) return {}
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new GatewayError('invalid_request', 'the body must be a JSON object')
  }
  return body as JsonObject
}

/** A single-valued header, trimmed; undefined when absent or empty. */
export function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name]
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

const ID_CHARS_MAX = 200

/** A parameter of the path. @throws GatewayError `not_found` for what cannot be an id or name */
export function idParam(req: Request, name = 'id'): string {
  const id = String(req.params[name])
  const isPrintable = !/[\p{Cc}]/u.test(id)
  if (isPrintable && id.length <= ID_CHARS_MAX) return id
  throw new GatewayError('not_found', 'no such id')
}
