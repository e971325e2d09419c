import { GatewayError } from '../errors.ts'
import type { GivenFiles } from '../policy/store.ts'
import type { History } from './history.ts'

/** A file as it is sent: text, bytes, or the digest of a content that the gate keeps. */
export type SentFile = string | { readonly base64: string } | { readonly sha256: string }

/**
 * What was sent, as files.
 * @throws GatewayError `invalid_request` for what is no base64, or a digest whose content is not kept
 */
export async function givenFiles(
  sent: Readonly<Record<string, SentFile>>,
  history: History,
): Promise<GivenFiles> {
  const files: [string, Uint8Array][] = []
  for (const [name, file] of Object.entries(sent)) files.push([name, await bytesOf(file, history)])
  return { files: Object.fromEntries(files) }
}

async function bytesOf(file: SentFile, history: History): Promise<Uint8Array> {
  if (typeof file === 'string') return Buffer.from(file)
  if ('sha256' in file) return history.content(file.sha256)
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(file.base64)) {
    return Buffer.from(file.base64, 'base64')
  }
  throw new GatewayError('invalid_request', 'a file is no base64')
}
