import type { Request } from 'express'
import { GatewayError } from '../errors.ts'

const PAGE_DEFAULT = 50
const PAGE_MAX = 500

/** Query parameters of a call: only the named ones, each at most once. */
export class Query {
  readonly #values = new Map<string, string>()

  /** @throws GatewayError `invalid_request` for unknown or repeated parameters */
  constructor(req: Request, allowed: readonly string[]) {
    const at = req.originalUrl.indexOf('?')
    const params = new URLSearchParams(at < 0 ? '' : req.originalUrl.slice(at + 1))
    for (const [name, value] of params) {
      if (!allowed.includes(name)) {
        const known = allowed.join(', ') || 'none'
        throw new GatewayError(
          'invalid_request',
          `unknown query parameter \`${name}\`; known: ${known}`,
        )
      }
      if (this.#values.has(name)) {
        throw new GatewayError('invalid_request', `query parameter \`${name}\` is given twice`)
      }
      // NUL cannot be compared with anything PostgreSQL stores.
      if (value.includes('\0')) throw new GatewayError('invalid_request', `\`${name}\` holds a NUL`)
      this.#values.set(name, value)
    }
  }

  text(name: string): string | null {
    return this.#values.get(name) || null
  }

  list(name: string): string[] {
    return (this.#values.get(name) ?? '').split(',').filter((part) => part !== '')
  }

  oneOf(name: string, allowed: readonly string[]): string | null {
    const value = this.text(name)
    if (value === null || allowed.includes(value)) return value
    throw new GatewayError('invalid_request', `\`${name}\` must be one of ${allowed.join(', ')}`)
  }

  date(name: string): Date | null {
    const value = this.text(name)
    if (value === null) return null
    const date = new Date(value)
    if (!Number.isNaN(date.getTime()) && /^\d{4}-\d\d-\d\d/.test(value)) return date
    throw new GatewayError('invalid_request', `\`${name}\` must be an ISO 8601 time`)
  }

  integer(name: string, min: number, max: number): number | null {
    const value = this.text(name)
    if (value === null) return null
    if (/^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max)
      return Number(value)
    throw new GatewayError(
      'invalid_request',
      `\`${name}\` must be a whole number from ${min} to ${max}`,
    )
  }

  limit(): number {
    return this.integer('limit', 1, PAGE_MAX) ?? PAGE_DEFAULT
  }
}
