/** PostgreSQL text holds no NUL and no half of a character, and a message may quote either. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}
