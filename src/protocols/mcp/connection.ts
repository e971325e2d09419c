import type { Sending, Sent } from './sending.ts'

/** Why a server cannot be used. */
export class PeerError extends Error {
  /** It has no such method, and perhaps all others. */
  readonly isUnknownMethod: boolean

  constructor(message: string, { isUnknownMethod = false } = {}) {
    super(message)
    this.isUnknownMethod = isUnknownMethod
  }
}

/** What a request is sent with. */
export type Asked = Pick<
  Sending,
  'method' | 'params' | 'options' | 'onNotification' | 'onRequest'
> & {
  /** Of what is called, for intermediaries; `Mcp-Param-*` besides. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A program that runs as a server. */
export interface Running {
  readonly pid: number
  readonly startedAt: Date
}

/** How one server is spoken to: over HTTP, or as a child of the gate. */
export interface Connection {
  /** Which protocol it was last found to speak; null: it did not say yet. */
  readonly era: 'modern' | 'legacy' | null
  /** Null: it does not run, or is none of the gate's. */
  readonly running: Running | null
  /** Sends one request in the protocol of the server. @throws PeerError where it could not be sent at all */
  ask(holder: string, asked: Asked): Promise<Sent>
  /** Nobody needs it any more; what is under way has so long to end. */
  stop(patienceMs?: number): Promise<void>
}
