// Static types, as OPA's checker has them. `any` without members is every value; a list of types is a union. A part whose
// type is not known yet is left undefined, and then the whole is not known either (`unknown`).

export type Scalar = 'null' | 'boolean' | 'number' | 'string'
type Maybe = Type | undefined
export interface ArrayType {
  readonly kind: 'array'
  readonly fixed: readonly Maybe[]
  readonly rest: Maybe
}
export interface ObjectType {
  readonly kind: 'object'
  /** Known keys; a key is the text of a constant as in `keyOf`. */
  readonly fixed: ReadonlyMap<string, Maybe>
  readonly rest: readonly [Maybe, Maybe] | undefined
}
export interface SetType {
  readonly kind: 'set'
  readonly of: Maybe
}
export interface AnyType {
  readonly kind: 'any'
  readonly of: readonly Type[]
}
export interface FunctionType {
  readonly kind: 'function'
  readonly args: readonly Maybe[]
  readonly variadic: boolean
  readonly result: Maybe
}
export type Type =
  | { readonly kind: Scalar }
  | ArrayType
  | ObjectType
  | SetType
  | AnyType
  | FunctionType

export const ANY: AnyType = { kind: 'any', of: [] }
export const NULL: Type = { kind: 'null' }
export const BOOLEAN: Type = { kind: 'boolean' }
export const NUMBER: Type = { kind: 'number' }
export const STRING: Type = { kind: 'string' }

export function isAny(type: Type): boolean {
  return type.kind === 'any' && type.of.length === 0
}

/** Either of two types; undefined when only one is a function's. */
export function or(a: Maybe, b: Maybe): Maybe {
  if (!a || a === b) return b
  if (!b) return a
  if (a.kind === 'function' || b.kind === 'function')
    return a.kind === 'function' && b.kind === 'function' ? eitherFunction(a, b) : undefined
  const members = [...(a.kind === 'any' ? a.of : [a]), ...(b.kind === 'any' ? b.of : [b])]
  if (isAny(a) || isAny(b)) return ANY
  const unique = new Map<string, Type>()
  for (const member of members) unique.set(typeText(member), member)
  const [only] = unique.values()
  if (unique.size === 1 && only) return a.kind === 'any' ? a : only
  return { kind: 'any', of: [...unique].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, t]) => t) }
}

export function union(types: readonly Maybe[]): Maybe {
  let all: Maybe
  for (const type of types) all = or(all, type)
  return all
}

function eitherFunction(a: FunctionType, b: FunctionType): FunctionType | undefined {
  if (a.args.length !== b.args.length || a.variadic !== b.variadic) return undefined
  return {
    kind: 'function',
    args: a.args.map((arg, i) => or(arg, b.args[i])),
    variadic: a.variadic,
    result: or(a.result, b.result),
  }
}

const texts = new WeakMap<Type, string>()

/** Equal for equal types. */
export function typeText(type: Maybe): string {
  if (!type) return '???'
  if (type.kind === 'any' && type.of.length === 0) return 'any'
  let text = texts.get(type)
  if (text === undefined) {
    text = written(type)
    texts.set(type, text)
  }
  return text
}

function written(type: Type): string {
  switch (type.kind) {
    case 'array': {
      const fixed = type.fixed.length > 0 ? `<${type.fixed.map(typeText).join(', ')}>` : ''
      return `array${fixed}${type.rest ? `[${typeText(type.rest)}]` : ''}`
    }
    case 'object': {
      const fixed = [...type.fixed]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, v]) => `${k}: ${typeText(v)}`)
        .join(', ')
      const rest = type.rest ? `[${typeText(type.rest[0])}: ${typeText(type.rest[1])}]` : ''
      return `object${fixed === '' ? '' : `<${fixed}>`}${rest}`
    }
    case 'set':
      return `set[${typeText(type.of)}]`
    case 'any':
      return `any<${type.of.map(typeText).join(', ')}>`
    case 'function':
      return `(${type.args.map(typeText).join(', ')}) => ${typeText(type.result)}`
    default:
      return type.kind
  }
}

/** Whether something in a type is not known yet. Members of a union are not looked into. */
export function isUnknown(type: Maybe): boolean {
  if (!type) return true
  switch (type.kind) {
    case 'array':
      return type.fixed.some(isUnknown) || (type.rest !== undefined && isUnknown(type.rest))
    case 'object': {
      for (const value of type.fixed.values()) if (isUnknown(value)) return true
      return type.rest !== undefined && (isUnknown(type.rest[0]) || isUnknown(type.rest[1]))
    }
    case 'set':
      return isUnknown(type.of)
    case 'function':
      return type.args.some(isUnknown) || isUnknown(type.result)
    default:
      return false
  }
}

/** What one gets by `value[key]` for some key of the type; undefined when there is nothing to get. */
export function values(type: Maybe): Maybe {
  switch (type?.kind) {
    case 'array':
      return or(union(type.fixed), type.rest)
    case 'object':
      return or(union([...type.fixed.values()]), type.rest?.[1])
    case 'set':
      return type.of
    case 'any':
      return isAny(type) ? ANY : union(type.of.map(values))
    default:
      return undefined
  }
}

/** The type of keys that `value[x]` iterates. */
export function keys(type: Maybe): Maybe {
  switch (type?.kind) {
    case 'array':
      return NUMBER
    case 'object':
      return or(union([...type.fixed.keys()].map(keyType)), type.rest?.[0])
    case 'set':
      return type.of
    case 'any':
      return isAny(type) ? ANY : union(type.of.map(keys))
    default:
      return undefined
  }
}

/** Text by which a constant key is known in an object type: its JSON, numbers by their value. */
export function keyOf(value: string | number | boolean | null): string {
  return JSON.stringify(value)
}

function keyType(key: string): Type {
  return typeOfJson(JSON.parse(key) as unknown)
}

function typeOfJson(value: unknown): Type {
  if (value === null) return NULL
  if (typeof value === 'boolean') return BOOLEAN
  if (typeof value === 'number') return NUMBER
  if (typeof value === 'string') return STRING
  if (Array.isArray(value)) return { kind: 'array', fixed: value.map(typeOfJson), rest: undefined }
  const fixed = Object.entries(value as object).map(([k, v]) => [keyOf(k), typeOfJson(v)] as const)
  return { kind: 'object', fixed: new Map(fixed), rest: undefined }
}

/** The type behind one constant key; undefined when it cannot be there. */
export function select(type: Maybe, key: string): Maybe {
  switch (type?.kind) {
    case 'array':
      return /^\d+$/.test(key) ? elementAt(type, Number(key)) : undefined
    case 'object':
      return property(type, key)
    case 'set': {
      const own = keyType(key)
      if (type.of && typeText(type.of) === typeText(own)) return type.of
      return type.of?.kind === 'any' && contains(type.of, own) ? own : undefined
    }
    case 'any':
      return isAny(type) ? ANY : union(type.of.map((t) => select(t, key)))
    default:
      return undefined
  }
}

export function elementAt(type: ArrayType, at: number): Maybe {
  return at < type.fixed.length ? type.fixed[at] : type.rest
}

function property(type: ObjectType, key: string): Maybe {
  if (type.fixed.has(key)) return type.fixed.get(key)
  return type.rest?.[0] && contains(type.rest[0], keyType(key)) ? type.rest[1] : undefined
}

/** Whether a type is another or has it as a member. */
function contains(type: Type, member: Type): boolean {
  if (type.kind !== 'any') return typeText(type) === typeText(member)
  return type.of.length === 0 || type.of.some((t) => typeText(t) === typeText(member))
}

/** Whether some value could be of both types. Nothing is of a type that is not known. */
export function unifies(a: Maybe, b: Maybe): boolean {
  if (!a || !b) return false
  if (a.kind === 'any' || b.kind === 'any')
    return (a.kind === 'any' && unifiesAny(a, b)) || (b.kind === 'any' && unifiesAny(b, a))
  if (a.kind === 'array' && b.kind === 'array') return unifiesArrays(a, b)
  if (a.kind === 'object' && b.kind === 'object') return unifiesObjects(a, b)
  if (a.kind === 'set' && b.kind === 'set') return unifies(values(a), values(b))
  if (a.kind === 'function' && b.kind === 'function') return unifiesFunctions(a, b)
  return a.kind === b.kind
}

function unifiesAny(a: AnyType, b: Type): boolean {
  if (b.kind === 'function') return false
  return a.of.length === 0 || a.of.some((t) => unifies(t, b))
}

function unifiesFunctions(a: FunctionType, b: FunctionType): boolean {
  return a.args.length === b.args.length && a.args.every((arg, i) => unifies(arg, b.args[i]))
}

function unifiesArrays(a: ArrayType, b: ArrayType): boolean {
  const fits = (x: ArrayType, y: ArrayType) =>
    x.fixed.every((type, i) => unifies(type, elementAt(y, i)))
  return fits(a, b) && fits(b, a) && (!a.rest || !b.rest || unifies(a.rest, b.rest))
}

function unifiesObjects(a: ObjectType, b: ObjectType): boolean {
  const [x, y] = [a.rest?.[1], b.rest?.[1]]
  return fixedUnify(a, b) && fixedUnify(b, a) && (!x || !y || unifies(x, y))
}

/** Whether the known keys of a fit into b; where either has unknown ones, b need not have them. */
function fixedUnify(a: ObjectType, b: ObjectType): boolean {
  const open = a.rest?.[1] !== undefined || b.rest?.[1] !== undefined
  for (const [key, type] of a.fixed) {
    const other = property(b, key)
    if (other ? !unifies(type, other) : !open) return false
  }
  return true
}

const SCALARS = ['null', 'boolean', 'number', 'string'] as const satisfies readonly Scalar[]

/**
 * Reads the notation of the builtin table: `[t]`, `{t}`, `<a,b>`, `object{k:v}`, `(a|b)`, names.
 * @throws Error for what is no type
 */
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
      return union(of) ?? ANY
    }
    const name = /[a-z]+/y
    name.lastIndex = at
    const word = name.exec(text)?.[0] ?? ''
    at += word.length
    if (word === 'object') return object()
    if (word === 'any') return ANY
    const scalar = SCALARS.find((one) => one === word)
    if (!scalar) throw new Error(`bad type ${text} at ${at - word.length}`)
    return { kind: scalar }
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
  const found = type()
  if (peek() !== undefined) throw new Error(`bad type ${text} at ${at}`)
  return found
}
