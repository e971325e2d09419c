import type { IncomingMessage } from 'node:http'
import path from 'node:path'
import type {
  Metadata,
  sendUnaryData,
  Server,
  ServerInterceptor,
  ServerUnaryCall,
} from '@grpc/grpc-js'
import type { Caller } from '../../agents/keys.ts'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { Client } from '../edge/client.ts'
import { setState, stateOf } from '../edge/context.ts'
import { allow, assertSingle, callerOfKey, presentedKey } from '../edge/edge.ts'
import { errorBody, errorHeaders, toGatewayError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { type CheckRequest, heldRequest } from './held-request.ts'
import { type ExtAuthzParts, isDecided, judged, keysIn, type Verdict } from './verdict.ts'

// Envoy's external authorization over gRPC. Envoy itself has a key of role `pep`, in the metadata `authorization`; the
// request that it asks about has the agent's own. What was decided is an answer (`CheckResponse`); whatever kept the gate
// from deciding is an error of gRPC, which Envoy takes as a refusal with `failure_mode_allow: false`. The library is
// loaded when the port is set, for few have it.

export type GrpcParts = ExtAuthzParts &
  Pick<HttpParts, 'keyRing' | 'failedLogins' | 'inquiries' | 'metrics' | 'log'>

/** Numbers of gRPC's statuses. */
const CODES = {
  OK: 0,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const
/** The body that Envoy is configured to send at most, and what comes around it. */
const MESSAGE_BYTES_MAX = (1 << 20) + (128 << 10)
const OVERWRITE = 2

type Call = ServerUnaryCall<CheckRequest, unknown>
type Callback = sendUnaryData<unknown>
type Grpc = Awaited<ReturnType<typeof libraries>>['grpc']

interface Told {
  readonly requestId: string
  readonly say: (status: number, caller?: string) => void
}

/** The port at which Envoy asks. */
export class ExtAuthzGrpc {
  readonly #parts: GrpcParts
  readonly #at: { readonly host: string; readonly port: number }
  readonly #keys: Parameters<typeof callerOfKey>[0]
  /** Who sent a call, from its head on. */
  readonly #peps = new WeakMap<Metadata, Caller>()
  #server: Server | undefined

  constructor(parts: GrpcParts, at: { readonly host: string; readonly port: number }) {
    this.#parts = parts
    this.#at = at
    this.#keys = { keyRing: parts.keyRing, failed: parts.failedLogins }
  }

  /** @throws Error with code `EXT_AUTHZ_GRPC` where the library is not installed, or the port cannot be listened on */
  async start(): Promise<void> {
    const { grpc, loader } = await libraries()
    const definition = await loader.load(path.join(import.meta.dirname, 'ext_authz.proto'), {
      ...{ keepCase: true, longs: Number, defaults: true },
    })
    const service = definition['envoy.service.auth.v3.Authorization']
    const server = new grpc.Server({
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_concurrent_streams': 1_000,
      interceptors: [this.#admission(grpc)],
    })
    server.addService(service as Parameters<Server['addService']>[0], {
      Check: (call: Call, callback: Callback) => void this.#check(call, callback),
    })
    const { host, port } = this.#at
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const insecure = grpc.ServerCredentials.createInsecure()
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, insecure, (error) => {
        if (error) reject(cannot(`listen at ${address}, which EXT_AUTHZ_GRPC_PORT says`, error))
        else resolve()
      })
    })
    this.#server = server
    this.#parts.log.info({ address }, 'ext_authz over gRPC')
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#server) this.#server.tryShutdown(() => resolve())
      else resolve()
    })
  }

  cut(): void {
    this.#server?.forceShutdown()
  }

  /** Whoever has no key that may ask is refused by the head of a call: nothing of a message is read and kept for them. */
  #admission({ ServerInterceptingCall }: Grpc): ServerInterceptor {
    return (_method, call) => {
      const peer = call.getPeer()
      const admit = async (metadata: Metadata, next: (metadata: Metadata) => void) => {
        const told = this.#teller(peer)
        try {
          this.#peps.set(metadata, await this.#pepOf(metadata, peer))
        } catch (error) {
          call.sendStatus(this.#failure(error, told))
          return
        }
        next(metadata)
      }
      return new ServerInterceptingCall(call, {
        start: (next) => {
          next({ onReceiveMetadata: (metadata, goOn) => void admit(metadata, goOn) })
        },
      })
    }
  }

  async #check(call: Call, callback: Callback): Promise<void> {
    const told = this.#teller(call.getPeer())
    try {
      const pep = this.#peps.get(call.metadata)
      if (!pep) throw new Error('a call was not looked at before it came in')
      this.#parts.inquiries.countOne(pep)
      const response = await this.#answered(call, told.requestId)
      told.say(response.status.code, pep.name)
      callback(null, response)
    } catch (error) {
      callback(this.#failure(error, told))
    }
  }

  /** Puts one call into the log and the numbers. */
  #teller(peer: string): Told {
    const { log, metrics } = this.#parts
    const requestId = newId('req')
    const startedAt = performance.now()
    const say = (status: number, caller?: string) => {
      metrics.extAuthzChecks.inc({ status: String(status) })
      const ms = Math.round((performance.now() - startedAt) * 10) / 10
      log.info({ request_id: requestId, status, ms, caller, client: peer }, 'check')
    }
    return { requestId, say }
  }

  #failure(error: unknown, { requestId, say }: Told): { code: number; details: string } {
    const known = toGatewayError(error)
    const { log } = this.#parts
    if (known.status >= 500) log.error({ err: error, request_id: requestId }, known.code)
    const code = statusOf(known)
    say(code)
    return { code, details: `${known.code}: ${known.message}` }
  }

  /** Who asks. @throws GatewayError `unauthenticated`, `forbidden` */
  async #pepOf(metadata: Metadata, peer: string): Promise<Caller> {
    const given = metadata.get('authorization')
    const key =
      given.length === 1 ? /^Bearer +(\S{1,512})$/i.exec(String(given[0]))?.[1] : undefined
    if (key === undefined) {
      throw new GatewayError('unauthenticated', 'a key is needed: metadata authorization')
    }
    const caller = await callerOfKey(this.#keys, key, clientAt(peer))
    if (caller.role === 'pep' || caller.role === 'admin') return caller
    throw new GatewayError('forbidden', `a key of role ${caller.role} may not do this`)
  }

  async #answered(call: Call, requestId: string): Promise<CheckResponse> {
    let req: IncomingMessage
    let verdict: Verdict
    try {
      req = heldRequest(call.request)
      await this.#identify(req, requestId, clientAt(call.getPeer()))
      verdict = await judged(req, this.#parts)
    } catch (error) {
      const known = toGatewayError(error)
      // Whoever cannot tell does not answer.
      if (!isDecided(known)) throw error
      return denied(known)
    }
    if (verdict.allowed) return allowed(req, verdict)
    const { error } = verdict
    if (!isDecided(error)) throw error
    return denied(error)
  }

  /** Whose request it is. @throws GatewayError */
  async #identify(req: IncomingMessage, requestId: string, client: Client): Promise<void> {
    const startedAt = performance.now()
    const state = { requestId, startedAt, client, presentedKey: undefined, body: undefined }
    setState(req, { ...state, caller: null })
    assertSingle(req)
    const key = presentedKey(req)
    if (key !== undefined) {
      const caller = await callerOfKey(this.#keys, key, client)
      Object.assign(stateOf(req), { caller, presentedKey: key })
    }
    await allow('agent')(req, undefined as never)
  }
}

interface CheckResponse {
  readonly status: { readonly code: number; readonly message?: string }
}

function allowed(
  req: IncomingMessage,
  { decisionId, revision }: Extract<Verdict, { allowed: true }>,
): CheckResponse {
  const ok_response = {
    headers: [headerOption('portcullis-decision', decisionId)],
    headers_to_remove: keysIn(req),
  }
  const fields = { decision_id: { string_value: decisionId }, revision: { string_value: revision } }
  return Object.assign(
    { status: { code: CODES.OK } },
    { ok_response, dynamic_metadata: { fields } },
  )
}

function denied(error: GatewayError): CheckResponse {
  const headers = [headerOption('content-type', 'application/json; charset=utf-8')]
  const setHeader = (name: string, value: unknown) => {
    headers.push(headerOption(name.toLowerCase(), String(value)))
  }
  errorHeaders({ setHeader } as unknown as Parameters<typeof errorHeaders>[0], error)
  const decisionId = error.details['decision_id']
  if (typeof decisionId === 'string') setHeader('portcullis-decision', decisionId)
  const denied_response = {
    status: { code: error.status },
    headers,
    body: JSON.stringify(errorBody(error)),
  }
  const status = { code: statusOf(error), message: error.code }
  return Object.assign({ status }, { denied_response })
}

const headerOption = (key: string, value: string) => ({
  header: { key, value },
  append_action: OVERWRITE,
})

/** Never 0, whatever the error. */
function statusOf(error: GatewayError): number {
  if (error.status === 401) return CODES.UNAUTHENTICATED
  if (error.status === 429) return CODES.RESOURCE_EXHAUSTED
  return isDecided(error) ? CODES.PERMISSION_DENIED : CODES.UNAVAILABLE
}

/** `ipv4:1.2.3.4:5` or `[::1]:5`, as the library says it. */
function clientAt(peer: string): Client {
  const [, address = ''] = /^(?:ipv[46]:)?\[?(.*?)\]?:\d+$/.exec(peer) ?? []
  return { address, scheme: 'http' }
}

async function libraries() {
  try {
    const [grpc, loader] = await Promise.all([
      import('@grpc/grpc-js'),
      import('@grpc/proto-loader'),
    ])
    return { grpc, loader }
  } catch (cause) {
    const way = 'npm install @grpc/grpc-js @grpc/proto-loader'
    throw cannot(`speak gRPC, as EXT_AUTHZ_GRPC_PORT asks, without its library: ${way}`, cause)
  }
}

const cannot = (what: string, cause: unknown): Error =>
  Object.assign(new Error(`cannot ${what}`, { cause }), { code: 'EXT_AUTHZ_GRPC' })
