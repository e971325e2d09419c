import type { JsonObject } from '../model/json.ts'
import type { RecordMask } from './mask.ts'

// What was asked for in an access request, in clear, is for those who may decide: it is kept sealed, bound to its row, so that
// what was sealed for one cannot be put beside another.

const placeOf = (id: string): string => `access request ${id}`

export const sealedAsk = (mask: RecordMask, id: string, ask: JsonObject): string =>
  mask.sealFor(placeOf(id)).close(JSON.stringify(ask))

/** Undefined where none can be had: of another secret, or of another row. */
export function openedAsk(mask: RecordMask, id: string, sealed: string): JsonObject | undefined {
  try {
    return JSON.parse(mask.sealFor(placeOf(id)).open(sealed)) as JsonObject
  } catch {
    return undefined
  }
}
