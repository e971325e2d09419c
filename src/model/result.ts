/** What an upstream said, as it is stored and replayed. */
export interface StoredResult {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** UTF-8 text, or base64 where the bytes are not text. */
  readonly text?: string
  readonly base64?: string
  readonly truncated: boolean
  /** Of all of it, where this is its beginning. */
  readonly bytes?: number
  readonly sha256?: string
  /** The rest of it is kept for a while, for the agent to fetch. */
  readonly kept?: true
  /** Headers that callers get besides the usual ones. */
  readonly returns?: readonly string[]
  /** Some of it is on record as digests only. */
  readonly masked?: true
}
