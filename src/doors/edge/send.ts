import type { ServerResponse } from 'node:http'

/** Sends JSON text. Node's own calls only, so that every way out of the gate writes the same bytes. */
export function sendJsonText(res: ServerResponse, status: number, text: string): void {
  res.statusCode = status
  res.setHeader('Content-Type', 'application/json; charset=utf-8')
  res.setHeader('Content-Length', Buffer.byteLength(text))
  res.end(text)
}
