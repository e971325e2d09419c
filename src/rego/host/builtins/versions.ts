// Versions as OPA reads them, which is more leniently than semver.org: one leading `v` is left out and numbers may begin
// with zeros.
import { num } from '../value.ts'
import { type Family, fail, text } from './kind.ts'

interface Version {
  readonly numbers: readonly bigint[]
  readonly release: string
}

const INT64_MAX = (1n << 63n) - 1n
const INT64_MIN = -(1n << 63n)
const IDENTIFIERS = /^[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*$/

function cut(source: string, at: string): [string, string] {
  const i = source.indexOf(at)
  return i < 0 ? [source, ''] : [source.slice(0, i), source.slice(i + 1)]
}

function parse(source: string): Version | undefined {
  const [version, metadata] = cut(source.replace(/^v/, ''), '+')
  const [core, release] = cut(version, '-')
  const isNamed = [metadata, release].every((part) => part === '' || IDENTIFIERS.test(part))
  const parts = core.split('.')
  if (!isNamed || parts.length !== 3 || !parts.every((part) => /^[+-]?\d+$/.test(part)))
    return undefined
  const numbers = parts.map((part) => BigInt(part.replace(/^\+/, '')))
  return numbers.every((n) => n <= INT64_MAX && n >= INT64_MIN) ? { numbers, release } : undefined
}

function version(source: string, position: number): Version {
  return parse(source) ?? fail(`operand ${position}: string ${source} is not a valid SemVer`)
}

function compare(a: Version, b: Version): number {
  for (const [i, n] of a.numbers.entries()) {
    const other = b.numbers[i] ?? 0n
    if (n !== other) return n > other ? 1 : -1
  }
  return compareReleases(a.release, b.release)
}

/** What comes before a release is less than it; identifiers decide one by one, numbers before words. */
function compareReleases(a: string, b: string): number {
  if (a === b) return 0
  if (a === '' || b === '') return a === '' ? 1 : -1
  const [x, y] = [a.split('.'), b.split('.')]
  for (const [i, own] of x.entries()) {
    const other = y[i]
    if (other === undefined) return 1
    const order = compareIdentifiers(own, other)
    if (order !== 0) return order
  }
  return -1
}

function compareIdentifiers(a: string, b: string): number {
  const [isNumber, isOther] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumber !== isOther) return isNumber ? -1 : 1
  const [x, y] = isNumber ? [atMost(a), atMost(b)] : [a, b]
  return x === y ? 0 : x > y ? 1 : -1
}

/** Numbers beyond 64 bits are all the largest. */
function atMost(digits: string): bigint {
  const value = BigInt(digits)
  return value > INT64_MAX ? INT64_MAX : value
}

export const versions: Family = {
  'semver.compare': (a, b) => {
    const [x, y] = [text(a, 1), text(b, 2)]
    return num(compare(version(x, 1), version(y, 2)))
  },
  'semver.is_valid': (v) => typeof v === 'string' && parse(v) !== undefined,
}
