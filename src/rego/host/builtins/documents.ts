import {
  compareValues,
  isArray,
  Num,
  RegoObject,
  RegoSet,
  type Value,
  writeValue,
} from '../value.ts'
import { array, type Family, fail, members, object, wrongType } from './kind.ts'

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

export const documents: Family = {
  'graph.reachable_paths': (g, i) => reachablePaths(object(g, 1), members(i, 2)),
  'json.patch': (target, operations) => patch(target, array(operations, 2)),
}
