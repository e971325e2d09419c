/**
 * A path glob as an RE2 pattern, so that matching is linear in a path an agent chose. `*` and `?`
 * stay within a segment, `**` spans segments, `{a,b}` and `[a-z]` are as usual. A glob without `/`
 * matches the last segment wherever it is; one that ends in `/` or `/**` includes the directory.
 * Undefined when brackets do not close.
 */
export function globToRegex(glob: string): string | undefined {
  const anywhere = !glob.replace(/\/$/, '').includes('/')
  const body = translate(glob.replace(/^\//, '').replace(/\/(\*\*)?$/, ''))
  if (body === undefined) return undefined
  return `^${anywhere ? '(?:.*/)?' : ''}${body}(?:/.*)?$`
}

/** A glob of names such as URIs as an RE2 pattern: all of it, from the first character to the last. */
export function wholeGlob(glob: string): string | undefined {
  const body = translate(glob)
  return body === undefined ? undefined : `^(?:${body})$`
}

const TOKEN = /\*\*\/|\*\*|\*|\?|\{|\}|,|\[!?[^\]/]+\]|[^*?{},[]|\[/gu

function translate(glob: string): string | undefined {
  let open = 0
  let out = ''
  for (const [token] of glob.matchAll(TOKEN)) {
    if (token === '{') open++
    if (token === '}' && --open < 0) return undefined
    if (token === '[') return undefined
    out += piece(token, open > 0)
  }
  return open === 0 ? out : undefined
}

function piece(token: string, inBraces: boolean): string {
  if (token === '**/') return '(?:.*/)?'
  if (token === '**') return '.*'
  if (token === '*') return '[^/]*'
  if (token === '?') return '[^/]'
  if (token === '{') return '(?:'
  if (token === '}') return ')'
  if (token === ',' && inBraces) return '|'
  if (token.length > 1 && token.startsWith('[')) return charClass(token)
  return token.replace(/[\\^$.|?*+()[\]{}-]/g, '\\$&')
}

function charClass(token: string): string {
  const negated = token.startsWith('[!')
  const members = token.slice(negated ? 2 : 1, -1).replace(/[\\[\]^&~]/g, '\\$&')
  return `[${negated ? '^/' : ''}${members}]`
}
