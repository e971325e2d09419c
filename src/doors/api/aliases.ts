import type { RequestHandler } from 'express'
import type { JsonObject } from '../../model/json.ts'

/** A path that an earlier system documented, and the call that answers it here. */
export interface Alias {
  readonly method: string
  /** `:name` stands for one segment. */
  readonly from: string
  readonly to: string
  readonly query?: Readonly<Record<string, string>>
  /** Puts the documented members of a body into ours. */
  readonly body?: (body: JsonObject) => JsonObject
  /** Puts our answer into the documented members, beside our own. */
  readonly answer?: (answer: JsonObject) => JsonObject
}

const taken = new WeakMap<object, Alias>()

/** The alias a request came by, if it did. */
export function aliasOf(req: object): Alias | undefined {
  return taken.get(req)
}

/** Leads documented paths to the calls that answer them. */
export function aliases(table: readonly Alias[]): RequestHandler {
  const compiled = table.map((alias) => ({ alias, pattern: patternOf(alias.from) }))
  return (req, _res, next) => {
    const [path = '', query] = req.url.split('?', 2)
    for (const { alias, pattern } of compiled) {
      const match = alias.method === req.method ? pattern.exec(path) : null
      if (!match) continue
      taken.set(req, alias)
      req.url = withQuery(filled(alias.to, match.groups ?? {}), renamed(query, alias))
      break
    }
    next()
  }
}

function patternOf(path: string): RegExp {
  const source = path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')
  return new RegExp(`^${source}/?$`)
}

const filled = (path: string, values: Readonly<Record<string, string>>): string =>
  path.replaceAll(/:(\w+)/g, (_whole, name: string) => values[name] ?? '')

function renamed(query: string | undefined, { query: names = {} }: Alias): string {
  if (query === undefined) return ''
  const parts = query.split('&').map((part) => {
    const [name = '', ...value] = part.split('=')
    return [names[name] ?? name, ...value].join('=')
  })
  return parts.join('&')
}

function withQuery(path: string, query: string): string {
  if (query === '') return path
  return `${path}${path.includes('?') ? '&' : '?'}${query}`
}
