import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { JsonObject } from '../model/json.ts'
import { erased } from './erase.ts'

// A chunk is a JSON list of events, packed with gzip, and the limit is for what is sent (OPA: upload_size_limit_bytes). What
// does not fit goes into the next one. An event that is too large alone goes without its input, then without its result: that
// it was decided is never left out.

export interface Chunk {
  readonly bytes: Buffer
  /** How many of the events, from the first on. */
  readonly events: number
}

const LARGE = [['input'], ['result']]

/** The longest beginning of these events that fits; at least one. */
export async function packed(events: readonly JsonObject[], bytesMax: number): Promise<Chunk> {
  let count = events.length
  let bytes = await zipped(events)
  // The next guess is by what the last one weighed, so that few are packed in vain.
  while (count > 1 && bytes.length > bytesMax) {
    count = Math.max(1, Math.min(count - 1, Math.floor((count * bytesMax) / bytes.length)))
    bytes = await zipped(events.slice(0, count))
  }
  const [first] = events
  if (count > 1 || bytes.length <= bytesMax || !first) return { bytes, events: count }
  return { bytes: await smaller(first, bytesMax), events: 1 }
}

async function smaller(event: JsonObject, bytesMax: number): Promise<Buffer> {
  const some = await zipped([erased(event, LARGE.slice(0, 1))])
  return some.length <= bytesMax ? some : zipped([erased(event, LARGE)])
}

// Off the thread that decides.
const compress = promisify(gzip)
const zipped = (events: readonly JsonObject[]): Promise<Buffer> => compress(JSON.stringify(events))
