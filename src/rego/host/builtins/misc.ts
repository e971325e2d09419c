import { randomUUID, createHash } from 'node:crypto'
import semver from 'semver'
import {
  isArray,
  Num,
  num,
  RegoObject,
  RegoSet,
  fromJs,
  toJs,
  type Value,
  writeValue,
  writeJson,
  compareValues,
} from '../value.ts'
import { array, bigint, type Family, fail, members, object, text, wrongType } from './kind.ts'
import { parseModule } from '../../parser/parse.ts'
import { renderTemplate } from './template.ts'

function compareVersions(a: string, b: string): Value {
  const parse = (s: string) =>
    semver.parse(s.replace(/^v/, '?')) ?? fail(`string "${s}" is not a valid SemVer`)
  return num(semver.compareBuild(withoutBuild(parse(a)), withoutBuild(parse(b))))
}
function withoutBuild(v: semver.SemVer): semver.SemVer {
  return new semver.SemVer(v.version)
}

// ---- graph.reachable_paths

function reachablePaths(graph: RegoObject, initial: readonly Value[]): Value {
  const edges = new Map(graph.pairs.map(([k, v]) => [writeValue(k), v] as const))
  const found: Value[] = []
  let work = 0
  const go = (node: Value, path: readonly Value[], seen: ReadonlySet<string>) => {
    if (++work > 1_000_000) fail('graph is too large')
    const key = writeValue(node)
    const targets = edges.get(key)
    const here = [...path, node]
    const next = targets instanceof RegoSet ? targets.items : isArray(targets) ? targets : []
    const visited = new Set([...seen, key])
    let leaf = true
    for (const target of next) {
      const name = writeValue(target)
      if (!edges.has(name)) continue
      if (visited.has(name)) continue
      leaf = false
      go(target, here, visited)
    }
    if (leaf) found.push(here)
  }
  for (const node of initial) {
    if (edges.has(writeValue(node))) go(node, [], new Set())
    else found.push([])
  }
  return new RegoSet(found)
}

// ---- json.patch

type Json = null | boolean | Num | string | Json[] | Map<string, Entry> | RegoSet
interface Entry {
  readonly key: Value
  value: Json
}

function open(v: Value): Json {
  if (isArray(v)) return v.map(open)
  if (v instanceof RegoObject)
    return new Map(v.pairs.map(([k, x]) => [writeValue(k), { key: k, value: open(x) }]))
  return v
}
function close(v: Json): Value {
  if (Array.isArray(v)) return v.map(close)
  if (v instanceof Map)
    return new RegoObject([...v.values()].map(({ key, value }) => [key, close(value)] as const))
  return v
}

function pathOf(v: Value | undefined): Value[] {
  if (isArray(v)) return [...v]
  if (typeof v !== 'string') return wrongType(2, v, 'string', 'array')
  if (v === '') return []
  return v
    .replace(/^\//, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function indexIn(list: readonly unknown[], key: Value, allowEnd: boolean): number | undefined {
  if (key === '-') return allowEnd ? list.length : undefined
  const name = key instanceof Num ? key.text : typeof key === 'string' ? key : ''
  if (!/^(0|[1-9]\d*)$/.test(name)) return undefined
  const i = Number(name)
  return i < list.length || (allowEnd && i === list.length) ? i : undefined
}

function child(node: Json, key: Value): Json | undefined {
  if (Array.isArray(node)) {
    const i = indexIn(node, key, false)
    return i === undefined ? undefined : node[i]
  }
  if (node instanceof Map) return node.get(writeValue(key))?.value
  if (node instanceof RegoSet) {
    const item = node.items.find((x) => compareValues(x, key) === 0)
    return item === undefined ? undefined : open(item)
  }
  return undefined
}

class Patcher {
  root: Json | undefined
  constructor(root: Json) {
    this.root = root
  }

  get(path: readonly Value[]): Json | undefined {
    let node = this.root
    for (const key of path) node = node === undefined ? undefined : child(node, key)
    return node
  }

  /** False when the operation does not apply, which makes the whole patch undefined. */
  add(path: readonly Value[], value: Json, replace = false): boolean {
    const last = path.at(-1)
    if (last === undefined) {
      this.root = value
      return true
    }
    const parent = this.get(path.slice(0, -1))
    if (Array.isArray(parent)) {
      const i = indexIn(parent, last, !replace)
      if (i === undefined) return false
      parent.splice(i, replace ? 1 : 0, value)
      return true
    }
    if (parent instanceof Map) {
      const key = writeValue(last)
      if (replace && !parent.has(key)) return false
      parent.set(key, { key: last, value })
      return true
    }
    if (parent instanceof RegoSet) {
      if (compareValues(last, close(value)) !== 0 && !replace) return false
      return this.#swapSet(path.slice(0, -1), (items) => [
        ...items.filter((x) => !replace || compareValues(x, last) !== 0),
        close(value),
      ])
    }
    return false
  }

  remove(path: readonly Value[]): boolean {
    const last = path.at(-1)
    if (last === undefined) {
      this.root = undefined
      return true
    }
    const parent = this.get(path.slice(0, -1))
    if (Array.isArray(parent)) {
      const i = indexIn(parent, last, false)
      if (i === undefined) return false
      parent.splice(i, 1)
      return true
    }
    if (parent instanceof Map) return parent.delete(writeValue(last))
    if (parent instanceof RegoSet) {
      if (!parent.items.some((x) => compareValues(x, last) === 0)) return false
      return this.#swapSet(path.slice(0, -1), (items) =>
        items.filter((x) => compareValues(x, last) !== 0),
      )
    }
    return false
  }

  #swapSet(path: readonly Value[], change: (items: readonly Value[]) => Value[]): boolean {
    const set = this.get(path)
    if (!(set instanceof RegoSet)) return false
    const fresh = new RegoSet(change(set.items))
    return path.length === 0 ? this.add([], fresh) : this.add(path, fresh, true)
  }
}

function patch(target: Value, operations: readonly Value[]): Value | undefined {
  const patcher = new Patcher(open(target))
  for (const item of operations) {
    const o = object(item, 2)
    const op = o.get('op')
    const given = o.get('path')
    if (typeof op !== 'string' || given === undefined) return fail('missing required attributes')
    const path = pathOf(given)
    const value = o.get('value')
    const from = o.get('from')
    const needValue = () => (value === undefined ? fail("missing 'value' attribute") : open(value))
    const source = () => {
      if (from === undefined) return fail("missing 'from' attribute")
      return pathOf(from)
    }
    let ok: boolean
    switch (op) {
      case 'add':
        ok = patcher.add(path, needValue())
        break
      case 'replace':
        needValue()
        ok =
          path.length === 0 ? patcher.add(path, needValue()) : patcher.add(path, needValue(), true)
        break
      case 'remove':
        ok = patcher.remove(path)
        break
      case 'copy':
      case 'move': {
        const at = source()
        const found = patcher.get(at)
        if (found === undefined) return undefined
        const copy = open(close(found))
        ok = op === 'copy' ? patcher.add(path, copy) : patcher.remove(at) && patcher.add(path, copy)
        break
      }
      case 'test': {
        const found = patcher.get(path)
        ok = found !== undefined && value !== undefined && compareValues(close(found), value) === 0
        break
      }
      default:
        return fail(`unrecognized op '${op}'`)
    }
    if (!ok) return undefined
  }
  return patcher.root === undefined ? undefined : close(patcher.root)
}

// ---- uuid

const ids = new Map<string, string>()
const VARIANTS = ['Invalid', 'RFC4122', 'Reserved', 'Microsoft', 'Future']

function parseUuid(source: string): Value | undefined {
  const plain = source.replace(/^urn:uuid:/i, '').replace(/^\{(.*)\}$/, '$1')
  if (!/^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})$/i.test(plain))
    return undefined
  const hex = plain.replaceAll('-', '').toLowerCase()
  const bytes = Buffer.from(hex, 'hex')
  const byte = (i: number) => bytes[i] ?? 0
  const version = byte(6) >> 4
  const high = byte(8)
  const variant =
    (high & 0xc0) === 0x80 ? 1 : (high & 0xe0) === 0xc0 ? 3 : (high & 0xe0) === 0xe0 ? 4 : 2
  const found: [string, Value][] = [
    ['version', num(version)],
    ['variant', VARIANTS[variant] ?? ''],
  ]
  if (version === 1 || version === 2) {
    const low = BigInt(`0x${hex.slice(0, 8)}`)
    const mid = BigInt(`0x${hex.slice(8, 12)}`)
    const top = BigInt(`0x${hex.slice(12, 16)}`) & 0xfffn
    const ticks = low | (mid << 32n) | (top << 48n)
    found.push(['time', num((ticks - 122192928000000000n) * 100n)])
    found.push(['nodeid', (hex.slice(20).match(/../g) ?? []).join('-')])
    const mac = byte(10)
    found.push([
      'macvariables',
      `${(mac & 2) === 2 ? 'local' : 'global'}:${(mac & 1) === 1 ? 'multicast' : 'unicast'}`,
    ])
    found.push(['clocksequence', num(((byte(8) & 0x3f) << 8) | byte(9))])
    if (version === 2) {
      found.push(['id', num(low)])
      found.push(['domain', ['Person', 'Group', 'Org'][byte(9)] ?? `Domain${byte(9)}`])
    }
  }
  return new RegoObject(found)
}

// ---- uri

function parseUri(source: string): { [part: string]: string } | undefined {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f]/.test(source)) return undefined
  const match =
    /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(
      source,
    )
  if (!match) return undefined
  const [, scheme = '', authority, rawPath = '', query = '', fragment = ''] = match
  if (scheme === '' && /^[^/]*:/.test(rawPath)) return undefined
  const decode = (s: string) =>
    /%(?![0-9a-fA-F]{2})/.test(s)
      ? undefined
      : decodeURIComponent(s.replace(/%(?![0-9a-fA-F]{2})/g, '%25'))
  const path = decode(rawPath)
  if (path === undefined || decode(fragment) === undefined) return undefined
  const host = (authority ?? '').replace(/^[^@]*@/, '')
  const place = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(host)
  if (!place) return undefined
  const parts: Record<string, string> = {
    scheme: scheme.toLowerCase(),
    hostname: (place[1] ?? '').replace(/^\[|\]$/g, ''),
    port: place[2] ?? '',
    path,
    raw_path: rawPath,
    raw_query: query,
    fragment: decode(fragment) ?? '',
  }
  return Object.fromEntries(Object.entries(parts).filter(([, v]) => v !== ''))
}

// ---- rego.parse_module

function astOf(file: string, source: string): Value {
  const { module, diagnostics } = parseModule(file, source)
  const [first] = diagnostics
  if (!module) return fail(`${first?.code}: ${first?.message}`)
  const path = [
    { type: 'var', value: 'data' },
    ...module.package.path.map((value) => ({ type: 'string', value })),
  ]
  const rules = module.rules.map((rule) => ({
    head: {
      name: rule.head.ref[0].name,
      ref: rule.head.ref.map((t) =>
        t.kind === 'var'
          ? { type: 'var', value: t.name }
          : t.kind === 'string'
            ? { type: 'string', value: t.value }
            : { type: t.kind },
      ),
    },
    ...(rule.isDefault ? { default: true } : {}),
  }))
  const imports = module.imports.map(({ path: p, alias }) => ({
    path: {
      type: 'ref',
      value: p.terms.map((t) => ({
        type: t.kind,
        value: t.kind === 'var' ? t.name : t.kind === 'string' ? t.value : '',
      })),
    },
    ...(alias === undefined ? {} : { alias }),
  }))
  return fromJs({ package: { path }, ...(imports.length > 0 ? { imports } : {}), rules })
}

const randoms = new Map<string, Num>()

export const misc: Family = {
  'semver.compare': (a, b) => compareVersions(text(a, 1), text(b, 2)),
  'semver.is_valid': (v) =>
    typeof v === 'string' &&
    !v.startsWith('v') &&
    semver.parse(v) !== null &&
    semver.parse(v)?.raw === v,
  'graph.reachable_paths': (g, i) => reachablePaths(object(g, 1), members(i, 2)),
  'json.patch': (target, operations) => patch(target, array(operations, 2)),
  'uuid.parse': (s) => parseUuid(text(s, 1)),
  'uuid.rfc4122': (k) => {
    const key = text(k, 1)
    if (ids.size === 0) queueMicrotask(() => ids.clear())
    const known = ids.get(key) ?? randomUUID()
    ids.set(key, known)
    return known
  },
  'rand.intn': (s, n) => {
    const key = `${text(s, 1)}\u0000${writeValue(n)}`
    const most = bigint(n, 2)
    if (most === 0n) return num(0)
    if (randoms.size === 0) queueMicrotask(() => randoms.clear())
    const known =
      randoms.get(key) ??
      num(
        BigInt(
          `0x${createHash('sha256')
            .update(key + Math.random())
            .digest('hex')
            .slice(0, 15)}`,
        ) % (most < 0n ? -most : most),
      )
    randoms.set(key, known)
    return known
  },
  'uri.parse': (s) => {
    const parts = parseUri(text(s, 1))
    return parts ? new RegoObject(Object.entries(parts)) : fail('invalid URI')
  },
  'uri.is_valid': (s) => typeof s === 'string' && parseUri(s) !== undefined,
  'opa.runtime': () => new RegoObject([]),
  trace: (s) => {
    text(s, 1)
    return true
  },
  'rego.parse_module': (file, source) => astOf(text(file, 1), text(source, 2)),
  'strings.render_template': (t, v) => renderTemplate(text(t, 1), object(v, 2)),
  'http.send': (request) => {
    const o = object(request, 1)
    checkRequest(o)
    return fail('http.send: the network cannot be reached while a policy is evaluated')
  },
}

const REQUEST_KEYS = new Set([
  'method',
  'url',
  'body',
  'enable_redirect',
  'force_json_decode',
  'force_yaml_decode',
  'headers',
  'raw_body',
  'tls_use_system_certs',
  'tls_ca_cert',
  'tls_ca_cert_file',
  'tls_ca_cert_env_variable',
  'tls_client_cert',
  'tls_client_cert_file',
  'tls_client_cert_env_variable',
  'tls_client_key',
  'tls_client_key_file',
  'tls_client_key_env_variable',
  'tls_insecure_skip_verify',
  'tls_server_name',
  'timeout',
  'cache',
  'force_cache',
  'force_cache_duration_seconds',
  'raise_error',
  'caching_mode',
  'max_retry_attempts',
  'cache_ignored_headers',
])
function checkRequest(o: RegoObject): void {
  const names = o.pairs.map(([k]) => text(k, 1))
  const list = (keys: string[]) => writeValue(new RegoSet(keys))
  const bad = names.filter((k) => !REQUEST_KEYS.has(k))
  if (bad.length > 0) fail(`invalid request parameters(s): ${list(bad)}`)
  const missing = ['method', 'url'].filter((k) => !names.includes(k))
  if (missing.length > 0) fail(`missing required request parameters(s): ${list(missing)}`)
}

export { toJs, writeJson }
