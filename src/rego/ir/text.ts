const utf8 = new TextEncoder()
/** Up to this length a loop is faster than the encoder is to call. */
const SHORT = 64

/** A text as UTF-8. */
export function bytesOf(text: string): Uint8Array {
  if (text.length > SHORT) return utf8.encode(text)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return utf8.encode(text)
    bytes[i] = code
  }
  return bytes
}
