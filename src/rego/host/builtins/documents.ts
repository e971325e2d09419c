import {
  compareValues,
  isArray,
  Num,
  RegoObject,
  RegoSet,
  type Value,
  writeValue,
} from '../value.ts'
import { array, type Family, fail, members, object, TooLargeError, wrongType } from './kind.ts'

// ---- graph.reachable_paths

const WORK_MAX = 1_000_000

function reachablePaths(graph: RegoObject, initial: readonly Value[]): Value {
  const edges = new Map(
    graph.pairs.map(([k, v]) => [
      writeValue(k),
      v instanceof RegoSet ? v.items : isArray(v) ? v : [],
    ]),
  )
  const found: Value[] = []
  let work = 0
  // A neighbour that is no node ends a path, and so does one that the path has been at.
  const go = (node: Value, path: readonly Value[], seen: ReadonlySet<string>): void => {
    if (++work > WORK_MAX) throw new TooLargeError(`more than ${WORK_MAX} steps of paths`)
    const key = writeValue(node)
    const next = edges.get(key)
    if (!next) return void found.push([...path])
    const here = [...path, node]
    if (next.length === 0) return void found.push(here)
    const visited = new Set([...seen, key])
    for (const neighbour of next) {
      if (visited.has(writeValue(neighbour))) found.push(here)
      else go(neighbour, here, visited)
    }
  }
  for (const node of initial) if (edges.has(writeValue(node))) go(node, [], new Set())
  return new RegoSet(found)
}

// ---- json.patch

function pathOf(v: Value | undefined): readonly Value[] {
  if (isArray(v)) return v
  if (typeof v !== 'string') return wrongType(2, v, 'set', 'array')
  if (v === '') return []
  const unescaped = (part: string) => part.replaceAll('~1', '/').replaceAll('~0', '~')
  return v.replace(/^\/+/, '').split('/').map(unescaped)
}

/** The place that a key means in an array; `-` is the one behind the last. */
function indexOf(length: number, key: Value): number {
  if (key === '-') return length
  if (!(key instanceof Num) && typeof key !== 'string') return fail('invalid type for indexing')
  const digits = key instanceof Num ? key.text : key
  if (!/^[+-]?(?=[\d.]{1,19}$)\d*\.?0*$/.test(digits))
    return fail(`invalid ${typeof key === 'string' ? 'string' : 'number type'} for indexing`)
  if (typeof key === 'string' && key !== '0' && key.startsWith('0'))
    return fail('leading zeros are not allowed in JSON paths')
  return Number(digits)
}

const isSame = (a: Value, b: Value): boolean => compareValues(a, b) === 0
const shown = (v: Value): string => writeValue(v)

function childOf(node: Value, key: Value): Value {
  if (isArray(node)) {
    const child = node[indexOf(node.length, key)]
    return (
      child ?? (child === null ? null : fail(`path ${shown(key)} does not exist in array term`))
    )
  }
  const child =
    node instanceof RegoObject
      ? node.pairs.find(([k]) => isSame(k, key))?.[1]
      : node instanceof RegoSet
        ? node.items.find((item) => isSame(item, key))
        : fail(`expected composite type for path ${shown(key)}, found value: ${shown(node)}`)
  return child === undefined ? fail(`path ${shown(key)} does not exist in ${shown(node)}`) : child
}

/** A value with the child at a key, which is there, replaced. */
function withChild(node: Value, key: Value, child: Value): Value {
  if (isArray(node)) return node.with(indexOf(node.length, key), child)
  if (node instanceof RegoSet)
    return new RegoSet([...node.items.filter((item) => !isSame(item, key)), child])
  if (node instanceof RegoObject) return inserted(node, key, child)
  return node
}

type Edit = (node: Value, key: Value) => Value

const inserted = (node: Value, key: Value, value: Value): Value => {
  if (isArray(node)) {
    const at = indexOf(node.length, key)
    if (at < 0 || at > node.length) return fail('index for array insertion out of bounds')
    return node.toSpliced(at, 0, value)
  }
  if (node instanceof RegoSet) {
    if (isSame(key, value)) return new RegoSet([...node.items, value])
    return fail(`set key ${shown(key)} does not equal value to be inserted ${shown(value)}`)
  }
  if (node instanceof RegoObject)
    return new RegoObject([...node.pairs.filter(([k]) => !isSame(k, key)), [key, value]])
  return fail(`expected composite type, found value: ${shown(node)}`)
}

const removed: Edit = (node, key) => {
  if (isArray(node)) {
    const at = indexOf(node.length, key)
    if (at < 0 || at >= node.length) return fail('index for array delete out of bounds')
    return node.toSpliced(at, 1)
  }
  const missing = () => fail(`cannot delete child key ${shown(key)} that does not exist`)
  if (node instanceof RegoSet) {
    const rest = node.items.filter((item) => !isSame(item, key))
    return rest.length < node.items.length ? new RegoSet(rest) : missing()
  }
  if (node instanceof RegoObject) {
    const rest = node.pairs.filter(([k]) => !isSame(k, key))
    return rest.length < node.pairs.length ? new RegoObject(rest) : missing()
  }
  return fail(`expected composite type, found value: ${shown(node)}`)
}

/** A document under way: undefined once all of it was removed. */
class Patched {
  root: Value | undefined
  constructor(root: Value) {
    this.root = root
  }

  get(path: readonly Value[]): Value {
    return path.reduce(childOf, this.#whole())
  }
  add(path: readonly Value[], value: Value): void {
    this.#edit(
      path,
      () => value,
      (node, key) => inserted(node, key, value),
    )
  }
  remove(path: readonly Value[]): void {
    this.#edit(path, () => undefined, removed)
  }

  #whole(): Value {
    return this.root ?? (this.root === null ? null : fail('nil value encountered'))
  }

  #edit(path: readonly Value[], whole: () => Value | undefined, edit: Edit): void {
    const last = path.at(-1)
    if (last === undefined) {
      this.root = whole()
      return
    }
    const go = (node: Value, i: number): Value => {
      const key = path[i]
      if (key === undefined || i === path.length - 1) return edit(node, last)
      return withChild(node, key, go(childOf(node, key), i + 1))
    }
    this.root = go(this.#whole(), 0)
  }
}

function patch(target: Value, operations: readonly Value[]): Value | undefined {
  const patched = new Patched(target)
  for (const item of operations) {
    if (!(item instanceof RegoObject))
      return fail(
        'must be an array of JSON-Patch objects, but at least one element is not an object',
      )
    apply(patched, item)
  }
  return patched.root
}

function apply(patched: Patched, operation: RegoObject): void {
  const needed = (name: string): Value => {
    const value = operation.get(name)
    return value === undefined ? fail(`missing required attribute '${name}'`) : value
  }
  needed('path')
  const op = needed('op')
  if (typeof op !== 'string') return fail("attribute 'op' must be a string")
  const path = pathOf(needed('path'))
  switch (op) {
    case 'add':
      return patched.add(path, needed('value'))
    case 'remove':
      return patched.remove(path)
    case 'replace':
      patched.remove(path)
      return patched.add(path, needed('value'))
    case 'copy':
      return patched.add(path, patched.get(pathOf(needed('from'))))
    case 'move': {
      const from = pathOf(needed('from'))
      const value = patched.get(from)
      patched.remove(from)
      return patched.add(path, value)
    }
    case 'test': {
      const found = patched.get(path)
      return isSame(found, needed('value')) ? undefined : fail('value from EditTree != patch value')
    }
    default:
      return fail(`unrecognized op: '${op}'`)
  }
}

export const documents: Family = {
  'graph.reachable_paths': (g, i) => reachablePaths(object(g, 1), members(i, 2)),
  'json.patch': (target, operations) => patch(target, array(operations, 2)),
}
