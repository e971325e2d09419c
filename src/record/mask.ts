import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { canonicalJson } from '../lib/canonical.ts'
import { replaced, scalarsOf, spansAt } from '../lib/json-spans.ts'
import { Seal } from '../lib/seal.ts'
import type { Json } from '../model/json.ts'
import type { Pointers } from '../model/record-rules.ts'
import type { Db } from '../store/tx.ts'

// What the record does not hold in clear. A masked value is written as `masked:` and a digest under a key that all
// replicas share: equal values stay equal, and who has the record alone can neither read one back nor try guesses. A
// value that was masked once is then looked for in everything else that is written about the same action, because
// reasons quote, upstreams echo and models repeat.

const DIGEST_CHARS = 32
const DIGEST = /^"?masked:[0-9a-f]{32}"?$/
const KEY_INFO = 'portcullis record mask v1'
/** A shorter one is looked for as a whole word only: it is in too much that has nothing to do with it. */
const ANYWHERE_CHARS_MIN = 8
/** A shorter one is looked for in messages only. Three, because a card has a code of three digits. */
const DATA_CHARS_MIN = 3
/** Among numbers, where short ones are everywhere. */
const NUMBER_CHARS_MIN = 4
/** Values times characters: what would take longer is withheld whole, since everybody waits for it. */
const WORK_MAX = 40_000_000

/** Makes digests that nobody can make without the secret of these replicas, and seals what must be read again. */
export class RecordMask {
  readonly #secret: string
  readonly #key: Buffer

  constructor(secret: string) {
    this.#secret = secret
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', KEY_INFO, 32))
  }

  /** What is on record for a value. */
  digest(value: Json | undefined, text = canonicalJson(value ?? null)): string {
    return `masked:${this.#hmac(`value\0${text}`).slice(0, DIGEST_CHARS)}`
  }

  /** A hash that cannot be tried: for one over something that holds masked values. */
  keyed(hash: string): string {
    return this.#hmac(`hash\0${hash}`)
  }

  /** 32 bytes for one purpose, the same on all replicas, that nobody has without the secret. */
  keyFor(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#secret, '', purpose, 32))
  }

  /** Keeps what belongs to one row, readable by this gate alone and in its place alone. */
  sealFor(place: string): Seal {
    return new Seal(this.#secret, place)
  }

  #hmac(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('hex')
  }
}

/** The secret of these replicas: made by whichever starts first. */
export async function maskSecret(db: Db): Promise<string> {
  await db.query('insert into mask_secret (secret) values ($1) on conflict do nothing', [
    randomBytes(32).toString('hex'),
  ])
  const [row] = await db.query<{ secret: string }>('select secret from mask_secret')
  if (!row) throw new Error('the database has no secret for masks')
  return row.secret
}

/** The masked values of one action, and what is written of it without them. */
export class MaskedValues {
  readonly #mask: RecordMask
  /** By how they are spelt, without case. */
  readonly #digests = new Map<string, string>()
  #values = 0

  constructor(mask: RecordMask) {
    this.#mask = mask
  }

  get any(): boolean {
    return this.#values > 0
  }

  /** A value without what is at these pointers; what was there is looked for from now on. */
  hide<T extends Json>(value: T, pointers: Pointers): T {
    if (pointers.length === 0) return value
    return JSON.parse(this.hideIn(JSON.stringify(value), pointers)) as T
  }

  /** The same for JSON text, the rest of which stays as it is. */
  hideIn(text: string, pointers: Pointers): string {
    return replaced(text, spansAt(text, pointers), (part) => this.#hidden(part))
  }

  /** A value with every masked one found in its strings and numbers replaced. */
  swept<T extends Json>(value: T): T {
    return this.any ? (JSON.parse(this.sweptIn(JSON.stringify(value))) as T) : value
  }

  /** The same for JSON text. */
  sweptIn(text: string): string {
    if (!this.#mayBeIn(text)) return text
    const isTooMuch = this.#isTooMuch(text)
    return replaced(text, scalarsOf(text), (part, { isName }) => {
      if (DIGEST.test(part) || (isName && isTooMuch)) return part
      if (!part.startsWith('"')) return this.#number(part)
      const plain = JSON.parse(part) as string
      const swept = isTooMuch ? this.#unread(plain) : this.data(plain)
      return swept === plain ? part : JSON.stringify(swept)
    })
  }

  /** Text of somebody else, such as a string of the args or what an upstream says. */
  data(text: string): string {
    return this.#sweep(text, 'data')
  }

  /** A message of the gate or of a policy. */
  prose(text: string): string {
    return this.#sweep(text, 'prose')
  }

  /** The whole text as one masked value: for what cannot be taken apart. */
  withheld(text: string): string {
    this.#values++
    return this.#mask.digest(text)
  }

  #hidden(part: string): string {
    for (const { from, to, isName } of scalarsOf(part)) {
      if (!isName) this.#remember(part.slice(from, to))
    }
    this.#values++
    return JSON.stringify(this.#digestOf(part))
  }

  // JavaScript would take two long numbers for one.
  #digestOf(part: string): string {
    const value = JSON.parse(part) as Json
    const isExact =
      typeof value !== 'number' || Number.isSafeInteger(value) || !/^-?\d+$/.test(part)
    if (!isExact) return this.#mask.digest(null, part)
    try {
      return this.#mask.digest(value)
    } catch {
      return this.#mask.digest(null, part) // half a character, which has no canonical form
    }
  }

  #remember(part: string): void {
    const text = part.startsWith('"') ? (JSON.parse(part) as string) : part
    if (text === '' || /^masked$/i.test(text)) return
    const digest = this.#digestOf(part)
    for (const one of spellings(text)) this.#digests.set(folded(one), digest)
  }

  #number(part: string): string {
    const digest = part.length < NUMBER_CHARS_MIN ? undefined : this.#digests.get(part)
    return digest === undefined ? part : JSON.stringify(digest)
  }

  // Most texts have none, and one look at the whole costs less than one at each of its strings.
  #mayBeIn(json: string): boolean {
    if (this.#digests.size === 0) return false
    if (/\\[u/]/.test(json) || this.#isTooMuch(json)) return true // spelt in other ways, perhaps
    const text = folded(json)
    return [...this.#digests.keys()].some((value) => text.includes(value))
  }

  // Nothing that could hold a value goes through unread.
  #unread(text: string): string {
    return text.length < DATA_CHARS_MIN ? text : this.#mask.digest(text.toWellFormed())
  }

  #isTooMuch(text: string): boolean {
    return this.#digests.size * text.length > WORK_MAX
  }

  #sweep(text: string, kind: 'data' | 'prose'): string {
    if (this.#digests.size === 0) return text
    if (this.#isTooMuch(text)) return this.#unread(text)
    const within = folded(text)
    const found: Found[] = []
    for (const [value, digest] of this.#digests) {
      if (value.length < DATA_CHARS_MIN && kind === 'data') continue
      for (const from of placesOf(value, within)) {
        found.push({ from, to: from + value.length, digest })
      }
    }
    return found.length === 0 ? text : withDigests(text, found)
  }
}

interface Found {
  readonly from: number
  readonly to: number
  readonly digest: string
}

function* placesOf(value: string, text: string): Generator<number> {
  const isWord = value.length < ANYWHERE_CHARS_MIN
  for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) {
    const end = at + value.length
    if (isWord && (isLetter(text, at - 1) || isLetter(text, end))) continue
    yield at
  }
}

// Where two overlap, both go: half of one would be left otherwise.
function withDigests(text: string, found: readonly Found[]): string {
  const sorted = found.toSorted((a, b) => a.from - b.from || b.to - a.to)
  let whole = ''
  let at = 0
  for (const { from, to, digest } of sorted) {
    if (from >= at) whole += text.slice(at, from) + digest
    at = Math.max(at, to)
  }
  return whole + text.slice(at)
}

// Character by character: some are folded by what stands beside them, and some into two.
function folded(text: string): string {
  return text.replaceAll(/[A-Z]+|[^\0-\x7f]/g, (part) => {
    const lower = part.toLowerCase()
    return lower.length === part.length ? lower : part
  })
}

/** JSON within JSON within JSON: what an upstream echoes of a body, and a model is told of that. */
const QUOTED_TIMES_MAX = 3

/** As it is, as JSON quotes it, and as URLs do. */
function spellings(text: string): ReadonlySet<string> {
  const whole = text.toWellFormed()
  const encoded = encodeURIComponent(whole)
  const quoted = [text]
  for (let times = 0; times < QUOTED_TIMES_MAX; times++) {
    quoted.push(JSON.stringify(quoted.at(-1)).slice(1, -1))
  }
  return new Set([...quoted, encoded, encoded.replaceAll('%20', '+')])
}

/** Part of a word: a letter or digit, and half of a character, which may be one. */
const isLetter = (text: string, at: number): boolean =>
  /^[\p{L}\p{N}\ud800-\udfff]$/u.test(text.charAt(at))
