/** One unit of the budget currency in millionths: how money is held everywhere. */
export const MICROS = 1_000_000n
/** The largest amount there is. */
export const MICROS_MAX = 9_000_000_000_000_000n // nine billion units: keeps every sum inside a PostgreSQL bigint

const DECIMAL = /^(0|[1-9]\d{0,9})(?:\.(\d{1,6}))?$/

/**
 * Decimal text such as `12.50` as micro-units, or undefined when it is not a plain non-negative
 * amount of at most six decimals. Text, so that no double ever rounds money.
 */
export function microsFromText(text: string): bigint | undefined {
  const match = DECIMAL.exec(text)
  if (!match) return undefined
  const [, whole = '0', fraction = ''] = match
  const micros = BigInt(whole) * MICROS + BigInt(fraction.padEnd(6, '0'))
  return micros <= MICROS_MAX ? micros : undefined
}

/** A JSON string or number as micro-units; a number is read through its shortest decimal form. */
export function microsFromJson(value: unknown): bigint | undefined {
  if (typeof value === 'string') return microsFromText(value)
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined
  return microsFromText(Object.is(value, -0) ? '0' : plainDecimal(value))
}

// Only 1e-6 to 9e-6 print with an exponent and still are whole micro-units; the rest is refused.
function plainDecimal(value: number): string {
  const text = String(value)
  if (!text.includes('e')) return text
  const fixed = value.toFixed(6)
  return Number(fixed) === value ? fixed : text
}

/** Micro-units as decimal text with at least two places: `100.00`, `0.000001`. */
export function microsToText(micros: bigint): string {
  const sign = micros < 0n ? '-' : ''
  const abs = micros < 0n ? -micros : micros
  const fraction = String(abs % MICROS)
    .padStart(6, '0')
    .replace(/0{1,4}$/, '')
  return `${sign}${abs / MICROS}.${fraction}`
}
