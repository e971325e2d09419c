import v8 from 'node:v8'

/** Plain data in memory that threads share: handing it on costs nothing, reading it is up to whoever needs it. */
export type Shared = Uint8Array

export function share(value: unknown): Shared {
  return shareBytes(v8.serialize(value))
}

export function shareBytes(bytes: Uint8Array): Shared {
  if (bytes.buffer instanceof SharedArrayBuffer) return bytes
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}

export const unshare = (shared: Shared): unknown => v8.deserialize(Buffer.from(shared))
