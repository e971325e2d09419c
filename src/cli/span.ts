import { CliError, EXIT } from './exit.ts'

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** A span such as `24h` or `7d`, in ms. @throws CliError that names the option */
export function spanIn(text: string, option: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const unitMs = UNITS_MS[unit]
  if (unitMs !== undefined) return Number(count) * unitMs
  throw new CliError(EXIT.usage, `${option} is a span such as 24h or 7d`)
}
