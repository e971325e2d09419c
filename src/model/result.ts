/** What an upstream said, as it is stored and replayed. */
export interface StoredResult {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** UTF-8 text, or base64 where the bytes are not text. */
  readonly text?: string
  readonly base64?: string
  readonly truncated: boolean
  /** Some of it is on record as digests only. */
  readonly masked?: true
}
