const STANDARD = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * The bytes of standard, padded base64 (RFC 4648 section 4), or undefined for any other text. Node reads
 * leniently: it skips foreign characters and ignores the unused bits before the padding, so that several
 * texts are one signature. Here exactly one text is.
 */
export function bytesOfBase64(text: string): Buffer | undefined {
  if (!STANDARD.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
