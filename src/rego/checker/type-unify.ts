// Types meet terms: variables without a type get one, everything else has to fit.
import type { ArrayTerm, ObjectTerm, SetTerm, Term } from '../ast/ast.ts'
import { constantKey, selectTerm, type TypeEnv, type Types } from './type-env.ts'
import {
  ANY,
  type ArrayType,
  elementAt,
  isAny,
  isUnknown,
  type ObjectType,
} from '../builtins/types.ts'
import { or, type SetType, type Type, unifies } from '../builtins/types.ts'

type Maybe = Type | undefined

/** Whether two terms may be equal; undefined parts of their types are what is not known yet. */
export function unify(
  types: Types,
  env: TypeEnv,
  a: Term,
  typeA: Maybe,
  b: Term,
  typeB: Maybe,
): boolean {
  const [openA, openB] = [isUnknown(typeA), isUnknown(typeB)]
  if (openA && !openB) return unifyTerm(types, env, a, typeB, false)
  if (openB && !openA) return unifyTerm(types, env, b, typeA, false)
  if (!openA && !openB) return unifies(typeA, typeB)
  if (a.kind === 'array') return unifyArrays(types, env, a, b)
  if (a.kind === 'object') return unifyObjects(types, env, a, b)
  if (a.kind === 'var') {
    if (b.kind === 'var') return bothOpen(types, env, a, b)
    if (b.kind === 'array') return unifyArrays(types, env, b, a)
    if (b.kind === 'object') return unifyObjects(types, env, b, a)
    if (!typeA && typeB) return unifyTerm(types, env, a, typeB, false)
  }
  return b.kind === 'var' && !typeB && typeA !== undefined
    ? unifyTerm(types, env, b, typeA, false)
    : false
}

/** Neither is known: the first may be anything, the second what the first is then. */
function bothOpen(types: Types, env: TypeEnv, a: Term, b: Term): boolean {
  return unifyTerm(types, env, a, ANY, false) && unifyTerm(types, env, b, types.of(a, env), false)
}

function unifyArrays(types: Types, env: TypeEnv, a: ArrayTerm, b: Term): boolean {
  if (b.kind === 'var') return bothOpen(types, env, a, b)
  if (b.kind !== 'array' || a.items.length !== b.items.length) return false
  return a.items.every((item, i) => unifyPair(types, env, item, b.items[i] as Term))
}

function unifyObjects(types: Types, env: TypeEnv, a: ObjectTerm, b: Term): boolean {
  if (b.kind === 'var') return bothOpen(types, env, a, b)
  if (b.kind !== 'object' || a.pairs.length !== b.pairs.length) return false
  return a.pairs.every(([key, value]) => {
    const other = b.pairs.find(([k]) => isSameKey(k, key))
    return other !== undefined && unifyPair(types, env, value, other[1])
  })
}

function isSameKey(a: Term, b: Term): boolean {
  if (a.kind === 'var' && b.kind === 'var') return a.name === b.name
  const key = constantKey(a)
  return key !== undefined && key === constantKey(b)
}

function unifyPair(types: Types, env: TypeEnv, a: Term, b: Term): boolean {
  return unify(types, env, a, types.of(a, env), b, types.of(b, env))
}

/** Whether a term may be of a type; with `joins` a variable may be of others too. */
export function unifyTerm(
  types: Types,
  env: TypeEnv,
  term: Term,
  type: Maybe,
  joins: boolean,
): boolean {
  if (term.kind === 'array' || term.kind === 'object' || term.kind === 'set') {
    if (type?.kind !== 'any') return unifyComposite(types, env, term, type, joins)
    if (isAny(type)) {
      const inner = term.kind === 'object' ? term.pairs.flat() : term.items
      for (const t of inner) unifyTerm(types, env, t, ANY, true)
      return true
    }
    let fits = false
    for (const t of type.of) if (unifyTerm(types, env, term, t, true)) fits = true
    return fits
  }
  if (term.kind !== 'var' || term.name === 'input' || term.name === 'data')
    return unifies(types.of(term, env), type)
  const known = env.variable(term.name)
  if (joins) env.set(term.name, or(known, type))
  else if (known) return unifies(known, type)
  else env.set(term.name, type)
  return true
}

function unifyComposite(
  types: Types,
  env: TypeEnv,
  term: ArrayTerm | ObjectTerm | SetTerm,
  type: Maybe,
  joins: boolean,
): boolean {
  if (term.kind === 'array')
    return type?.kind === 'array' && unifyArray(types, env, term, type, joins)
  if (term.kind === 'object')
    return type?.kind === 'object' && unifyObject(types, env, term, type, joins)
  return type?.kind === 'set' && unifySet(types, env, term, type, joins)
}

function unifyArray(
  types: Types,
  env: TypeEnv,
  { items }: ArrayTerm,
  type: ArrayType,
  joins: boolean,
): boolean {
  if (items.length !== type.fixed.length && !type.rest) return false
  return items.every((item, i) => unifyTerm(types, env, item, elementAt(type, i), joins))
}

function unifyObject(
  types: Types,
  env: TypeEnv,
  { pairs }: ObjectTerm,
  type: ObjectType,
  joins: boolean,
): boolean {
  if (pairs.length !== type.fixed.size && !type.rest?.[1]) return false
  return pairs.every(([key, value]) => {
    if (constantKey(key) === undefined) {
      unifyTerm(types, env, value, ANY, joins)
      return true
    }
    const child = selectTerm(type, key)
    return child !== undefined && unifyTerm(types, env, value, child, joins)
  })
}

function unifySet(
  types: Types,
  env: TypeEnv,
  { items }: SetTerm,
  type: SetType,
  joins: boolean,
): boolean {
  return items.every((item) => unifyTerm(types, env, item, type.of, joins))
}
