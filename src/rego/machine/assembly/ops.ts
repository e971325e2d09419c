// What generated code calls besides builtins: the statements of the IR that are more than a few instructions.
import { abortWith, alloc, charge, heap } from './memory'
import { T_ARR, T_NUM, T_OBJ, T_SET, MARK_NESTED, MARK_PARSED, MARK_WRITTEN, ENTRY, NULL, mkSet, mkSetOf, entries, tag, find, count, sortTable, objPut, objPutOnce, mkObject, keyAt, valueAt, hash, arrAt, mkInt, mkObjectOf, setAdd, arrPush, intOf } from './value'
import { lookup } from './collections'
import { textOf } from './text'

/** `v[k]` for a constant string key, whose hash codegen knows. */
export function dot(v: usize, k: usize): usize {
  if (v == 0) return 0
  if (tag(v) == T_OBJ) {
    const e = find(v, k, load<u32>(k, 4))
    return e ? <usize>load<u32>(e, 4) : 0
  }
  return tag(v) == T_SET ? (find(v, k, load<u32>(k, 4)) ? k : 0) : 0
}
/** `v[k]` for any key. */
export function at(v: usize, k: usize): usize {
  return v == 0 || k == 0 ? 0 : lookup(v, k)
}

/** `v[k]` in base documents, where keys are strings: a number stands for its text. */
export function atBase(v: usize, k: usize): usize {
  const found = at(v, k)
  if (found || v == 0 || k == 0 || tag(v) != T_OBJ || tag(k) != T_NUM) return found
  return lookup(v, textOf(k, 0))
}

/** The number that a constant table has for a value, or -1. */
export function caseOf(table: usize, v: usize): i32 {
  if (v == 0) return -1
  const e = find(table, v, hash(v))
  return e ? <i32>intOf(load<u32>(e, 4)) : -1
}

// Two values under one key end the evaluation when that key is asked for, or all of the object: OPA evaluates only the
// rules that can give the key. Until then this stands in their place.
const CONFLICT: usize = memory.data<u32>([1, 0, 0, 0], 8)
let conflicts = false

function conflictAt(o: usize, k: usize): void {
  objPut(o, k, CONFLICT)
  conflicts = true
}
export function settled(v: usize): void {
  if (conflicts && isBroken(v)) conflictObject()
}
function isBroken(v: usize): bool {
  if (v == CONFLICT) return true
  if (v == 0 || tag(v) != T_OBJ) return false
  charge(<i32>count(v))
  for (let i: u32 = 0; i < count(v); i++) {
    const x = valueAt(v, i)
    if (x == CONFLICT || (tag(x) == T_OBJ && load<u8>(x, 2) & MARK_NESTED && isBroken(x))) return true
  }
  return false
}

/** A `with` names what is no document. */
export function badPath(): void {
  // eval_conflict_error: bad document path
  abortWith(memory.data<u8>([101, 118, 97, 108, 95, 99, 111, 110, 102, 108, 105, 99, 116, 95, 101, 114, 114, 111, 114, 58, 32, 98, 97, 100, 32, 100, 111, 99, 117, 109, 101, 110, 116, 32, 112, 97, 116, 104, 0]))
}

// Containers that rules build step by step are marked at +2, so that a value which merely came along is not changed.

/** The object under a key, made when there is none. */
export function nestedChild(o: usize, k: usize): usize {
  const e = find(o, k, hash(k))
  if (e) {
    const v = <usize>load<u32>(e, 4)
    if (tag(v) == T_OBJ && load<u8>(v, 2) & MARK_NESTED) return v
  }
  const fresh = mkObject()
  store<u8>(fresh, MARK_NESTED, 2)
  if (e) conflictAt(o, k)
  else objPut(o, k, fresh)
  return fresh
}
/** The set under a key, made when there is none. */
export function nestedSet(o: usize, k: usize): usize {
  const e = find(o, k, hash(k))
  if (e) {
    const v = <usize>load<u32>(e, 4)
    if (tag(v) == T_SET && load<u8>(v, 2) & MARK_NESTED) return v
  }
  const fresh = mkSet()
  store<u8>(fresh, MARK_NESTED, 2)
  if (e) conflictAt(o, k)
  else objPut(o, k, fresh)
  return fresh
}
export function nestedInsert(o: usize, k: usize, v: usize, fallback: i32): void {
  if (fallback) {
    if (!find(o, k, hash(k))) objPut(o, k, v)
  } else if (!objPutOnce(o, k, v)) conflictAt(o, k)
}

/**
 * A set that is iterated as it was written: in the order of `items` and with members that turned out to be equal, as
 * OPA does while it has not made the set yet. Everything else sees the set `s`.
 */
export function writtenSet(s: usize, items: usize): usize {
  const n = count(items)
  const view = mkSetOf(n)
  for (let i: u32 = 0; i < n; i++) {
    store<u32>(entries(view) + i * ENTRY, <u32>arrAt(items, i))
    store<u32>(entries(view) + i * ENTRY, <u32>arrAt(items, i), 4)
  }
  store<u32>(view, n, 4)
  const v = plainSet(s)
  store<u8>(v, load<u8>(v, 2) | MARK_WRITTEN, 2)
  store<u32>(v, <u32>view, 28)
  return v
}
/** What to iterate where the order can be seen. */
export function scanView(v: usize): usize {
  return v && tag(v) == T_SET && load<u8>(v, 2) & MARK_WRITTEN ? <usize>load<u32>(v, 28) : v
}
/** A value without what a literal looked like: remembered results are made sets. */
export function plainOf(v: usize): usize {
  return v && tag(v) == T_SET && load<u8>(v, 2) & MARK_WRITTEN ? plainSet(v) : v
}
function plainSet(s: usize): usize {
  const v = alloc(32)
  memory.copy(v, s, 32)
  store<u8>(v, load<u8>(v, 2) & ~MARK_WRITTEN, 2)
  return v
}

/** Prepares a value for iteration and returns the number of its elements; 0 for what cannot be iterated. */
export function scanCount(v: usize, ordered: i32): u32 {
  if (v == 0) return 0
  const t = tag(v)
  if (t < T_ARR) return 0
  if (t != T_ARR && (ordered || load<u8>(v, 2) & MARK_PARSED)) sortTable(v)
  return count(v)
}

/** A copy of `v` (an object or not) with `value` under the path in an array of keys, sharing what does not change. */
export function withPath(v: usize, path: usize, value: usize, depth: u32): usize {
  if (depth == count(path)) return value
  const r = v && tag(v) == T_OBJ ? copyObject(v) : mkObject()
  const key = arrAt(path, depth)
  const e = find(r, key, hash(key))
  objPut(r, key, withPath(e ? <usize>load<u32>(e, 4) : 0, path, value, depth + 1))
  return r
}
function copyObject(v: usize): usize {
  const n = count(v)
  const r = mkObjectOf(n + 1)
  for (let i: u32 = 0; i < n; i++) objPut(r, keyAt(v, i), valueAt(v, i))
  return r
}

/** `merge` of the IR: virtual documents (a) over base ones (b). */
export function mergeOver(a: usize, b: usize): usize {
  if (a == 0) return b
  if (b == 0) return a
  if (tag(a) != T_OBJ || tag(b) != T_OBJ) return a
  const r = mkObjectOf(count(a) + count(b))
  for (let i: u32 = 0; i < count(b); i++) {
    const e = find(a, keyAt(b, i), hash(keyAt(b, i)))
    objPut(r, keyAt(b, i), e ? mergeOver(<usize>load<u32>(e, 4), valueAt(b, i)) : valueAt(b, i))
  }
  for (let i: u32 = 0; i < count(a); i++) if (!find(b, keyAt(a, i), hash(keyAt(a, i)))) objPut(r, keyAt(a, i), valueAt(a, i))
  return r
}

export function conflictRule(): void {
  // eval_conflict_error: complete rules must not produce multiple outputs
  abortWith(memory.data<u8>([101, 118, 97, 108, 95, 99, 111, 110, 102, 108, 105, 99, 116, 95, 101, 114, 114, 111, 114, 58, 32, 99, 111, 109, 112, 108, 101, 116, 101, 32, 114, 117, 108, 101, 115, 32, 109, 117, 115, 116, 32, 110, 111, 116, 32, 112, 114, 111, 100, 117, 99, 101, 32, 109, 117, 108, 116, 105, 112, 108, 101, 32, 111, 117, 116, 112, 117, 116, 115, 0]))
}
export function conflictFunction(): void {
  // eval_conflict_error: functions must not produce multiple outputs for same inputs
  abortWith(memory.data<u8>([101, 118, 97, 108, 95, 99, 111, 110, 102, 108, 105, 99, 116, 95, 101, 114, 114, 111, 114, 58, 32, 102, 117, 110, 99, 116, 105, 111, 110, 115, 32, 109, 117, 115, 116, 32, 110, 111, 116, 32, 112, 114, 111, 100, 117, 99, 101, 32, 109, 117, 108, 116, 105, 112, 108, 101, 32, 111, 117, 116, 112, 117, 116, 115, 32, 102, 111, 114, 32, 115, 97, 109, 101, 32, 105, 110, 112, 117, 116, 115, 0]))
}
export function conflictObject(): void {
  // eval_conflict_error: object keys must be unique
  abortWith(memory.data<u8>([101, 118, 97, 108, 95, 99, 111, 110, 102, 108, 105, 99, 116, 95, 101, 114, 114, 111, 114, 58, 32, 111, 98, 106, 101, 99, 116, 32, 107, 101, 121, 115, 32, 109, 117, 115, 116, 32, 98, 101, 32, 117, 110, 105, 113, 117, 101, 0]))
}
export function insertOnce(o: usize, k: usize, v: usize): void {
  if (!objPutOnce(o, k, v)) conflictObject()
}

// ---- evaluation context of the older calling convention: input, data, entrypoint, result

export function opa_eval_ctx_new(): usize {
  const c = alloc(16)
  store<u64>(c, 0)
  store<u64>(c, 0, 8)
  return c
}
export function opa_eval_ctx_set_input(c: usize, v: usize): void {
  store<u32>(c, v)
}
export function opa_eval_ctx_set_data(c: usize, v: usize): void {
  store<u32>(c, v, 4)
}
export function opa_eval_ctx_set_entrypoint(c: usize, e: i32): void {
  store<u32>(c, e, 8)
}
export function opa_eval_ctx_get_result(c: usize): usize {
  return <usize>load<u32>(c, 12)
}

/** Memory for memoised results of one evaluation (or one `with`), all unknown. */
export function memoTable(bytes: usize): usize {
  const p = alloc(bytes)
  memory.fill(p, 0, bytes)
  return p
}
export function nullAddress(): usize {
  return NULL
}
export function heapNow(): usize {
  return heap
}
