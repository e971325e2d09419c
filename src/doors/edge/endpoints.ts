import { Router, type Request, type RequestHandler, type Response } from 'express'
import type { Caller, KeyRole } from '../../agents/keys.ts'
import type { ErrorCode } from '../../errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Work } from '../../operations/once.ts'
import { aliasOf } from '../api/aliases.ts'
import { sendJson } from '../api/answers.ts'
import { bodyObject, callerOf, idParam, stateOf } from './context.ts'
import { readJson } from './body.ts'
import { allow, middleware } from './edge.ts'
import { onceOf } from './once.ts'
import type { PartsOf } from './parts.ts'
import { queryObject, type Shape } from './validate.ts'

// An endpoint is declared once, as data: from it come the route, the roles, the check of body and query, the
// ledger batch with its idempotency, and the OpenAPI document. A handler gets what was checked and returns
// what it answers; only streams and the upstream's own answers write to the response themselves.

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

/**
 * One call of the HTTP surface, declared once. Its schemas are what requests are checked by and what
 * the OpenAPI document shows, so the two cannot differ.
 */
export interface Endpoint<Body = unknown, Query = unknown> {
  readonly method: Method
  /** An Express path, such as `/api/v1/agents/:id`. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly roles: readonly KeyRole[] | 'open'
  readonly query?: Shape<Query>
  readonly body?: Shape<Body>
  /** Of a body that may be larger than others. */
  readonly bodyBytesMax?: number
  /** Headers that it reads itself, with what they are for. */
  readonly headers?: Readonly<Record<string, string>>
  /** Media types of a body that the handler reads itself, in place of `body`. */
  readonly accepts?: readonly string[]
  /** Of a success; 200 unless said otherwise. 204 sends nothing. */
  readonly status?: number
  /** JSON Schema of a success's body. Without one a success has no body; null: there is no success. */
  readonly answer?: JsonObject | null
  /** Media type of a success, unless it is JSON. */
  readonly media?: string
  /** Other answers, by status. */
  readonly also?: Readonly<Record<number, OtherAnswer>>
  /** How long its ledger batch may take, where that is longer than usual. */
  readonly deadlineMs?: number
  /** Errors of this call beyond those that any call may give. */
  readonly errors?: readonly ErrorCode[]
}

/** An answer of a status of its own: what it means, and the JSON Schema of its body, if it has one. */
export interface OtherAnswer {
  readonly means: string
  readonly answer?: JsonObject
  /** Of it, unless it is JSON; errors of the gate itself may have the same status. */
  readonly media?: string
}

/** What a handler is given: the request, checked. */
export class Asked<Body, Query> {
  readonly req: Request
  readonly res: Response
  readonly body: Body
  readonly query: Query

  constructor(req: Request, res: Response, body: Body, query: Query) {
    this.req = req
    this.res = res
    this.body = body
    this.query = query
  }

  /** Who calls. */
  get caller(): Caller {
    return callerOf(this.req)
  }

  /** The `:id` of the path. */
  get id(): string {
    return idParam(this.req)
  }

  param(name: string): string {
    return idParam(this.req, name)
  }

  get requestId(): string {
    return stateOf(this.req).requestId
  }
}

/** An answer with a status other than the call's own, or with headers. */
export class Reply {
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) {
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** What a group says of an endpoint beside its method and path; the tag is the group's. */
export type Declared<Body = unknown, Query = unknown> = Omit<
  Endpoint<Body, Query>,
  'method' | 'path' | 'tag'
>

type Handler<Body, Query, Answer> = (asked: Asked<Body, Query>) => Promise<Answer> | Answer
/** A group of endpoints: an Express router, and the table that the documentation is made from. */
export class Endpoints {
  readonly router: Router = Router({ caseSensitive: true })
  readonly table: Endpoint[] = []
  readonly #tag: string
  readonly #parts: PartsOf

  constructor(tag: string, parts: PartsOf) {
    this.#tag = tag
    this.#parts = parts
  }

  /** A call that changes nothing, or whose change brings its own idempotency. */
  on<Body, Query>(
    method: Method,
    path: string,
    declared: Declared<Body, Query>,
    handler: Handler<Body, Query, unknown>,
  ): this {
    return this.#add(method, path, declared, async (asked) =>
      send(asked, declared.status, await handler(asked)),
    )
  }

  /**
   * A call that changes something. The handler answers the work to do; it runs in one ledger batch,
   * and with an `Idempotency-Key` its answer is stored in the same batch: the same request again gets
   * that answer, another one with the same key gets 422.
   */
  write<Body, Query>(
    method: Method,
    path: string,
    declared: Declared<Body, Query>,
    handler: Handler<Body, Query, Work>,
  ): this {
    return this.#add(method, path, declared, async (asked) => {
      const work = await handler(asked)
      send(
        asked,
        declared.status,
        await this.#parts.operations.once(
          onceOf(asked.req, this.#parts),
          work,
          declared.deadlineMs,
        ),
      )
    })
  }

  /** A call whose handler writes the response itself: streams, and answers of the upstream. */
  stream<Body, Query>(
    method: Method,
    path: string,
    declared: Declared<Body, Query>,
    handler: Handler<Body, Query, void>,
  ): this {
    return this.#add(method, path, declared, handler)
  }

  #add<Body, Query>(
    method: Method,
    path: string,
    declared: Declared<Body, Query>,
    handle: (asked: Asked<Body, Query>) => Promise<void> | void,
  ): this {
    const endpoint: Endpoint<Body, Query> = { ...declared, method, path, tag: this.#tag }
    this.table.push(endpoint)
    const guards: RequestHandler[] =
      endpoint.roles === 'open' ? [] : [middleware(allow(...endpoint.roles))]
    if (endpoint.body) guards.push(middleware((req) => readJson(req, endpoint.bodyBytesMax)))
    this.router[endpoint.method](endpoint.path, ...guards, async (req, res) => {
      await handle(new Asked(req, res, bodyOf(req, endpoint), queryOf(req, endpoint)))
    })
    return this
  }
}

function bodyOf<Body>(req: Request, { body }: Endpoint<Body>): Body {
  if (!body) return undefined as Body
  const given = bodyObject(req)
  return body(aliasOf(req)?.body?.(given) ?? given)
}

const NO_PARAMETERS: JsonObject = { properties: {} }

function queryOf<Query>(req: Request, { query }: Endpoint<unknown, Query>): Query {
  const given = queryObject(req.url, query?.schema ?? NO_PARAMETERS)
  return query ? query(given) : (given as Query)
}

function send(asked: Asked<unknown, unknown>, status: number | undefined, answer: unknown): void {
  const { res, req } = asked
  const reply = answer instanceof Reply ? answer : new Reply(status ?? 200, answer)
  for (const [name, value] of Object.entries(reply.headers)) res.setHeader(name, value)
  if (reply.body === undefined) res.status(reply.status).end()
  else sendJson(res, reply.status, aliasOf(req)?.answer?.(reply.body as JsonObject) ?? reply.body)
}
