// Static types, as OPA's checker has them. `any` without members is every value; a list of types is a union.

export type Scalar = 'null' | 'boolean' | 'number' | 'string'
export interface ArrayType {
  readonly kind: 'array'
  readonly fixed: readonly Type[]
  readonly rest: Type | undefined
}
export interface ObjectType {
  readonly kind: 'object'
  /** Known keys; a key is the text of a scalar as in `keyOf`. */
  readonly fixed: ReadonlyMap<string, Type>
  readonly rest: readonly [Type, Type] | undefined
}
export interface SetType {
  readonly kind: 'set'
  readonly of: Type
}
export interface AnyType {
  readonly kind: 'any'
  readonly of: readonly Type[]
}
export type Type = { readonly kind: Scalar } | ArrayType | ObjectType | SetType | AnyType
export interface FunctionType {
  readonly args: readonly Type[]
  readonly variadic: boolean
  readonly result: Type | undefined
}

export const ANY: AnyType = { kind: 'any', of: [] }
export const NULL: Type = { kind: 'null' }
export const BOOLEAN: Type = { kind: 'boolean' }
export const NUMBER: Type = { kind: 'number' }
export const STRING: Type = { kind: 'string' }
export const EMPTY_ARRAY: ArrayType = { kind: 'array', fixed: [], rest: undefined }

export function isAny(type: Type): boolean {
  return type.kind === 'any' && type.of.length === 0
}

export function union(types: readonly Type[]): Type {
  const flat: Type[] = []
  for (const type of types) {
    if (type.kind === 'any') {
      if (type.of.length === 0) return ANY
      flat.push(...type.of)
    } else flat.push(type)
  }
  const unique: Type[] = []
  const seen = new Set<string>()
  for (const type of flat) {
    const text = typeText(type)
    if (!seen.has(text)) {
      seen.add(text)
      unique.push(type)
    }
  }
  const [only] = unique
  return unique.length === 1 && only ? only : { kind: 'any', of: unique }
}

export function typeText(type: Type): string {
  switch (type.kind) {
    case 'array': {
      const fixed = type.fixed.length > 0 ? `<${type.fixed.map(typeText).join(', ')}>` : ''
      return `array${fixed}${type.rest ? `[${typeText(type.rest)}]` : ''}`
    }
    case 'object': {
      const fixed = [...type.fixed].map(([k, v]) => `${k}: ${typeText(v)}`).join(', ')
      return `object<${fixed}>${type.rest ? `[${typeText(type.rest[0])}: ${typeText(type.rest[1])}]` : ''}`
    }
    case 'set':
      return `set[${typeText(type.of)}]`
    case 'any':
      return type.of.length === 0 ? 'any' : `any<${type.of.map(typeText).join(', ')}>`
    default:
      return type.kind
  }
}

/** What one gets by `value[key]` for some key of the type; undefined when there is nothing to get. */
export function values(type: Type): Type | undefined {
  switch (type.kind) {
    case 'array': {
      const all = [...type.fixed, ...(type.rest ? [type.rest] : [])]
      return all.length > 0 ? union(all) : undefined
    }
    case 'object': {
      const all = [...type.fixed.values(), ...(type.rest ? [type.rest[1]] : [])]
      return all.length > 0 ? union(all) : undefined
    }
    case 'set':
      return type.of
    case 'any': {
      if (type.of.length === 0) return ANY
      const all = type.of.map(values).filter((t) => t !== undefined)
      return all.length > 0 ? union(all) : undefined
    }
    default:
      return undefined
  }
}

/** The type of keys that `value[x]` iterates. */
export function keys(type: Type): Type | undefined {
  switch (type.kind) {
    case 'array':
      return NUMBER
    case 'object': {
      const all: Type[] = [...type.fixed.keys()].map(keyType)
      if (type.rest) all.push(type.rest[0])
      return all.length > 0 ? union(all) : undefined
    }
    case 'set':
      return type.of
    case 'any': {
      if (type.of.length === 0) return ANY
      const all = type.of.map(keys).filter((t) => t !== undefined)
      return all.length > 0 ? union(all) : undefined
    }
    default:
      return undefined
  }
}

/** Text by which a constant key is known in an object type. */
export function keyOf(value: string | number | boolean | null, isNumber = false): string {
  return isNumber ? String(value) : JSON.stringify(value)
}
function keyType(key: string): Type {
  if (key.startsWith('"')) return STRING
  if (key === 'null') return NULL
  if (key === 'true' || key === 'false') return BOOLEAN
  if (/^-?[\d.]/.test(key)) return NUMBER
  return ANY
}

/** The type behind one constant key; undefined when it cannot be there. */
export function select(type: Type, key: string): Type | undefined {
  switch (type.kind) {
    case 'array': {
      if (!/^\d+$/.test(key)) return undefined
      return type.fixed[Number(key)] ?? type.rest
    }
    case 'object': {
      const fixed = type.fixed.get(key)
      if (fixed) return fixed
      return type.rest && unifies(type.rest[0], keyType(key)) ? type.rest[1] : undefined
    }
    case 'set':
      return unifies(type.of, keyType(key)) ? keyType(key) : undefined
    case 'any': {
      if (type.of.length === 0) return ANY
      const all = type.of.map((t) => select(t, key)).filter((t) => t !== undefined)
      return all.length > 0 ? union(all) : undefined
    }
    default:
      return undefined
  }
}

/** Whether some value could be of both types. */
export function unifies(a: Type, b: Type): boolean {
  if (a.kind === 'any') return a.of.length === 0 || a.of.some((t) => unifies(t, b))
  if (b.kind === 'any') return unifies(b, a)
  if (a.kind !== b.kind) return false
  if (a.kind === 'array' && b.kind === 'array') return unifiesArrays(a, b)
  if (a.kind === 'object' && b.kind === 'object') return unifiesObjects(a, b)
  // An empty set is of every set type, and so unifies with it.
  if (a.kind === 'set' && b.kind === 'set') return unifies(a.of, b.of)
  return true
}

function unifiesArrays(a: ArrayType, b: ArrayType): boolean {
  if (a.fixed.length !== b.fixed.length && !a.rest && !b.rest) return false
  if (!a.rest && a.fixed.length < b.fixed.length) return false
  if (!b.rest && b.fixed.length < a.fixed.length) return false
  const most = Math.max(a.fixed.length, b.fixed.length)
  for (let i = 0; i < most; i++) {
    const x = a.fixed[i] ?? a.rest
    const y = b.fixed[i] ?? b.rest
    if (x && y && !unifies(x, y)) return false
  }
  return !(a.rest && b.rest && !unifies(a.rest, b.rest))
}

function unifiesObjects(a: ObjectType, b: ObjectType): boolean {
  if (a.rest && b.rest) return unifies(a.rest[1], b.rest[1])
  if (a.rest) return fixedUnify(b, a)
  if (b.rest) return fixedUnify(a, b)
  if (a.fixed.size !== b.fixed.size) return false
  for (const [key, type] of a.fixed) {
    const other = b.fixed.get(key)
    if (!other || !unifies(type, other)) return false
  }
  return true
}

/** Whether the known keys of a fit into b, which has unknown ones. */
function fixedUnify(a: ObjectType, b: ObjectType): boolean {
  for (const [key, type] of a.fixed) {
    const other = select(b, key)
    if (!other || !unifies(type, other)) return false
  }
  return true
}

/** Reads the notation of the builtin table: `[t]`, `{t}`, `<a,b>`, `object{k:v}`, `(a|b)`, names. */
export function parseType(text: string): Type {
  let at = 0
  const skip = () => {
    while (text[at] === ' ') at++
  }
  const expect = (c: string) => {
    skip()
    if (text[at] !== c) throw new Error(`bad type ${text} at ${at}`)
    at++
  }
  const peek = () => {
    skip()
    return text[at]
  }
  const list = (end: string): Type[] => {
    const found: Type[] = []
    while (peek() !== end) {
      found.push(type())
      if (peek() === ',') at++
    }
    at++
    return found
  }
  const type = (): Type => {
    const c = peek()
    if (c === '[') {
      at++
      const rest = type()
      expect(']')
      return { kind: 'array', fixed: [], rest }
    }
    if (c === '{') {
      at++
      const of = type()
      expect('}')
      return { kind: 'set', of }
    }
    if (c === '<') {
      at++
      return { kind: 'array', fixed: list('>'), rest: undefined }
    }
    if (c === '(') {
      at++
      const of = [type()]
      while (peek() === '|') {
        at++
        of.push(type())
      }
      expect(')')
      return union(of)
    }
    const name = /[a-z]+/y
    name.lastIndex = at
    const word = name.exec(text)?.[0] ?? ''
    at += word.length
    if (word === 'object') return object()
    if (word === 'any') return ANY
    return { kind: word as Scalar }
  }
  const object = (): Type => {
    const fixed = new Map<string, Type>()
    if (text[at] === '<') {
      at++
      while (peek() !== '>') {
        const name = /[a-z_]+/y
        name.lastIndex = at
        const key = name.exec(text)?.[0] ?? ''
        at += key.length
        expect(':')
        fixed.set(keyOf(key), type())
        if (peek() === ',') at++
      }
      at++
    }
    let rest: [Type, Type] | undefined
    if (text[at] === '{') {
      at++
      const k = type()
      expect(':')
      rest = [k, type()]
      expect('}')
    }
    return { kind: 'object', fixed, rest }
  }
  return type()
}
