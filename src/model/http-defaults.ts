import type { HttpCallRules, HttpUpstream } from './tool.ts'

const MIB = 1 << 20
const RESULT_TTL_MS = 3_600_000

/** What a client may send along where the policy does not say: it negotiates, and changes nothing. */
export const PASS_HEADERS: readonly string[] = Object.freeze([
  'accept',
  'accept-language',
  'range',
  'if-none-match',
  'if-match',
  'if-modified-since',
  'prefer',
])

export const PLAIN_UPSTREAM: HttpUpstream = Object.freeze({
  headers: Object.freeze({}),
  passHeaders: PASS_HEADERS,
  idleTimeoutMs: 60_000,
  totalTimeoutMs: 900_000,
  answerBytesMax: 100 * MIB,
})

/** A call that says nothing but method and path. */
export const PLAIN_CALL: HttpCallRules = Object.freeze({
  params: Object.freeze([]),
  body: 'plain',
  contentType: null,
  bodyArg: null,
  bodyBytesMax: MIB,
  files: Object.freeze([]),
  extraQuery: false,
  response: Object.freeze({ stream: 'auto', bytesMax: null, redirects: 'pass_on_read' }),
  retryableStatus: Object.freeze([]),
  returnHeaders: Object.freeze([]),
  onHold: 'accepted',
  waitMs: 0,
  resultTtlMs: RESULT_TTL_MS,
})
