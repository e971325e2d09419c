import fs from 'node:fs'
import { createSecureContext } from 'node:tls'
import type {
  Metadata,
  sendUnaryData,
  Server,
  ServerCredentials,
  ServerInterceptor,
  ServerUnaryCall,
} from '@grpc/grpc-js'
import type { Caller } from '../../agents/keys.ts'
import type { GrpcConfig } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { Client } from '../edge/client.ts'
import { callerOfKey } from '../edge/edge.ts'
import { toGatewayError } from '../edge/errors.ts'
import type { HttpParts } from '../edge/parts.ts'
import { type GrpcService, type Keys, statusOf } from './answering.ts'

// The port at which enforcement points ask over gRPC. Each has a key of role `pep`, in the metadata `authorization`; what it
// asks about has the agent's own. The library is loaded when the port is set, for few have it.

export type GrpcParts = Pick<HttpParts, 'inquiries' | 'log'>

/** The body that Envoy is configured to send at most, and what comes around it. */
const MESSAGE_BYTES_MAX = (1 << 20) + (128 << 10)

type Call = ServerUnaryCall<unknown, unknown>
type Callback = sendUnaryData<unknown>
type Library = Awaited<ReturnType<typeof libraries>>
type Grpc = Library['grpc']

interface Told {
  readonly requestId: string
  readonly say: (status: number, caller?: string) => void
}

export class GrpcPort {
  readonly #parts: GrpcParts
  readonly #at: GrpcConfig & { readonly host: string }
  readonly #keys: Keys
  readonly #services: readonly GrpcService[]
  /** Who sent a call, from its head on. */
  readonly #peps = new WeakMap<Metadata, Caller>()
  #server: Server | undefined

  constructor(
    parts: GrpcParts,
    at: GrpcConfig & { readonly host: string },
    keys: Keys,
    services: readonly GrpcService[],
  ) {
    this.#parts = parts
    this.#at = at
    this.#keys = keys
    this.#services = services
  }

  /** @throws Error with code `EXT_AUTHZ_GRPC` where the library is not installed, a file not read, or the port not to be had */
  async start(): Promise<void> {
    const library = await libraries()
    const { grpc } = library
    const server = new grpc.Server({
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_concurrent_streams': 1_000,
      interceptors: [this.#admission(grpc)],
    })
    for (const service of this.#services) await this.#serve(server, service, library)
    const { host, port } = this.#at
    const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const credentials = credentialsOf(this.#at, grpc)
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, credentials, (error) => {
        if (error) reject(cannot(`listen at ${address}, which EXT_AUTHZ_GRPC_PORT says`, error))
        else resolve()
      })
    })
    this.#server = server
    this.#parts.log.info({ address, tls: this.#at.tls !== null }, 'decisions over gRPC')
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

  async #serve(server: Server, service: GrpcService, { loader }: Library): Promise<void> {
    const definition = await loader.load(service.proto, {
      ...{ keepCase: true, longs: Number, defaults: true },
    })
    const handlers = Object.keys(service.calls).map((name) => {
      const handle = (call: Call, callback: Callback) =>
        void this.#answer(service, name, call, callback)
      return [name, handle] as const
    })
    server.addService(
      definition[service.name] as Parameters<Server['addService']>[0],
      Object.fromEntries(handlers),
    )
  }

  /** Whoever has no key that may ask is refused by the head of a call: nothing of a message is read and kept for them. */
  #admission({ ServerInterceptingCall }: Grpc): ServerInterceptor {
    return (method, call) => {
      const peer = call.getPeer()
      const service = this.#services.find(({ name }) => method.path.startsWith(`/${name}/`))
      const admit = async (metadata: Metadata, next: (metadata: Metadata) => void) => {
        const told = this.#teller(peer, service)
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

  async #answer(service: GrpcService, name: string, call: Call, callback: Callback): Promise<void> {
    const peer = call.getPeer()
    const told = this.#teller(peer, service)
    try {
      const pep = this.#peps.get(call.metadata)
      const answer = service.calls[name]
      if (!pep || !answer) throw new Error('a call was not looked at before it came in')
      this.#parts.inquiries.countOne(pep)
      const { requestId } = told
      const { request } = call
      const { message, status } = await answer({ request, pep, requestId, client: clientAt(peer) })
      told.say(status, pep.name)
      callback(null, message)
    } catch (error) {
      callback(this.#failure(error, told))
    }
  }

  /** Puts one call into the log and the numbers. */
  #teller(peer: string, service: GrpcService | undefined): Told {
    const requestId = newId('req')
    const startedAt = performance.now()
    const say = (status: number, caller?: string) => {
      service?.count(status)
      const ms = Math.round((performance.now() - startedAt) * 10) / 10
      const asked = { request_id: requestId, service: service?.name, status, ms }
      this.#parts.log.info({ ...asked, caller, client: peer }, 'check')
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
}

/** `ipv4:1.2.3.4:5` or `[::1]:5`, as the library says it. */
function clientAt(peer: string): Client {
  const [, address = ''] = /^(?:ipv[46]:)?\[?(.*?)\]?:\d+$/.exec(peer) ?? []
  return { address, scheme: 'http' }
}

/** Of a client's certificate it is only looked at whether that authority signed it: who asks is said by its key. */
function credentialsOf({ tls }: GrpcConfig, grpc: Grpc): ServerCredentials {
  if (tls === null) return grpc.ServerCredentials.createInsecure()
  const { certFile, keyFile, clientCaFile } = tls
  const pair = { cert_chain: read(certFile), private_key: read(keyFile) }
  const authority = clientCaFile === null ? null : read(clientCaFile)
  try {
    // The library says what is wrong with them only when it listens, and then of the port.
    createSecureContext({
      cert: pair.cert_chain,
      key: pair.private_key,
      ca: authority ?? undefined,
    })
    return grpc.ServerCredentials.createSsl(authority, [pair], authority !== null)
  } catch (cause) {
    throw cannot('use its certificate and key (EXT_AUTHZ_GRPC_TLS_*)', cause)
  }
}

function read(file: string): Buffer {
  try {
    return fs.readFileSync(file)
  } catch (cause) {
    throw cannot(`read ${file}, which EXT_AUTHZ_GRPC_TLS_* names`, cause)
  }
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
