// Where the operations of a document are, and what they ask callers to show: upstreams of tools.yaml.
import { isOwnHeader } from '../../bundle/headers.ts'
import { isObject } from '../../bundle/pointer.ts'
import type { JsonObject } from '../../model/json.ts'
import { type Documents, type Node, textOf } from './documents.ts'
import { type Notes, shown } from './findings.ts'
import type { Dialect } from './operations.ts'

const VARIABLE = /\{([^{}]*)\}/g

/** Where nobody said where: a name that leads nowhere (RFC 2606). */
const NOWHERE = 'https://not-said.invalid'

/** Where a document says that it is; relative to where it was read, if that is a URL. */
export function serverOf(docs: Documents, dialect: Dialect, from: string, notes: Notes): string {
  const said =
    dialect === 'swagger2'
      ? swaggerServer(docs, from)
      : firstServer(docs, docs.member(docs.root, 'servers'))
  return checked(said ?? '/', from, notes)
}

/** Where one operation says that it is. */
export function ownServer(docs: Documents, servers: Node, from: string, notes: Notes): string {
  return checked(firstServer(docs, servers) ?? '/', from, notes)
}

function firstServer(docs: Documents, servers: Node): string | undefined {
  const [first] = docs.items(servers)
  const { value } = docs.follow(first ?? { value: undefined, file: '' })
  if (!isObject(value)) return undefined
  const variables = docs.member(first as Node, 'variables')
  return textOf(value, 'url').replace(VARIABLE, (_, name: string) => {
    const { value: one } = docs.member(variables, name)
    const usual = isObject(one) ? one['default'] : undefined
    return typeof usual === 'string' || typeof usual === 'number' ? String(usual) : name
  })
}

function swaggerServer(docs: Documents, from: string): string {
  const root = docs.root.value as JsonObject
  const schemes = docs.items(docs.member(docs.root, 'schemes')).map(({ value }) => value)
  const read = /^https?(?=:)/.exec(from)?.[0] ?? 'https'
  const scheme = schemes.includes('https') ? 'https' : schemes.includes('http') ? 'http' : read
  const host = textOf(root, 'host')
  const base = textOf(root, 'basePath')
  return host === '' ? base || '/' : `${scheme}://${host}${base}`
}

/** The URL as a `base_url`, or one that leads nowhere, and a word to whoever has to fill it in. */
function checked(said: string, from: string, notes: Notes): string {
  const base = /^https?:/.test(from) ? from : NOWHERE
  const text = said.startsWith('//') ? `https:${said}` : said
  if (!URL.canParse(text, base)) return nowhere(said, notes)
  const url = new URL(text, base)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return nowhere(said, notes)
  if (url.username !== '' || url.password !== '') return nowhere(said, notes)
  const path = url.pathname.replace(/\/+$/, '')
  if (/%|\\|\/\/|[{}]/.test(path) || /[{}$]/.test(url.host)) return nowhere(said, notes)
  if (url.search !== '' || url.hash !== '') {
    notes.add('todo', 'server', `what follows the path of server ${shown(said)} is not taken`)
  }
  if (url.origin === NOWHERE) notes.add('todo', 'server', 'no server is said: fill in `base_url`')
  return `${url.origin}${path}`
}

function nowhere(said: string, notes: Notes): string {
  notes.add('todo', 'server', `server ${shown(said)} is no \`base_url\`: fill it in`)
  return NOWHERE
}

/** The credential of an upstream, as tools.yaml has it; null where none is asked for or none can be said. */
export function credentialOf(
  docs: Documents,
  dialect: Dialect,
  prefix: string,
  server: string,
  notes: Notes,
): JsonObject | null {
  const under = dialect === 'swagger2' ? docs.root : docs.member(docs.root, 'components')
  const schemes = docs.member(
    under,
    dialect === 'swagger2' ? 'securityDefinitions' : 'securitySchemes',
  )
  const known = new Map(docs.members(schemes).map(([name, node]) => [name, docs.follow(node)]))
  const credentials = wanted(docs, [...known.keys()]).flatMap((name) => {
    const scheme = known.get(name)
    const said =
      scheme && isObject(scheme.value)
        ? credential(docs, scheme, scheme.value, prefix, server)
        : 'is not defined'
    if (typeof said !== 'string') return [[name, said] as const]
    notes.add('todo', 'security', `security ${shown(name)} ${said}`)
    return []
  })
  const [first, ...others] = credentials
  for (const [name] of others) {
    notes.add('todo', 'security', `an upstream has one credential; ${shown(name)} is another`)
  }
  return first?.[1] ?? null
}

/** Names of schemes: those that the document asks for everywhere first, then those of its operations. */
function wanted(docs: Documents, known: readonly string[]): readonly string[] {
  const everywhere = docs.items(docs.member(docs.root, 'security'))
  const named = everywhere.flatMap((one) => docs.members(one).map(([name]) => name))
  return [...new Set([...named, ...known])]
}

/** The credential, or why there is none. */
function credential(
  docs: Documents,
  at: Node,
  scheme: JsonObject,
  prefix: string,
  server: string,
): JsonObject | string {
  const type = textOf(scheme, 'type').toLowerCase()
  const kind = textOf(scheme, 'scheme').toLowerCase()
  if (type === 'apikey') return apiKey(scheme, prefix)
  if (type === 'basic' || (type === 'http' && kind === 'basic')) {
    return { basic: { user_env: `${prefix}_USER`, password_env: `${prefix}_PASSWORD` } }
  }
  if (type === 'http' && kind === 'bearer') return bearer(prefix)
  if (type === 'openidconnect') return bearer(prefix)
  if (type === 'oauth2') return oauth2(docs, at, scheme, prefix, server)
  return `is of a kind that has no credential here (${shown(kind || type)})`
}

const bearer = (prefix: string): JsonObject => ({
  header: 'Authorization',
  env: `${prefix}_TOKEN`,
  prefix: 'Bearer ',
})

const CREDENTIAL_HEADERS = new Set(['authorization', 'proxy-authorization', 'x-api-key'])

function apiKey(scheme: JsonObject, prefix: string): JsonObject | string {
  const [name, place] = [textOf(scheme, 'name'), textOf(scheme, 'in')]
  const env = `${prefix}_API_KEY`
  if (place === 'query' && name !== '' && name.length <= 200) return { query: name, env }
  if (place !== 'header') return 'is a cookie, which no credential is'
  const isFree = CREDENTIAL_HEADERS.has(name.toLowerCase()) || !isOwnHeader(name)
  if (!isFree || !/^[A-Za-z0-9_-]{1,100}$/.test(name)) {
    return `is a header that is the gate's own affair (${shown(name)})`
  }
  return { header: name, env }
}

function oauth2(
  docs: Documents,
  at: Node,
  scheme: JsonObject,
  prefix: string,
  server: string,
): JsonObject {
  const { value: flow } = docs.member(docs.member(at, 'flows'), 'clientCredentials')
  const isSwagger = textOf(scheme, 'flow') === 'application'
  const said = isObject(flow) ? flow : isSwagger ? scheme : undefined
  const text = said ? textOf(said, 'tokenUrl') : ''
  if (text === '' || !URL.canParse(text, server)) return bearer(prefix)
  const url = new URL(text, server)
  const isPlain = /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  if (!isPlain || url.hash !== '' || /[${}]/.test(url.href) || url.href.length > 2000)
    return bearer(prefix)
  return {
    oauth2: {
      token_url: url.href,
      client_id_env: `${prefix}_CLIENT_ID`,
      client_secret_env: `${prefix}_CLIENT_SECRET`,
    },
  }
}
