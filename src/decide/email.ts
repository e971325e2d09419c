import { domainToASCII } from 'node:url'

export interface EmailOptions {
  /** Drop what follows a `+` in the local part. */
  readonly stripPlusTags: boolean
  /** Drop dots in the local part. */
  readonly ignoreDots: boolean
}

const ADDRESS_LENGTH_MAX = 320
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Z}\p{Default_Ignorable_Code_Point}]/u
const SPECIAL = /["(),:;<>[\\\]]/ // quoted local parts, comments, display names, address literals
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

// Nearly every domain: already in its only spelling, nothing to convert.
const PLAIN_DOMAIN = /^(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,20}$/
const PLAIN_TEXT = /^[!-~]*$/

/**
 * The one spelling under which an address is compared: NFKC, lower case, the domain in ASCII without
 * a trailing dot. Undefined for everything that is not one plain address, so that a caller denies
 * rather than compares something another program would read differently.
 */
export function canonicalEmail(text: string, options: EmailOptions): string | undefined {
  const folded = canonicalId(text)
  if (folded === undefined || SPECIAL.test(folded)) return undefined
  const cut = folded.lastIndexOf('@')
  const local = canonicalLocal(folded.slice(0, cut), options)
  const domain = canonicalDomain(folded.slice(cut + 1))
  return cut < 1 || local === undefined || domain === undefined ? undefined : `${local}@${domain}`
}

function canonicalLocal(local: string, options: EmailOptions): string | undefined {
  if (/^\.|\.$|\.\.|@/.test(local)) return undefined
  const untagged = options.stripPlusTags ? local.replace(/\+.*$/, '') : local
  const plain = options.ignoreDots ? untagged.replaceAll('.', '') : untagged
  return plain === '' || /^\.|\.$/.test(plain) ? undefined : plain
}

/** A domain in the spelling of the DNS, or undefined. */
export function canonicalDomain(text: string): string | undefined {
  if (PLAIN_DOMAIN.test(text)) return text
  if (text.includes('%')) return undefined // the URL standard would decode it
  const ascii = domainToASCII(text.replace(/\.$/, ''))
  return DOMAIN.test(ascii) && ascii.length <= 253 ? ascii : undefined
}

/** An id as it is compared: NFKC, lower case. Undefined when it has anything invisible. */
export function canonicalId(text: string): string | undefined {
  if (text === '' || text.length > ADDRESS_LENGTH_MAX) return undefined
  if (PLAIN_TEXT.test(text)) return text.toLowerCase()
  if (UNPRINTABLE.test(text)) return undefined
  const folded = fold(text)
  return folded === undefined || UNPRINTABLE.test(folded) ? undefined : folded
}

const ROUNDS = 4

// Lower-casing can undo normalisation and the other way round; what does not settle is refused.
function fold(text: string): string | undefined {
  let now = text
  for (let round = 0; round < ROUNDS; round++) {
    const next = now.normalize('NFKC').toLowerCase()
    if (next === now) return now
    now = next
  }
  return undefined
}
