// Values. Each is an address: tag at +0, small fields behind it. 0 is undefined.
//   number   +1 kind (0 integer, 1 decimal text), +8 i64 | +8 text, +12 length
//   string   +4 hash (0: not computed yet), +8 bytes, +12 length
//   array    +4 length, +8 capacity, +12 elements, +16 hash (0: not computed yet)
//   object   +1 sorted, +2 marks, +4 count, +8 capacity, +12 entries (key, value, hash), +16 index, +20 index mask, +24 hash
//   set      as object, value = key
// Tables that were parsed may outlive an evaluation, so sorting them allocates nothing; they are always scanned in order.
// Tables that rules make are scanned in any order where it does not matter; sorting one leaves its old entries as they were,
// for a scan may be in the middle of them.
// Codegen lays out constants the same way (codegen/constants.ts), so a change here is a change there.
import { alloc, charge } from './memory'
import { numberCompare, numberHash } from './numbers'

export const T_NULL: u32 = 1
export const T_BOOL: u32 = 2
export const T_NUM: u32 = 3
export const T_STR: u32 = 4
export const T_ARR: u32 = 5
export const T_OBJ: u32 = 6
export const T_SET: u32 = 7

export const ENTRY: usize = 12
/** Marks at +2: built step by step by rules; came from text or a constant. */
export const MARK_NESTED: u8 = 1
export const MARK_PARSED: u8 = 2
/** A set that was written as a literal; what it looks like when it is iterated is at +28. */
export const MARK_WRITTEN: u8 = 4
/** Collections of up to this many entries are searched in a row; larger ones carry an index. */
const ROW_MAX: u32 = 8

export const NULL: usize = memory.data<u32>([1, 0, 0, 0], 8)
export const FALSE: usize = memory.data<u32>([2, 0, 0, 0], 8)
export const TRUE: usize = memory.data<u32>([0x102, 0, 0, 0], 8)

// @ts-ignore: decorator
@inline
export function tag(v: usize): u32 {
  return <u32>load<u8>(v)
}
// @ts-ignore: decorator
@inline
export function truth(b: bool): usize {
  return b ? TRUE : FALSE
}

export function mkNull(): usize {
  return NULL
}
export function mkBool(b: i32): usize {
  return b ? TRUE : FALSE
}

export function mkInt(n: i64): usize {
  const v = alloc(16)
  store<u32>(v, T_NUM)
  store<i64>(v, n, 8)
  return v
}

/** The number of an array's element, for generated code. */
export function mkIndex(i: u32): usize {
  return mkInt(i)
}

/** A number kept as its decimal text. */
export function mkDecimal(text: usize, length: u32): usize {
  const v = alloc(16)
  store<u32>(v, T_NUM | 0x100)
  store<u32>(v, 0, 4)
  store<u32>(v, text, 8)
  store<u32>(v, length, 12)
  return v
}

export function mkStr(bytes: usize, length: u32): usize {
  const v = alloc(16)
  store<u32>(v, T_STR)
  store<u32>(v, 0, 4)
  store<u32>(v, bytes, 8)
  store<u32>(v, length, 12)
  return v
}

// @ts-ignore: decorator
@inline
export function strPtr(v: usize): usize {
  return <usize>load<u32>(v, 8)
}
// @ts-ignore: decorator
@inline
export function strLen(v: usize): u32 {
  return load<u32>(v, 12)
}
// @ts-ignore: decorator
@inline
export function isInt(v: usize): bool {
  return load<u8>(v, 1) == 0
}
// @ts-ignore: decorator
@inline
export function intOf(v: usize): i64 {
  return load<i64>(v, 8)
}
// @ts-ignore: decorator
@inline
export function count(v: usize): u32 {
  return load<u32>(v, 4)
}

// ---- arrays

export function mkArray(capacity: u32): usize {
  const v = alloc(24)
  store<u32>(v, T_ARR)
  store<u32>(v, 0, 16)
  store<u32>(v, 0, 4)
  store<u32>(v, capacity, 8)
  store<u32>(v, capacity ? alloc(capacity << 2) : 0, 12)
  return v
}

export function arrPush(v: usize, item: usize): void {
  store<u32>(v, 0, 16)
  const n = load<u32>(v, 4)
  const capacity = load<u32>(v, 8)
  if (n == capacity) {
    const wider = capacity < 4 ? 4 : capacity << 1
    const moved = alloc(wider << 2)
    memory.copy(moved, load<u32>(v, 12), n << 2)
    store<u32>(v, moved, 12)
    store<u32>(v, wider, 8)
  }
  store<u32>(load<u32>(v, 12) + (n << 2), item)
  store<u32>(v, n + 1, 4)
}

// @ts-ignore: decorator
@inline
export function arrAt(v: usize, i: u32): usize {
  return <usize>load<u32>(load<u32>(v, 12) + (i << 2))
}

// ---- objects and sets

function mkTable(t: u32, capacity: u32): usize {
  const v = alloc(32)
  store<u32>(v, 0, 24)
  store<u32>(v, t | 0x100)
  store<u32>(v, 0, 4)
  store<u32>(v, capacity, 8)
  store<u32>(v, capacity ? alloc(capacity * ENTRY) : 0, 12)
  store<u64>(v, 0, 16)
  return v
}
export function mkObject(): usize {
  return mkTable(T_OBJ, 0)
}
export function mkObjectOf(capacity: u32): usize {
  return mkTable(T_OBJ, capacity)
}
export function mkSet(): usize {
  return mkTable(T_SET, 0)
}
export function mkSetOf(capacity: u32): usize {
  return mkTable(T_SET, capacity)
}

// @ts-ignore: decorator
@inline
export function entries(v: usize): usize {
  return <usize>load<u32>(v, 12)
}
// @ts-ignore: decorator
@inline
export function keyAt(v: usize, i: u32): usize {
  return <usize>load<u32>(entries(v) + i * ENTRY)
}
// @ts-ignore: decorator
@inline
export function valueAt(v: usize, i: u32): usize {
  return <usize>load<u32>(entries(v) + i * ENTRY, 4)
}

function reindex(v: usize): void {
  const n = load<u32>(v, 4)
  let mask = load<u32>(v, 20)
  const capacity = load<u32>(v, 8)
  let index = <usize>load<u32>(v, 16)
  if (index == 0 || mask < capacity + (capacity >> 1)) {
    let slots: u32 = 64
    while (slots < capacity * 3) slots <<= 1
    mask = slots - 1
    index = alloc(slots << 2)
    store<u32>(v, index, 16)
    store<u32>(v, mask, 20)
  }
  memory.fill(index, 0, (mask + 1) << 2)
  const first = entries(v)
  for (let i: u32 = 0; i < n; i++) {
    let slot = load<u32>(first + i * ENTRY, 8) & mask
    while (load<u32>(index + (slot << 2))) slot = (slot + 1) & mask
    store<u32>(index + (slot << 2), i + 1)
  }
}

/** Eight bytes at a time: most keys are one or two of those. */
export function sameBytes(p: usize, q: usize, n: u32): bool {
  let i: u32 = 0
  for (; i + 8 <= n; i += 8) if (load<u64>(p + i) != load<u64>(q + i)) return false
  if (i + 4 <= n) {
    if (load<u32>(p + i) != load<u32>(q + i)) return false
    i += 4
  }
  for (; i < n; i++) if (load<u8>(p + i) != load<u8>(q + i)) return false
  return true
}

/** Whether two values with one hash are equal; nearly always two strings. */
@inline
function sameKey(a: usize, b: usize): bool {
  if (a == b) return true
  if (tag(a) != T_STR || tag(b) != T_STR) return equal(a, b)
  const n = strLen(a)
  return n == strLen(b) && sameBytes(strPtr(a), strPtr(b), n)
}

/** The entry of a key, or 0. */
export function find(v: usize, key: usize, h: u32): usize {
  const n = load<u32>(v, 4)
  const first = entries(v)
  const index = <usize>load<u32>(v, 16)
  if (index == 0) {
    const end = first + n * ENTRY
    for (let e = first; e < end; e += ENTRY) {
      if (load<u32>(e, 8) == h && sameKey(<usize>load<u32>(e), key)) return e
    }
    return 0
  }
  const mask = load<u32>(v, 20)
  let slot = h & mask
  for (;;) {
    const at = load<u32>(index + (slot << 2))
    if (at == 0) return 0
    const e = first + (at - 1) * ENTRY
    if (load<u32>(e, 8) == h && sameKey(<usize>load<u32>(e), key)) return e
    slot = (slot + 1) & mask
  }
  return 0
}

function append(v: usize, key: usize, value: usize, h: u32, compared: bool): void {
  const n = load<u32>(v, 4)
  const capacity = load<u32>(v, 8)
  if (n == capacity) {
    const wider: u32 = capacity == 0 ? 6 : capacity << 1
    const moved = alloc(wider * ENTRY)
    memory.copy(moved, load<u32>(v, 12), n * ENTRY)
    store<u32>(v, moved, 12)
    store<u32>(v, wider, 8)
    // The index names entries by position, so moving them leaves it right; only its size can become too small.
    if (load<u32>(v, 16) && load<u32>(v, 20) < wider + (wider >> 1)) reindex(v)
  }
  const e = entries(v) + n * ENTRY
  store<u32>(e, key)
  store<u32>(e, value, 4)
  store<u32>(e, h, 8)
  store<u32>(v, n + 1, 4)
  store<u32>(v, 0, 24)
  if (n) {
    if (!compared) store<u8>(v, 0, 1)
    else if (load<u8>(v, 1) && compare(<usize>load<u32>(e - ENTRY), key) > 0) store<u8>(v, 0, 1)
  }
  const index = <usize>load<u32>(v, 16)
  if (index) {
    const mask = load<u32>(v, 20)
    let slot = h & mask
    while (load<u32>(index + (slot << 2))) slot = (slot + 1) & mask
    store<u32>(index + (slot << 2), n + 1)
  } else if (n >= ROW_MAX) reindex(v)
}

/** Inserts or replaces. */
export function objPut(v: usize, key: usize, value: usize): void {
  const h = hash(key)
  const e = find(v, key, h)
  if (e) {
    store<u32>(e, value, 4)
    store<u32>(v, 0, 24)
  } else append(v, key, value, h, true)
}

/** Inserts or replaces while parsing: order is left for when someone asks for it. */
export function objPutParsed(v: usize, key: usize, value: usize): void {
  const h = hash(key)
  const e = find(v, key, h)
  if (e) store<u32>(e, value, 4)
  else append(v, key, value, h, false)
}

/** Inserts; false when the key is there with another value. */
export function objPutOnce(v: usize, key: usize, value: usize): bool {
  const h = hash(key)
  const e = find(v, key, h)
  if (e) return equal(<usize>load<u32>(e, 4), value)
  append(v, key, value, h, true)
  return true
}

export function objGet(v: usize, key: usize): usize {
  const e = find(v, key, hash(key))
  return e ? <usize>load<u32>(e, 4) : 0
}

export function setAdd(v: usize, key: usize): void {
  const h = hash(key)
  if (!find(v, key, h)) append(v, key, key, h, true)
}

export function setHas(v: usize, key: usize): bool {
  return find(v, key, hash(key)) != 0
}

/** Puts entries in order, for scans that must have one and for dumps. */
export function sortTable(v: usize): void {
  if (load<u8>(v, 1)) return
  const n = load<u32>(v, 4)
  let first = entries(v)
  charge(<i32>n)
  if ((load<u8>(v, 2) & MARK_PARSED) == 0) {
    const moved = alloc(load<u32>(v, 8) * ENTRY)
    memory.copy(moved, first, n * ENTRY)
    store<u32>(v, moved, 12)
    first = moved
  }
  sortEntries(first, n)
  store<u8>(v, 1, 1)
  if (load<u32>(v, 16)) reindex(v)
}

// @ts-ignore: decorator
@inline
function swapEntries(a: usize, b: usize): void {
  const k = load<u32>(a)
  const x = load<u32>(a, 4)
  const h = load<u32>(a, 8)
  store<u32>(a, load<u32>(b))
  store<u32>(a, load<u32>(b, 4), 4)
  store<u32>(a, load<u32>(b, 8), 8)
  store<u32>(b, k)
  store<u32>(b, x, 4)
  store<u32>(b, h, 8)
}

function sortEntries(first: usize, n: u32): void {
  if (n <= 12) {
    for (let i: u32 = 1; i < n; i++) {
      let e = first + i * ENTRY
      const k = load<u32>(e)
      const x = load<u32>(e, 4)
      const h = load<u32>(e, 8)
      while (e > first && compare(<usize>load<u32>(e - ENTRY), <usize>k) > 0) {
        store<u32>(e, load<u32>(e - ENTRY))
        store<u32>(e, load<u32>(e - ENTRY, 4), 4)
        store<u32>(e, load<u32>(e - ENTRY, 8), 8)
        e -= ENTRY
      }
      store<u32>(e, k)
      store<u32>(e, x, 4)
      store<u32>(e, h, 8)
    }
    return
  }
  for (let root: i32 = <i32>(n / 2) - 1; root >= 0; root--) siftDown(first, root, n)
  for (let end = n - 1; end > 0; end--) {
    swapEntries(first, first + end * ENTRY)
    siftDown(first, 0, end)
  }
}

function siftDown(first: usize, from: i32, n: u32): void {
  let root = <u32>from
  for (;;) {
    let child = root * 2 + 1
    if (child >= n) return
    if (child + 1 < n && compare(<usize>load<u32>(first + child * ENTRY), <usize>load<u32>(first + (child + 1) * ENTRY)) < 0) child++
    if (compare(<usize>load<u32>(first + root * ENTRY), <usize>load<u32>(first + child * ENTRY)) >= 0) return
    swapEntries(first + root * ENTRY, first + child * ENTRY)
    root = child
  }
}

// ---- hash, equality, order

// @ts-ignore: decorator
@inline
function mix(h: u32, x: u32): u32 {
  return rotl<u32>(h ^ x, 15) * 0x9e3779b1
}

export function hashBytes(p: usize, n: u32): u32 {
  let h: u32 = n + 0x811c9dc5
  const end = p + n
  while (p + 4 <= end) {
    h = mix(h, load<u32>(p))
    p += 4
  }
  while (p < end) {
    h = mix(h, <u32>load<u8>(p))
    p++
  }
  h ^= h >>> 15
  return h == 0 ? 1 : h
}

export function hash(v: usize): u32 {
  const t = tag(v)
  if (t == T_STR) {
    let h = load<u32>(v, 4)
    if (h == 0) {
      h = hashBytes(strPtr(v), strLen(v))
      store<u32>(v, h, 4)
    }
    return h
  }
  if (t == T_NUM) return numberHash(v)
  if (t == T_NULL) return 0x51ed270b
  if (t == T_BOOL) return load<u8>(v, 1) ? 0x2545f491 : 0x1b873593
  const n = count(v)
  if (t == T_ARR) {
    let h = load<u32>(v, 16)
    if (h) return h
    charge(<i32>n)
    h = n + 0x3c6ef372
    for (let i: u32 = 0; i < n; i++) h = mix(h, hash(arrAt(v, i)))
    store<u32>(v, h, 16)
    return h
  }
  let h = load<u32>(v, 24)
  if (h) return h
  charge(<i32>n)
  h = t * 0x85ebca6b + n
  const first = entries(v)
  for (let i: u32 = 0; i < n; i++) {
    const e = first + i * ENTRY
    h += t == T_SET ? mix(0x27d4eb2f, load<u32>(e, 8)) : mix(mix(0x27d4eb2f, load<u32>(e, 8)), hash(<usize>load<u32>(e, 4)))
  }
  store<u32>(v, h, 24)
  return h
}

export function equal(a: usize, b: usize): bool {
  if (a == b) return true
  const t = tag(a)
  if (t != tag(b)) return false
  if (t == T_STR) {
    const n = strLen(a)
    if (n != strLen(b)) return false
    const ha = load<u32>(a, 4)
    const hb = load<u32>(b, 4)
    if (ha && hb && ha != hb) return false
    return sameBytes(strPtr(a), strPtr(b), n)
  }
  if (t == T_NUM) {
    if (isInt(a) && isInt(b)) return intOf(a) == intOf(b)
    return numberCompare(a, b) == 0
  }
  if (t == T_NULL) return true
  if (t == T_BOOL) return load<u8>(a, 1) == load<u8>(b, 1)
  const n = count(a)
  if (n != count(b)) return false
  charge(<i32>n)
  if (t == T_ARR) {
    for (let i: u32 = 0; i < n; i++) if (!equal(arrAt(a, i), arrAt(b, i))) return false
    return true
  }
  for (let i: u32 = 0; i < n; i++) {
    const e = entries(a) + i * ENTRY
    const other = find(b, <usize>load<u32>(e), load<u32>(e, 8))
    if (!other) return false
    if (t == T_OBJ && !equal(<usize>load<u32>(e, 4), <usize>load<u32>(other, 4))) return false
  }
  return true
}

export function compareBytes(p: usize, n: u32, q: usize, m: u32): i32 {
  const c = memory.compare(p, q, n < m ? n : m)
  if (c != 0) return c
  return n < m ? -1 : n > m ? 1 : 0
}

export function compare(a: usize, b: usize): i32 {
  if (a == b) return 0
  const t = tag(a)
  const u = tag(b)
  if (t != u) return t < u ? -1 : 1
  if (t == T_STR) return compareBytes(strPtr(a), strLen(a), strPtr(b), strLen(b))
  if (t == T_NUM) {
    if (isInt(a) && isInt(b)) return intOf(a) < intOf(b) ? -1 : intOf(a) > intOf(b) ? 1 : 0
    return numberCompare(a, b)
  }
  if (t == T_NULL) return 0
  if (t == T_BOOL) return <i32>load<u8>(a, 1) - <i32>load<u8>(b, 1)
  const n = count(a)
  const m = count(b)
  const least = n < m ? n : m
  charge(<i32>least)
  if (t == T_ARR) {
    for (let i: u32 = 0; i < least; i++) {
      const c = compare(arrAt(a, i), arrAt(b, i))
      if (c) return c
    }
  } else {
    sortTable(a)
    sortTable(b)
    for (let i: u32 = 0; i < least; i++) {
      let c = compare(keyAt(a, i), keyAt(b, i))
      if (c) return c
      if (t == T_OBJ) {
        c = compare(valueAt(a, i), valueAt(b, i))
        if (c) return c
      }
    }
  }
  return n < m ? -1 : n > m ? 1 : 0
}

export function opa_value_compare(a: usize, b: usize): i32 {
  return compare(a, b)
}
