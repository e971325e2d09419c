// Numbers of a schema and of what it is asked of: compared, and divided, without loss.
import type { Num } from '../value.ts'

interface Decimal {
  readonly digits: bigint
  readonly exponent: number
}

/** Beyond these no power of ten is written out. */
const MAX_EXPONENT = 4096

function decimal({ text }: Num): Decimal {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  let digits = BigInt(`${whole}${fraction}`.replace(/^\+/, ''))
  let power = Number(exponent) - fraction.length
  while (digits !== 0n && power < 0 && digits % 10n === 0n) {
    digits /= 10n
    power++
  }
  return { digits, exponent: digits === 0n ? 0 : power }
}

export function isInteger(n: Num): boolean {
  return decimal(n).exponent >= 0
}

/** Whether `n` is a whole number of times `step`, which is above zero. */
export function isMultiple(n: Num, step: Num): boolean {
  const [a, b] = [decimal(n), decimal(step)]
  const shift = a.exponent - b.exponent
  if (a.digits === 0n) return true
  if (Math.abs(shift) > MAX_EXPONENT) return shift > 0
  const [top, bottom] =
    shift >= 0
      ? [a.digits * 10n ** BigInt(shift), b.digits]
      : [a.digits, b.digits * 10n ** BigInt(-shift)]
  return top % bottom === 0n
}

/** A count: nothing but digits, and within what Go's int holds. */
export function countOf({ text }: Num): number | undefined {
  return /^-?\d{1,18}$/.test(text) ? Number(text) : undefined
}

/** Digits that a big float of Go's holds. */
const MAX_DIGITS = 19

/** As Go prints a big float: no more digits than it takes, and powers of ten from the sixth on. */
export function shown(n: Num): string {
  const { digits, exponent } = decimal(n)
  if (digits === 0n) return '0'
  const sign = digits < 0n ? '-' : ''
  let text = String(digits < 0n ? -digits : digits)
  const power = text.length - 1 + exponent
  if (text.length > MAX_DIGITS) text = String((BigInt(text.slice(0, MAX_DIGITS + 1)) + 5n) / 10n)
  text = text.replace(/0+$/, '')
  if (power < -4 || power >= 6) {
    const fraction = text.length > 1 ? `.${text.slice(1)}` : ''
    const digit = text[0] ?? ''
    return `${sign}${digit}${fraction}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  }
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${text}`
  const whole = text.slice(0, power + 1).padEnd(power + 1, '0')
  const fraction = text.slice(power + 1)
  return sign + whole + (fraction === '' ? '' : `.${fraction}`)
}
