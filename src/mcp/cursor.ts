import { INVALID_PARAMS, McpError, type Incoming } from './wire.ts'

/** Of a list, at once. */
export const PAGE = 100

/** What a cursor is good for: one list, of one revision, as one holder sees it. */
export interface CursorFor {
  readonly list: string
  readonly revision: string
  readonly holder: string
}

/** Makes a digest that nobody else can make. */
type Keyed = (text: string) => string

export interface Paged<Item> {
  readonly items: readonly Item[]
  readonly nextCursor: string | undefined
}

/**
 * One page of a list. Nobody but the gate makes cursors, and one is good for the list it came with alone.
 * @throws McpError for any other
 */
export function paged<Item>(
  all: readonly Item[],
  message: Incoming,
  of: CursorFor,
  keyed: Keyed,
): Paged<Item> {
  const from = startOf(message, of, keyed)
  const to = from + PAGE
  const nextCursor = to < all.length ? `${to}.${signed(to, of, keyed)}` : undefined
  return { items: all.slice(from, to), nextCursor }
}

function startOf({ params, id }: Incoming, of: CursorFor, keyed: Keyed): number {
  const { cursor } = params
  if (cursor === undefined) return 0
  const text = typeof cursor === 'string' ? cursor : ''
  const [, offset = '', digest = ''] = /^(\d{1,9})\.([0-9a-f]{64})$/.exec(text) ?? []
  const at = Number(offset)
  if (offset !== '' && signed(at, of, keyed) === digest) return at
  throw new McpError(INVALID_PARAMS, 'the cursor is not of this list: begin anew', { id })
}

const signed = (at: number, { list, revision, holder }: CursorFor, keyed: Keyed): string =>
  keyed(JSON.stringify(['mcp cursor', at, list, revision, holder]))
