import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GatewayError } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import { errorBody } from './errors.ts'

/** The answer under way on a socket, as Node keeps it there. */
interface WithMessage {
  readonly _httpMessage?: { readonly headersSent: boolean } | null
}

/**
 * Answers bytes that are no HTTP request, which no route ever sees, in the one error shape, and
 * closes: where the next request would begin is unknown.
 */
export function malformed(log: Logger): (error: Error, socket: Duplex) => void {
  return (error, socket) => {
    const { code } = error as NodeJS.ErrnoException
    // oxlint-disable-next-line no-underscore-dangle -- Node's name
    const isAnswering = (socket as WithMessage)._httpMessage?.headersSent === true
    if (!socket.writable || isAnswering || code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const requestId = newId('req')
    const { remoteAddress: peer } = socket as Socket
    log.info({ request_id: requestId, reason: code, peer }, 'malformed request')
    socket.end(answer(requestId, toError(code)), () => socket.destroy())
  }
}

function toError(code: string | undefined): GatewayError {
  if (code === 'HPE_HEADER_OVERFLOW' || code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return new GatewayError('payload_too_large', 'the head of the request is too large')
  }
  const isLate = code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const message = isLate ? 'the request did not arrive in time' : 'the request is not HTTP/1.1'
  return new GatewayError('invalid_request', message)
}

function answer(requestId: string, error: GatewayError): string {
  const body = JSON.stringify(errorBody(error))
  return [
    `HTTP/1.1 ${error.status} ${error.status === 413 ? 'Payload Too Large' : 'Bad Request'}`,
    'Connection: close',
    `X-Request-Id: ${requestId}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n')
}
