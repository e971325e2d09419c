/**
 * `invalid`: it is none of those that are taken here. `expired`: it was. `scope`: it is for less. `unavailable`: that cannot be
 * told at the moment.
 */
export type TokenProblem = 'invalid' | 'expired' | 'scope' | 'unavailable'

/** What is wrong with a token, in words that whoever sent it may read; nothing of the token is in them. */
export class TokenError extends Error {
  readonly problem: TokenProblem
  readonly retryAfterS: number | undefined

  constructor(
    problem: TokenProblem,
    message: string,
    { cause, retryAfterS }: { readonly cause?: unknown; readonly retryAfterS?: number } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TokenError'
    this.problem = problem
    this.retryAfterS = retryAfterS
  }
}
