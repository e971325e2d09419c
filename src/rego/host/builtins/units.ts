import { Num, type Value } from '../value.ts'
import { type Family, fail, text } from './kind.ts'

const DECIMAL = ['k', 'm', 'g', 't', 'p', 'e']

export const units: Family = {
  'units.parse': (s) => parse(text(s, 1)),
  'units.parse_bytes': (s) => parseBytes(text(s, 1)),
}

/** An exact fraction. */
interface Ratio {
  readonly n: bigint
  readonly d: bigint
}

function split(source: string): { amount: Ratio; unit: string } {
  const clean = source.replaceAll('"', '')
  if (clean.includes(' ')) fail('spaces not allowed in resource strings')
  // The amount ends at the first character that no number has; an e belongs to it only before digits.
  const end = /^[0-9.+-]*(?:[eE][+-]?[0-9]+)?/.exec(clean)?.[0].length ?? 0
  const number = clean.slice(0, end)
  if (number === '') fail('no amount provided')
  return { amount: ratio(number), unit: clean.slice(end) }
}

function ratio(number: string): Ratio {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(number)
  if (!match || (match[2] === '' && !match[3])) return fail('could not parse amount to a number')
  const [, sign, whole = '', fraction = '', exponent = '0'] = match
  const shift = Number(exponent) - fraction.length
  if (Math.abs(shift) > 400) return fail('could not parse amount to a number')
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  return shift >= 0
    ? { n: digits * 10n ** BigInt(shift), d: 1n }
    : { n: digits, d: 10n ** BigInt(-shift) }
}

function parse(source: string): Value {
  const { amount, unit } = split(source)
  const factor =
    unit === 'm'
      ? { n: 1n, d: 1000n }
      : { n: multiplier(unit === 'M' ? 'm' : unit.toLowerCase(), unit), d: 1n }
  const n = amount.n * factor.n
  const d = amount.d * factor.d
  return new Num(decimal(n, d))
}

function multiplier(unit: string, shown: string): bigint {
  if (unit === '') return 1n
  const power = DECIMAL.indexOf(unit[0] ?? '') + 1
  if (power > 0 && unit.length === 1) return 1000n ** BigInt(power)
  if (power > 0 && unit.length === 2 && unit[1] === 'i') return 1024n ** BigInt(power)
  return fail(`unit ${shown} not recognized`)
}

function parseBytes(source: string): Value {
  const { amount, unit } = split(source)
  const factor = multiplier(
    unit
      .toLowerCase()
      .replace(/^b$/, '?')
      .replace(/(?<=^[kmgtpe]i?)b$/, ''),
    unit,
  )
  return new Num(String((amount.n * factor) / amount.d))
}

/** n/d as a decimal; d has no other factors than 2 and 5 here. */
function decimal(n: bigint, d: bigint): string {
  if (n % d === 0n) return String(n / d)
  let digits = 0
  let top = n < 0n ? -n : n
  while (top % d !== 0n && digits < 400) {
    top *= 10n
    digits++
  }
  const text = String(top / d).padStart(digits + 1, '0')
  return `${n < 0n ? '-' : ''}${text.slice(0, -digits)}.${text.slice(-digits)}`
}
