import net from 'node:net'

const PATIENCE_MS = 3_000

export interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Bytes as they are, where fetch would tidy them. */
export type Bytes = string | Uint8Array

export interface RawResult {
  readonly answers: readonly RawAnswer[]
  /** False when the other side neither answered nor closed for some seconds. */
  readonly closed: boolean
}

/**
 * Writes bytes on a new connection and reads until the other side closes it, so requests should say
 * `Connection: close`. Whoever keeps it open gets as many answers as came before patience ended.
 */
export function rawExchange(url: string, ...parts: readonly Bytes[]): Promise<RawResult> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname)
    const chunks: Buffer[] = []
    let closed = true
    socket.setTimeout(PATIENCE_MS, () => {
      closed = false
      socket.destroy()
    })
    socket.on('error', () => {}) // followed by `close`; a refusal may reset what was still being sent
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('close', () => resolve({ answers: parseAnswers(Buffer.concat(chunks)), closed }))
    for (const part of parts) socket.write(part)
  })
}

/** The first answer, which is the only one expected. */
export async function rawOne(url: string, ...parts: readonly Bytes[]): Promise<RawAnswer> {
  const { answers } = await rawExchange(url, ...parts)
  const [answer] = answers
  if (!answer || answers.length > 1) throw new Error(`${answers.length} answers`)
  return answer
}

/** A request that closes its connection; headers are written as they are given. */
export function rawRequest(
  start: string,
  headers: readonly string[],
  body: Bytes = '',
): readonly [string, Bytes] {
  return [`${start}\r\n${[...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`, body]
}

function parseAnswers(bytes: Buffer): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = bytes
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    const head = rest.subarray(0, end).toString('latin1')
    const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]
    if (end < 0 || status === undefined) return answers
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? rest.length)
    const body = rest.subarray(end + 4, end + 4 + length)
    if (!status.startsWith('1')) answers.push({ status: Number(status), head, body: String(body) })
    rest = status.startsWith('1') ? rest.subarray(end + 4) : rest.subarray(end + 4 + body.length)
  }
}
