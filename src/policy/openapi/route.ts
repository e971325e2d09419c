import { parseTemplate } from '../../bundle/template.ts'
import { isReservedName } from './schemas.ts'

/** A path of a document as the template of a tool. */
export interface ReadRoute {
  readonly path: string
  /** What a variable is called in the template, by its name in the document. */
  readonly variables: ReadonlyMap<string, string>
  /** Pairs that the path itself says, as some documents tell operations apart. */
  readonly fixed: readonly (readonly [string, string])[]
}

export interface BadRoute {
  readonly code: string
  readonly message: string
}

/** Reads a path; or says why it is none that a tool can have. */
export function readRoute(said: string): ReadRoute | BadRoute {
  const [withQuery = ''] = said.split('#', 1)
  const [raw = '', query = ''] = withQuery.split(/\?(.*)/s)
  const variables = new Map<string, string>()
  const path = raw.replace(/\{([^{}/]*)\}/g, (_, name: string) => `{${variable(name, variables)}}`)
  const pairs = query === '' ? [] : query.split('&').map(pairOf)
  const bad = pairs.find((pair) => pair === undefined)
  if (query !== '' && (bad !== undefined || pairs.includes(undefined))) {
    return { code: 'path_query', message: 'the path holds a query that is not plain' }
  }
  const fixed = pairs.filter((pair) => pair !== undefined)
  const parsed = parseTemplate(path)
  return parsed.ok ? { path, variables, fixed } : { code: 'path', message: parsed.message }
}

function variable(name: string, known: Map<string, string>): string {
  const legal = name.replace(/[^A-Za-z0-9_.-]+/g, '_').replace(/^[^A-Za-z_]+/, '') || 'value'
  const plain = isReservedName(legal) ? 'value' : legal
  const taken = new Set(known.values())
  let own = plain
  for (let n = 2; taken.has(own) && known.get(name) !== own; n++) own = `${plain}_${n}`
  known.set(name, own)
  return own
}

function pairOf(text: string): readonly [string, string] | undefined {
  const [name = '', value = ''] = text.split(/=(.*)/s)
  return /^[\w.~-]{1,200}$/.test(name) && /^[\w.~:,-]*$/.test(value) ? [name, value] : undefined
}
