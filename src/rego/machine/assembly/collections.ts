// Builtins on numbers and collections. b_<name with _ for .> is builtin <name>; 0 in any operand never arrives here.
import { alloc, charge, tick } from './memory'
import { wrongType, noAnswer } from './errors'
import {
  T_ARR, T_BOOL, T_NULL, T_NUM, T_OBJ, T_SET, T_STR, NULL, TRUE, FALSE, tag, truth, mkInt, mkStr, mkArray, arrPush, arrAt, mkObject,
  objPut, objGet, mkSet, setAdd, setHas, count, keyAt, valueAt, sortTable, equal, compare, isInt, intOf, strLen, strPtr, mkSetOf, mkObjectOf,
} from './value'
import {
  numAbs, numAdd, numDiv, numMul, numRem, numRound, numSub, numberFromText, isPlainInt, intValue, toBig, numNeg, bigToNumber,
} from './numbers'
import { bnAdd, bnFrom, bnLen, bnLow, bnShl, bnShr, bnSub, bnBits, bnSticky, bnDigits, bnDigitCount } from './bignum'

// ---- comparison

export function b_equal(a: usize, b: usize): usize {
  return truth(equal(a, b))
}
export function b_neq(a: usize, b: usize): usize {
  return truth(!equal(a, b))
}
export function b_lt(a: usize, b: usize): usize {
  return truth(compare(a, b) < 0)
}
export function b_lte(a: usize, b: usize): usize {
  return truth(compare(a, b) <= 0)
}
export function b_gt(a: usize, b: usize): usize {
  return truth(compare(a, b) > 0)
}
export function b_gte(a: usize, b: usize): usize {
  return truth(compare(a, b) >= 0)
}

// ---- arithmetic

// @ts-ignore: decorator
@inline
function isNum(v: usize): bool {
  return tag(v) == T_NUM
}

export function b_plus(a: usize, b: usize): usize {
  return isNum(a) && isNum(b) ? numAdd(a, b) : wrongType()
}
export function b_minus(a: usize, b: usize): usize {
  if (isNum(a) && isNum(b)) return numSub(a, b)
  if (tag(a) != T_SET || tag(b) != T_SET) return wrongType()
  sortTable(a)
  const r = mkSet()
  charge(<i32>count(a))
  for (let i: u32 = 0; i < count(a); i++) if (!setHas(b, keyAt(a, i))) setAdd(r, keyAt(a, i))
  return r
}
export function b_mul(a: usize, b: usize): usize {
  return isNum(a) && isNum(b) ? numMul(a, b) : wrongType()
}
export function b_div(a: usize, b: usize): usize {
  if (!isNum(a) || !isNum(b)) return wrongType()
  const r = numDiv(a, b)
  return r ? r : noAnswer()
}
export function b_rem(a: usize, b: usize): usize {
  if (!isNum(a) || !isNum(b)) return wrongType()
  const r = numRem(a, b)
  return r ? r : noAnswer()
}
export function b_abs(v: usize): usize {
  return isNum(v) ? numAbs(v) : wrongType()
}
export function b_round(v: usize): usize {
  return isNum(v) ? numRound(v, 0) : wrongType()
}
export function b_ceil(v: usize): usize {
  return isNum(v) ? numRound(v, 1) : wrongType()
}
export function b_floor(v: usize): usize {
  return isNum(v) ? numRound(v, 2) : wrongType()
}

// ---- bits: two's complement of unbounded width, as Go's big.Int

/** x as a two's complement of `bits` bits, which must be wide enough. */
function twos(neg: bool, n: usize, bits: u32): usize {
  return neg ? bnSub(bnShl(bnFrom(1), bits), n) : n
}
function fromTwos(n: usize, bits: u32): usize {
  if (bnBits(n) == <i32>bits) return bigToNumber(true, bnSub(bnShl(bnFrom(1), bits), n))
  return bigToNumber(false, n)
}

function bitwise(a: usize, b: usize, op: i32): usize {
  if (!isNum(a) || !isNum(b)) return wrongType()
  if (isInt(a) && isInt(b)) {
    const x = intOf(a)
    const y = intOf(b)
    return mkInt(op == 0 ? x & y : op == 1 ? x | y : x ^ y)
  }
  const x = toBig(a)
  const xNeg = numNeg()
  if (!x) return wrongType()
  const y = toBig(b)
  const yNeg = numNeg()
  if (!y) return wrongType()
  const widest = bnBits(x) > bnBits(y) ? bnBits(x) : bnBits(y)
  const bits = (<u32>widest + 33) & ~31
  const p = twos(xNeg, x, bits)
  const q = twos(yNeg, y, bits)
  const limbs = bits >> 5
  const r = alloc(4 + (limbs << 2))
  let used: u32 = 0
  for (let i: u32 = 0; i < limbs; i++) {
    const u = i < bnLen(p) ? load<u32>(p + 4 + (i << 2)) : 0
    const v = i < bnLen(q) ? load<u32>(q + 4 + (i << 2)) : 0
    const w = op == 0 ? u & v : op == 1 ? u | v : u ^ v
    store<u32>(r + 4 + (i << 2), w)
    if (w) used = i + 1
  }
  store<u32>(r, used)
  return fromTwos(r, bits)
}

export function b_bits_and(a: usize, b: usize): usize {
  return bitwise(a, b, 0)
}
export function b_bits_or(a: usize, b: usize): usize {
  return bitwise(a, b, 1)
}
export function b_bits_xor(a: usize, b: usize): usize {
  return bitwise(a, b, 2)
}
export function b_bits_negate(a: usize): usize {
  if (!isNum(a)) return wrongType()
  if (isInt(a)) return mkInt(~intOf(a))
  const n = toBig(a)
  if (!n) return wrongType()
  return numNeg() ? bigToNumber(false, bnSub(n, bnFrom(1))) : bigToNumber(true, bnAdd(n, bnFrom(1)))
}
let shift: u64 = 0
/** Leaves the lowest 64 bits of a whole number in `shift`; false for a negative or broken one. */
function shiftOf(v: usize): bool {
  const n = toBig(v)
  if (!n || numNeg()) return false
  shift = <u64>bnLow(n)
  return true
}
export function b_bits_lsh(a: usize, b: usize): usize {
  if (!isNum(a) || !isNum(b)) return wrongType()
  const n = toBig(a)
  const neg = numNeg()
  if (!n || !shiftOf(b)) return wrongType()
  if (shift > 1000000 && bnLen(n)) charge(i32.MAX_VALUE)
  return bigToNumber(neg, bnShl(n, <u32>shift))
}
export function b_bits_rsh(a: usize, b: usize): usize {
  if (!isNum(a) || !isNum(b)) return wrongType()
  const n = toBig(a)
  const neg = numNeg()
  if (!n || !shiftOf(b)) return wrongType()
  const by = <u32>(shift > 100000000 ? 100000000 : shift)
  const r = bnShr(n, by)
  if (!neg) return bigToNumber(false, r)
  const up = bnSticky(n, by) ? bnAdd(r, bnFrom(1)) : r
  return bigToNumber(bnLen(up) != 0, up)
}

// ---- aggregates

// @ts-ignore: decorator
@inline
function isList(v: usize): bool {
  return tag(v) == T_ARR || tag(v) == T_SET
}
// @ts-ignore: decorator
@inline
function itemAt(v: usize, i: u32): usize {
  return tag(v) == T_ARR ? arrAt(v, i) : keyAt(v, i)
}

export function runes(p: usize, n: u32): u32 {
  let r: u32 = 0
  for (let i: u32 = 0; i < n; i++) if ((load<u8>(p + i) & 0xc0) != 0x80) r++
  return r
}

export function b_count(v: usize): usize {
  const t = tag(v)
  if (t >= T_ARR) return mkInt(count(v))
  if (t == T_STR) return mkInt(runes(strPtr(v), strLen(v)))
  return wrongType()
}

function fold(v: usize, product: bool): usize {
  if (!isList(v)) return wrongType()
  if (tag(v) == T_SET) sortTable(v)
  let r = mkInt(product ? 1 : 0)
  const n = count(v)
  charge(<i32>n)
  for (let i: u32 = 0; i < n; i++) {
    const x = itemAt(v, i)
    if (!isNum(x)) return wrongType()
    r = product ? numMul(r, x) : numAdd(r, x)
  }
  return r
}
export function b_sum(v: usize): usize {
  return fold(v, false)
}
export function b_product(v: usize): usize {
  return fold(v, true)
}

function extreme(v: usize, sign: i32): usize {
  if (!isList(v)) return wrongType()
  const n = count(v)
  if (n == 0) return 0
  charge(<i32>n)
  let best = itemAt(v, 0)
  for (let i: u32 = 1; i < n; i++) {
    const x = itemAt(v, i)
    if (compare(x, best) * sign > 0) best = x
  }
  return best
}
export function b_max(v: usize): usize {
  return extreme(v, 1)
}
export function b_min(v: usize): usize {
  return extreme(v, -1)
}

/** A sorted copy of `n` element addresses at `p`; merge sort, so that equal elements keep their order. */
function sortItems(p: usize, n: u32): void {
  if (n < 2) return
  const half = n >> 1
  sortItems(p, half)
  sortItems(p + (half << 2), n - half)
  charge(<i32>n)
  const left = alloc(half << 2)
  memory.copy(left, p, half << 2)
  let i: u32 = 0
  let j = half
  let k: u32 = 0
  while (i < half && j < n) {
    const a = load<u32>(left + (i << 2))
    const b = load<u32>(p + (j << 2))
    if (compare(<usize>a, <usize>b) <= 0) {
      store<u32>(p + (k << 2), a)
      i++
    } else {
      store<u32>(p + (k << 2), b)
      j++
    }
    k++
  }
  while (i < half) {
    store<u32>(p + (k << 2), load<u32>(left + (i << 2)))
    i++
    k++
  }
}

export function listToArray(v: usize): usize {
  if (tag(v) == T_SET) sortTable(v)
  const n = count(v)
  charge(<i32>n)
  const r = mkArray(n)
  for (let i: u32 = 0; i < n; i++) arrPush(r, itemAt(v, i))
  return r
}

export function b_sort(v: usize): usize {
  if (!isList(v)) return wrongType()
  const r = listToArray(v)
  if (tag(v) == T_ARR && count(r)) sortItems(<usize>load<u32>(r, 12), count(r))
  return r
}
export function b_all(v: usize): usize {
  if (!isList(v)) return wrongType()
  for (let i: u32 = 0; i < count(v); i++) if (!equal(itemAt(v, i), TRUE)) return FALSE
  return TRUE
}
export function b_any(v: usize): usize {
  if (!isList(v)) return wrongType()
  for (let i: u32 = 0; i < count(v); i++) if (equal(itemAt(v, i), TRUE)) return TRUE
  return FALSE
}

// ---- arrays

export function b_array_concat(a: usize, b: usize): usize {
  if (tag(a) != T_ARR || tag(b) != T_ARR) return wrongType()
  const n = count(a)
  const m = count(b)
  charge(<i32>(n + m))
  const r = mkArray(n + m)
  if (n) memory.copy(load<u32>(r, 12), load<u32>(a, 12), n << 2)
  if (m) memory.copy(load<u32>(r, 12) + (n << 2), load<u32>(b, 12), m << 2)
  store<u32>(r, n + m, 4)
  return r
}
export function b_array_slice(a: usize, from: usize, to: usize): usize {
  if (tag(a) != T_ARR || !isNum(from) || !isNum(to)) return wrongType()
  if (!isPlainInt(from)) return wrongType()
  let i = intValue()
  if (!isPlainInt(to)) return wrongType()
  let j = intValue()
  const n = <i64>count(a)
  if (j < i) j = i
  if (i < 0) i = 0
  if (j > n) j = n
  const r = mkArray(j > i ? <u32>(j - i) : 0)
  for (; i < j; i++) {
    tick()
    arrPush(r, arrAt(a, <u32>i))
  }
  return r
}
export function b_array_reverse(a: usize): usize {
  if (tag(a) != T_ARR) return wrongType()
  const n = count(a)
  charge(<i32>n)
  const r = mkArray(n)
  for (let i = n; i > 0; i--) arrPush(r, arrAt(a, i - 1))
  return r
}
/** One level: arrays in arrays in the array stay. */
export function b_array_flatten(a: usize): usize {
  if (tag(a) != T_ARR) return wrongType()
  const r = mkArray(0)
  charge(<i32>count(a))
  for (let i: u32 = 0; i < count(a); i++) {
    const x = arrAt(a, i)
    if (tag(x) == T_ARR) {
      charge(<i32>count(x))
      for (let j: u32 = 0; j < count(x); j++) arrPush(r, arrAt(x, j))
    } else arrPush(r, x)
  }
  return r
}

// ---- sets

export function b_and(a: usize, b: usize): usize {
  if (tag(a) != T_SET || tag(b) != T_SET) return wrongType()
  const r = mkSet()
  sortTable(a)
  charge(<i32>count(a))
  for (let i: u32 = 0; i < count(a); i++) if (setHas(b, keyAt(a, i))) setAdd(r, keyAt(a, i))
  return r
}
function addAll(r: usize, s: usize): void {
  sortTable(s)
  charge(<i32>count(s))
  for (let i: u32 = 0; i < count(s); i++) setAdd(r, keyAt(s, i))
}
export function b_or(a: usize, b: usize): usize {
  if (tag(a) != T_SET || tag(b) != T_SET) return wrongType()
  const r = mkSetOf(count(a) + count(b))
  addAll(r, a)
  addAll(r, b)
  return r
}
export function b_intersection(s: usize): usize {
  if (tag(s) != T_SET) return wrongType()
  const n = count(s)
  if (n == 0) return mkSet()
  let r = keyAt(s, 0)
  for (let i: u32 = 0; i < n; i++) {
    if (tag(keyAt(s, i)) != T_SET) return wrongType()
    r = b_and(r, keyAt(s, i))
  }
  return r
}
export function b_union(s: usize): usize {
  if (tag(s) != T_SET) return wrongType()
  const r = mkSet()
  for (let i: u32 = 0; i < count(s); i++) {
    if (tag(keyAt(s, i)) != T_SET) return wrongType()
    addAll(r, keyAt(s, i))
  }
  return r
}
export function b_set_diff(a: usize, b: usize): usize {
  if (tag(a) != T_SET || tag(b) != T_SET) return wrongType()
  return b_minus(a, b)
}

// ---- lookup, as `x[k]` does it

export function lookup(v: usize, k: usize): usize {
  const t = tag(v)
  if (t == T_OBJ) return objGet(v, k)
  if (t == T_ARR) {
    if (tag(k) != T_NUM) return 0
    let i: i64
    if (isInt(k)) i = intOf(k)
    else {
      if (!isPlainInt(k)) return 0
      i = intValue()
    }
    return i >= 0 && i < <i64>count(v) ? arrAt(v, <u32>i) : 0
  }
  if (t == T_SET) return setHas(v, k) ? k : 0
  return 0
}

export function length(v: usize): usize {
  const t = tag(v)
  return t >= T_ARR ? mkInt(count(v)) : t == T_STR ? mkInt(runes(strPtr(v), strLen(v))) : 0
}

export function b_internal_member_2(x: usize, c: usize): usize {
  const t = tag(c)
  if (t == T_SET) return truth(setHas(c, x))
  if (t != T_ARR && t != T_OBJ) return FALSE
  charge(<i32>count(c))
  for (let i: u32 = 0; i < count(c); i++) if (equal(t == T_ARR ? arrAt(c, i) : valueAt(c, i), x)) return TRUE
  return FALSE
}
export function b_internal_member_3(k: usize, x: usize, c: usize): usize {
  const t = tag(c)
  if (t != T_SET && t != T_ARR && t != T_OBJ) return FALSE
  const found = lookup(c, k)
  return truth(found != 0 && equal(found, x))
}

// ---- objects

export function b_object_get(o: usize, k: usize, fallback: usize): usize {
  if (tag(o) != T_OBJ) return wrongType()
  if (tag(k) != T_ARR) {
    const r = objGet(o, k)
    return r ? r : fallback
  }
  let v = o
  const n = count(k)
  for (let i: u32 = 0; i < n; i++) {
    v = lookup(v, arrAt(k, i))
    if (!v) return fallback
  }
  return v
}
export function b_object_keys(o: usize): usize {
  if (tag(o) != T_OBJ) return wrongType()
  sortTable(o)
  charge(<i32>count(o))
  const r = mkSetOf(count(o))
  for (let i: u32 = 0; i < count(o); i++) setAdd(r, keyAt(o, i))
  return r
}
/** Keys named by an array, a set or an object's keys. */
function keysOf(v: usize): usize {
  const t = tag(v)
  if (t == T_SET) return v
  if (t == T_OBJ) return b_object_keys(v)
  if (t != T_ARR) return 0
  charge(<i32>count(v))
  const r = mkSetOf(count(v))
  for (let i: u32 = 0; i < count(v); i++) setAdd(r, arrAt(v, i))
  return r
}
function pick(o: usize, keys: usize, wanted: bool): usize {
  if (tag(o) != T_OBJ) return wrongType()
  const set = keysOf(keys)
  if (!set) return wrongType()
  sortTable(o)
  charge(<i32>count(o))
  const r = mkObject()
  for (let i: u32 = 0; i < count(o); i++) if (setHas(set, keyAt(o, i)) == wanted) objPut(r, keyAt(o, i), valueAt(o, i))
  return r
}
export function b_object_filter(o: usize, keys: usize): usize {
  return pick(o, keys, true)
}
export function b_object_remove(o: usize, keys: usize): usize {
  return pick(o, keys, false)
}
/** Deep union; values of b win. Also what joins base and virtual documents. */
export function merge(a: usize, b: usize): usize {
  if (tag(a) != T_OBJ || tag(b) != T_OBJ) return b
  charge(<i32>(count(a) + count(b)))
  const r = mkObjectOf(count(a) + count(b))
  for (let i: u32 = 0; i < count(a); i++) {
    const other = objGet(b, keyAt(a, i))
    objPut(r, keyAt(a, i), other ? merge(valueAt(a, i), other) : valueAt(a, i))
  }
  for (let i: u32 = 0; i < count(b); i++) if (!objGet(a, keyAt(b, i))) objPut(r, keyAt(b, i), valueAt(b, i))
  return r
}
export function b_object_union(a: usize, b: usize): usize {
  return tag(a) == T_OBJ && tag(b) == T_OBJ ? merge(a, b) : wrongType()
}
export function b_object_union_n(list: usize): usize {
  if (tag(list) != T_ARR) return wrongType()
  let r = mkObject()
  for (let i: u32 = 0; i < count(list); i++) {
    if (tag(arrAt(list, i)) != T_OBJ) return wrongType()
    r = merge(r, arrAt(list, i))
  }
  return r
}
function subsetOf(big: usize, small: usize): bool {
  tick()
  const t = tag(big)
  if (t == T_OBJ && tag(small) == T_OBJ) {
    for (let i: u32 = 0; i < count(small); i++) {
      const x = objGet(big, keyAt(small, i))
      if (!x) return false
      const y = valueAt(small, i)
      if (!equal(x, y) && !(tag(x) >= T_ARR && tag(x) == tag(y) && subsetOf(x, y))) return false
    }
    return true
  }
  if (t == T_SET && tag(small) == T_SET) {
    for (let i: u32 = 0; i < count(small); i++) if (!setHas(big, keyAt(small, i))) return false
    return true
  }
  if (t == T_ARR && tag(small) == T_ARR) {
    // A run of the bigger array equals the smaller one.
    const n = count(big)
    const m = count(small)
    if (m > n) return false
    for (let i: u32 = 0; i + m <= n; i++) {
      charge(<i32>m)
      let same = true
      for (let j: u32 = 0; same && j < m; j++) same = equal(arrAt(big, i + j), arrAt(small, j))
      if (same) return true
    }
    return false
  }
  return false
}
export function b_object_subset(big: usize, small: usize): usize {
  const t = tag(big)
  const u = tag(small)
  if (t == T_ARR && u == T_SET) {
    // As OPA counts: each element of the array that is a member takes one off, and an empty array has none to look at.
    let unmatched = <i32>count(small)
    charge(<i32>count(big))
    for (let i: u32 = 0; i < count(big); i++) {
      if (setHas(small, arrAt(big, i))) unmatched--
      if (unmatched == 0) return TRUE
    }
    return FALSE
  }
  if (t < T_ARR || t != u) return wrongType()
  return truth(subsetOf(big, small))
}

// ---- types

export function b_is_null(v: usize): usize {
  return truth(tag(v) == T_NULL)
}
export function b_is_boolean(v: usize): usize {
  return truth(tag(v) == T_BOOL)
}
export function b_is_number(v: usize): usize {
  return truth(tag(v) == T_NUM)
}
export function b_is_string(v: usize): usize {
  return truth(tag(v) == T_STR)
}
export function b_is_array(v: usize): usize {
  return truth(tag(v) == T_ARR)
}
export function b_is_object(v: usize): usize {
  return truth(tag(v) == T_OBJ)
}
export function b_is_set(v: usize): usize {
  return truth(tag(v) == T_SET)
}
const NAMES: usize = memory.data<u8>([
  110, 117, 108, 108, 98, 111, 111, 108, 101, 97, 110, 110, 117, 109, 98, 101, 114, 115, 116, 114, 105, 110, 103, 97, 114,
  114, 97, 121, 111, 98, 106, 101, 99, 116, 115, 101, 116,
])
const NAME_AT: usize = memory.data<u8>([0, 0, 4, 11, 17, 23, 28, 34, 37])
export function b_type_name(v: usize): usize {
  const t = tag(v)
  const from = <u32>load<u8>(NAME_AT + t)
  return mkStr(NAMES + from, <u32>load<u8>(NAME_AT + t + 1) - from)
}
function castTo(v: usize, t: u32): usize {
  return tag(v) == t ? v : wrongType()
}
export function b_cast_string(v: usize): usize {
  return castTo(v, T_STR)
}
export function b_cast_boolean(v: usize): usize {
  return castTo(v, T_BOOL)
}
export function b_cast_null(v: usize): usize {
  return castTo(v, T_NULL)
}
export function b_cast_object(v: usize): usize {
  return castTo(v, T_OBJ)
}
export function b_cast_set(v: usize): usize {
  if (tag(v) == T_SET) return v
  return tag(v) == T_ARR ? keysOf(v) : wrongType()
}
export function b_cast_array(v: usize): usize {
  if (tag(v) == T_ARR) return v
  return tag(v) == T_SET ? listToArray(v) : wrongType()
}

/** `inf`, `infinity` or `nan` in any case: Go would read them as numbers. */
function isWord(p: usize, n: u32): bool {
  if (n != 3 && n != 8) return false
  const w = load<u16>(p) | 0x2020
  const c = load<u8>(p, 2) | 32
  return (w == 0x6e69 && c == 102) || (n == 3 && w == 0x616e && c == 110)
}

export function b_to_number(v: usize): usize {
  const t = tag(v)
  if (t == T_NUM) return v
  if (t == T_NULL) return mkInt(0)
  if (t == T_BOOL) return mkInt(v == FALSE ? 0 : <i64>load<u8>(v, 1))
  if (t != T_STR) return wrongType()
  // Go reads more than JSON does (`+1`, `.5`, `1.`); hexadecimal, underscores, inf and nan are refused.
  const p = strPtr(v)
  const n = strLen(v)
  let i: u32 = 0
  let digits = 0
  if (n && (load<u8>(p) == 43 || load<u8>(p) == 45)) i++
  while (i < n && <u32>load<u8>(p + i) - 48 <= 9) {
    i++
    digits++
  }
  if (i < n && load<u8>(p + i) == 46) {
    i++
    while (i < n && <u32>load<u8>(p + i) - 48 <= 9) {
      i++
      digits++
    }
  }
  if (!digits) return isWord(p + i, n - i) ? wrongType() : noAnswer()
  if (i < n && (load<u8>(p + i) | 32) == 101) {
    i++
    if (i < n && (load<u8>(p + i) == 43 || load<u8>(p + i) == 45)) i++
    let exponent = 0
    while (i < n && <u32>load<u8>(p + i) - 48 <= 9) {
      i++
      exponent++
    }
    if (!exponent) return noAnswer()
  }
  if (i != n) return noAnswer()
  return numberFromText(p, n)
}

export function b_format_int(v: usize, base: usize): usize {
  if (!isNum(v) || !isNum(base)) return wrongType()
  // As it is written: 1e1 and 10.0 are no base.
  if (!isInt(base)) return wrongType()
  const b = intOf(base)
  if (b != 2 && b != 8 && b != 10 && b != 16) return wrongType()
  let n: usize = toBig(v)
  let neg = numNeg()
  if (!n) {
    const whole = numRound(v, 2)
    // Truncation, not floor: towards zero.
    const cut = load<u8>(strPtr(v)) == 45 ? numRound(v, 1) : whole
    n = toBig(cut)
    neg = numNeg()
  }
  if (b == 10) {
    const d = bnDigits(n)
    const c = bnDigitCount()
    const out = alloc(c + 1)
    if (neg) store<u8>(out, 45)
    memory.copy(out + (neg ? 1 : 0), d, c)
    return mkStr(out, c + (neg ? 1 : 0))
  }
  const per: u32 = b == 2 ? 1 : b == 8 ? 3 : 4
  const bits = <u32>bnBits(n)
  const digits = bits == 0 ? 1 : (bits + per - 1) / per
  const out = alloc(digits + 1)
  let at = out
  if (neg) store<u8>(at++, 45)
  for (let i = digits; i > 0; i--) {
    const d = <u32>bnLow(bnShr(n, (i - 1) * per)) & ((1 << per) - 1)
    store<u8>(at++, <u8>(d < 10 ? 48 + d : 87 + d))
  }
  return mkStr(out, <u32>(at - out))
}

/** A number as the whole number that it is, or 0. */
function wholeOf(v: usize): usize {
  const n = toBig(v)
  return n ? bigToNumber(numNeg(), n) : 0
}
function bigRange(from: usize, to: usize, step: usize): usize {
  const r = mkArray(0)
  const up = compare(from, to) <= 0
  for (let i = from; up ? compare(i, to) <= 0 : compare(i, to) >= 0; i = up ? numAdd(i, step) : numSub(i, step)) {
    tick()
    arrPush(r, i)
  }
  return r
}
function range(a: usize, b: usize, by: usize): usize {
  const from = wholeOf(a)
  const to = wholeOf(b)
  const width = wholeOf(by)
  if (!from || !to || !width) return wrongType()
  if (compare(width, mkInt(0)) <= 0) return noAnswer()
  if (!isInt(from) || !isInt(to) || !isInt(width)) return bigRange(from, to, width)
  const step = intOf(width)
  let i = intOf(from)
  const j = intOf(to)
  const r = mkArray(0)
  if (i <= j) {
    for (; i <= j; i += step) {
      tick()
      arrPush(r, mkInt(i))
      if (i > i64.MAX_VALUE - step) break
    }
  } else {
    for (; i >= j; i -= step) {
      tick()
      arrPush(r, mkInt(i))
      if (i < i64.MIN_VALUE + step) break
    }
  }
  return r
}
export function b_numbers_range(a: usize, b: usize): usize {
  return isNum(a) && isNum(b) ? range(a, b, mkInt(1)) : wrongType()
}
export function b_numbers_range_step(a: usize, b: usize, s: usize): usize {
  if (!isNum(a) || !isNum(b) || !isNum(s)) return wrongType()
  return range(a, b, s)
}

// ---- walk and graphs

function walkInto(r: usize, path: usize, v: usize): void {
  tick()
  const pair = mkArray(2)
  arrPush(pair, path)
  arrPush(pair, v)
  arrPush(r, pair)
  const t = tag(v)
  if (t < T_ARR) return
  if (t != T_ARR) sortTable(v)
  const n = count(v)
  const depth = count(path)
  for (let i: u32 = 0; i < n; i++) {
    const next = mkArray(depth + 1)
    if (depth) memory.copy(load<u32>(next, 12), load<u32>(path, 12), depth << 2)
    store<u32>(next, depth, 4)
    charge(<i32>depth)
    arrPush(next, t == T_ARR ? mkInt(i) : keyAt(v, i))
    walkInto(r, next, t == T_ARR ? arrAt(v, i) : valueAt(v, i))
  }
}
/** All [path, value] pairs as an array; the relation is scanned by the planner. */
export function b_walk(v: usize): usize {
  const r = mkArray(0)
  walkInto(r, mkArray(0), v)
  return r
}

export function b_graph_reachable(graph: usize, initial: usize): usize {
  if (tag(graph) != T_OBJ || !isList(initial)) return wrongType()
  const queue = listToArray(initial)
  const r = mkSet()
  for (let i: u32 = 0; i < count(queue); i++) {
    tick()
    const node = arrAt(queue, i)
    if (setHas(r, node)) continue
    const edges = objGet(graph, node)
    if (!edges) continue
    setAdd(r, node)
    if (!isList(edges)) continue
    for (let j: u32 = 0; j < count(edges); j++) {
      tick()
      const x = itemAt(edges, j)
      if (!setHas(r, x)) arrPush(queue, x)
    }
  }
  return r
}

export function mkNullValue(): usize {
  return NULL
}

// ---- json.filter, json.remove: paths as "a/b" or arrays

function pathOf(v: usize): usize {
  if (tag(v) == T_ARR) return v
  if (tag(v) != T_STR) return 0
  const r = mkArray(0)
  let p = strPtr(v)
  let n = strLen(v)
  while (n && load<u8>(p) == 47) {
    p++
    n--
  }
  if (n == 0) return r
  let from = p
  const end = p + n
  for (let q = p; q <= end; q++) {
    if (q == end || load<u8>(q) == 47) {
      arrPush(r, unescapePointer(from, <u32>(q - from)))
      from = q + 1
    }
  }
  return r
}
function unescapePointer(p: usize, n: u32): usize {
  const out = alloc(n)
  let m: u32 = 0
  for (let i: u32 = 0; i < n; i++) {
    let c = load<u8>(p + i)
    if (c == 126 && i + 1 < n && (load<u8>(p + i + 1) | 1) == 49) {
      c = load<u8>(p + i + 1) == 49 ? 47 : 126
      i++
    }
    store<u8>(out + m++, c)
  }
  return mkStr(out, m)
}

/** Paths as a tree of objects; null marks the end of a path. */
function pathTree(paths: usize): usize {
  if (!isList(paths)) return 0
  const root = mkObject()
  for (let i: u32 = 0; i < count(paths); i++) {
    const path = pathOf(itemAt(paths, i))
    if (!path) return 0
    let node = root
    const n = count(path)
    if (n == 0) continue
    for (let j: u32 = 0; j < n; j++) {
      tick()
      const key = arrAt(path, j)
      const child = objGet(node, key)
      if (j + 1 == n) {
        objPut(node, key, NULL)
        break
      }
      if (child) {
        if (child == NULL) break
        node = child
      } else {
        const fresh = mkObject()
        objPut(node, key, fresh)
        node = fresh
      }
    }
  }
  return root
}
/** Array elements are named by "0", never by 0. */
function treeChild(tree: usize, i: u32): usize {
  return objGet(tree, b_format_int(mkInt(i), mkInt(10)))
}
function filterBy(v: usize, tree: usize): usize {
  tick()
  if (tree == NULL) return v
  const t = tag(v)
  if (t == T_OBJ) {
    const r = mkObject()
    for (let i: u32 = 0; i < count(tree); i++) {
      const x = objGet(v, keyAt(tree, i))
      if (x) {
        const kept = filterBy(x, valueAt(tree, i))
        if (kept) objPut(r, keyAt(tree, i), kept)
      }
    }
    return r
  }
  if (t == T_ARR) {
    const r = mkArray(0)
    for (let i: u32 = 0; i < count(v); i++) {
      const child = treeChild(tree, i)
      if (child) {
        const kept = filterBy(arrAt(v, i), child)
        if (kept) arrPush(r, kept)
      }
    }
    return r
  }
  if (t == T_SET) {
    const r = mkSet()
    for (let i: u32 = 0; i < count(v); i++) {
      const child = objGet(tree, keyAt(v, i))
      if (child) {
        const kept = filterBy(keyAt(v, i), child)
        if (kept) setAdd(r, kept)
      }
    }
    return r
  }
  return 0
}
function removeBy(v: usize, tree: usize): usize {
  tick()
  if (tree == NULL) return 0
  const t = tag(v)
  if (t == T_OBJ) {
    const r = mkObject()
    for (let i: u32 = 0; i < count(v); i++) {
      const child = objGet(tree, keyAt(v, i))
      const kept = child ? removeBy(valueAt(v, i), child) : valueAt(v, i)
      if (kept) objPut(r, keyAt(v, i), kept)
    }
    return r
  }
  if (t == T_ARR) {
    const r = mkArray(0)
    for (let i: u32 = 0; i < count(v); i++) {
      const child = treeChild(tree, i)
      const kept = child ? removeBy(arrAt(v, i), child) : arrAt(v, i)
      if (kept) arrPush(r, kept)
    }
    return r
  }
  if (t == T_SET) {
    const r = mkSet()
    for (let i: u32 = 0; i < count(v); i++) {
      const child = objGet(tree, keyAt(v, i))
      const kept = child ? removeBy(keyAt(v, i), child) : keyAt(v, i)
      if (kept) setAdd(r, kept)
    }
    return r
  }
  return v
}
export function b_json_filter(v: usize, paths: usize): usize {
  if (tag(v) != T_OBJ) return wrongType()
  const tree = pathTree(paths)
  return tree ? filterBy(v, tree) : wrongType()
}
export function b_json_remove(v: usize, paths: usize): usize {
  if (tag(v) != T_OBJ) return wrongType()
  const tree = pathTree(paths)
  return tree ? removeBy(v, tree) : wrongType()
}
