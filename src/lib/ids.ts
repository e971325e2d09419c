import { randomBytes } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford base 32, lower case
const TIME_CHARS = 10
const RANDOM_CHARS = 16
const OPAQUE_CHARS = 26

export type IdPrefix =
  | 'act'
  | 'dec'
  | 'apr'
  | 'agt'
  | 'key'
  | 'req'
  | 'rep'
  | 'alr'
  | 'whk'
  | 'pln'
  | 'trn'
  | 'run'
  | 'rpt'
  | 'tpl'
  | 'met'
  | 'evt'
  | 'pub'
  | 'rpl'
  | 'cnr'

/** `act_01jd…`: a prefix, 10 characters of time in ms and 80 random bits, so ids sort by age. */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${encodeTime(nowMs)}${encodeRandom()}`
}

/** An id that says nothing, not even its age, and is not to be guessed: 130 random bits. */
export const opaqueId = (prefix: 'arq' | 'apv'): string => `${prefix}_${encodeRandom(OPAQUE_CHARS)}`

/** When an id was made, by the clock of whoever made it; undefined for what is none. */
export function timeOf(prefix: IdPrefix, text: string): number | undefined {
  if (!isId(prefix, text)) return undefined
  const time = text.slice(prefix.length + 1, prefix.length + 1 + TIME_CHARS)
  return Array.from(time).reduce((ms, char) => ms * 32 + ALPHABET.indexOf(char), 0)
}

/** What sorts before every id of this time, and after every older one. */
export const firstId = (prefix: IdPrefix, ms: number): string =>
  `${prefix}_${encodeTime(Math.max(0, ms))}`

export function isId(prefix: IdPrefix, text: string): boolean {
  return new RegExp(`^${prefix}_[${ALPHABET}]{${TIME_CHARS + RANDOM_CHARS}}$`).test(text)
}

function encodeTime(nowMs: number): string {
  let rest = nowMs
  let text = ''
  for (let i = 0; i < TIME_CHARS; i++) {
    text = ALPHABET.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}

// Random bytes are drawn from a pool: one system call per id would cost more than the rest of it.
let pool = Buffer.alloc(0)
let used = 0

function encodeRandom(chars = RANDOM_CHARS): string {
  if (used + chars > pool.length) {
    pool = randomBytes(4096)
    used = 0
  }
  let text = ''
  for (let i = 0; i < chars; i++) text += ALPHABET.charAt((pool[used++] ?? 0) & 31)
  return text
}
