import { canonicalJson, sha256 } from '../../lib/canonical.ts'
import type { Bytes } from '../../lib/spool.ts'
import type { BodyPart, Target } from '../../model/request.ts'

// A body is written of the target alone: texts from there, files by their digest. The boundary is a digest of all of
// it, so equal bodies are equal bytes, and nobody can write a file that holds the boundary it will stand in.

/** A body ready to be sent, with its length. */
export interface WrittenBody {
  readonly bytes: number
  readonly content: string | AsyncIterable<Buffer>
  /** Where the target's own headers do not say. */
  readonly contentType: string | null
}

/** What sends the bytes of files. */
export type FilesByDigest = (sha256: string) => Bytes | undefined

/** The body of a call; null for none. @throws where a file is not there */
export function writeBody(target: Target, files: FilesByDigest): WrittenBody | null {
  const { body, parts, file } = target
  if (file) {
    const bytes = found(files, file.sha256)
    return { bytes: bytes.bytes, content: bytes.read(), contentType: null }
  }
  if (parts) return writeParts(parts, files)
  if (body === null) return null
  return { bytes: Buffer.byteLength(body), content: body, contentType: 'application/json' }
}

function writeParts(parts: readonly BodyPart[], files: FilesByDigest): WrittenBody {
  const boundary = `portcullis-${sha256(canonicalJson(parts.map(described))).slice(0, 40)}`
  const pieces = parts.map((part) => ({
    head: Buffer.from(`--${boundary}\r\n${headOf(part)}\r\n\r\n`),
    content: 'file' in part ? found(files, part.file.sha256) : Buffer.from(part.text),
  }))
  const tail = Buffer.from(`--${boundary}--\r\n`)
  const bytes = pieces.reduce(
    (sum, { head, content }) =>
      sum + head.length + (Buffer.isBuffer(content) ? content.length : content.bytes) + CRLF.length,
    tail.length,
  )
  return {
    bytes,
    contentType: `multipart/form-data; boundary=${boundary}`,
    content: (async function* () {
      for (const { head, content } of pieces) {
        yield head
        if (Buffer.isBuffer(content)) yield content
        else yield* content.read()
        yield CRLF
      }
      yield tail
    })(),
  }
}

const CRLF = Buffer.from('\r\n')

const described = (part: BodyPart) =>
  'file' in part ? { name: part.name, file: { ...part.file } } : { ...part }

function found(files: FilesByDigest, digest: string): Bytes {
  const bytes = files(digest)
  if (!bytes) throw new Error('the bytes of a file are not there')
  return bytes
}

function headOf(part: BodyPart): string {
  const name = `Content-Disposition: form-data; name="${quoted(part.name)}"`
  if (!('file' in part)) {
    return part.content_type === null ? name : `${name}\r\nContent-Type: ${part.content_type}`
  }
  const { filename, content_type: type } = part.file
  return `${name}; filename="${quoted(filename ?? 'file')}"\r\nContent-Type: ${type}`
}

/** As browsers write it, and the HTML standard has it. */
const quoted = (text: string): string =>
  text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
