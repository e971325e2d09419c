// References between schemas: addresses resolved against the one they stand in, and pointers into a document.
import { fail } from '../builtins/kind.ts'
import { isArray, RegoObject, type Value } from '../value.ts'

const PARTS = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?(?:#(.*))?$/s

export interface Reference {
  /** The whole, and the whole without its fragment. */
  readonly text: string
  readonly base: string
  readonly pointer: string
  readonly isCanonical: boolean
}

interface Address {
  readonly scheme: string
  readonly host: string | undefined
  readonly path: string
  readonly query: string
  readonly fragment: string
}

function read(text: string): Address {
  const [, scheme = '', host, path = '', query = '', fragment = ''] = PARTS.exec(text) ?? []
  return { scheme: scheme.toLowerCase(), host, path, query, fragment }
}

function withoutDots(path: string): string {
  const kept: string[] = []
  const parts = path.split('/')
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1
    if (part === '..') {
      if (kept.length > 1) kept.pop()
      if (isLast) kept.push('')
    } else if (part === '.') {
      if (isLast) kept.push('')
    } else kept.push(part)
  }
  const joined = kept.join('/')
  return joined.startsWith('/') || joined === '' ? joined : `/${joined}`
}

function inherit(base: Address, child: Address): Address {
  const { fragment } = child
  if (child.scheme !== '') return child
  if (child.host !== undefined)
    return { ...child, scheme: base.scheme, path: withoutDots(child.path) }
  if (child.path === '')
    return { ...base, query: child.query === '' ? base.query : child.query, fragment }
  // Without a base there is nothing to be relative to, though Go's result is rooted all the same.
  const folder = base.path.slice(0, base.path.lastIndexOf('/') + 1)
  const path = child.path.startsWith('/') ? child.path : folder + child.path
  return { ...base, path: withoutDots(path), query: child.query, fragment }
}

/** Where a reference leads that stands in a document of the given address. */
export function resolved(base: string, text: string): Reference {
  const { scheme, host, path, query, fragment } = inherit(read(base), read(text))
  const authority = host === undefined ? '' : `//${host}`
  const whole = `${scheme === '' ? '' : `${scheme}:`}${authority}${path}${query}`
  let pointer = fragment
  try {
    pointer = decodeURIComponent(fragment)
  } catch {
    fail(`parse "${text}": invalid URL escape`)
  }
  const isFile = scheme === 'file'
  return {
    text: fragment === '' ? whole : `${whole}#${fragment}`,
    base: whole,
    pointer,
    isCanonical: isFile ? path.startsWith('/') : scheme !== '' && (host ?? '') !== '',
  }
}

/** What a JSON pointer points at; one that is none points at the whole. */
export function pointedAt(document: Value, pointer: string): Value {
  if (!pointer.startsWith('/')) return document
  let node = document
  for (const token of pointer.slice(1).split('/')) node = step(node, token)
  return node
}

function step(node: Value, token: string): Value {
  if (node instanceof RegoObject) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    const next = node.get(key)
    return next === undefined ? fail(`Object has no key '${key}'`) : next
  }
  if (!isArray(node)) return fail(`Invalid token reference '${token}'`)
  if (!/^[+-]?\d+$/.test(token)) return fail(`Invalid array index '${token}'`)
  return (
    node[Number(token)] ?? fail(`Out of bound array[0,${node.length}] index '${Number(token)}'`)
  )
}
