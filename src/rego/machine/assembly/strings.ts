// Builtins on strings. Strings are UTF-8; positions that a policy sees count code points.
import { alloc, charge, tick } from './memory'
import { wrongType, noAnswer, wrongStrings, notStrings, notOfStrings } from './errors'
import {
  T_ARR, T_NUM, T_OBJ, T_SET, T_STR, TRUE, FALSE, tag, truth, mkInt, mkStr, mkArray, arrPush, arrAt, count, keyAt, valueAt,
  sortTable, strLen, strPtr, mkBool, sameBytes,
} from './value'
import { isPlainInt, intValue } from './numbers'
import { runes, listToArray } from './collections'
import { opa_json_parse, putUtf8, textOf } from './text'
import { callNamed } from './host'

// @ts-ignore: decorator
@inline
function isStr(v: usize): bool {
  return tag(v) == T_STR
}

/** Byte position of a needle at or behind `from`, or -1. */
export function indexBytes(h: usize, hn: i32, p: usize, n: i32, from: i32): i32 {
  if (n == 0) return from
  const first = load<u8>(p)
  const last = hn - n
  charge(last - from > 0 ? (last - from) >> 4 : 0)
  for (let i = from; i <= last; i++) {
    if (load<u8>(h + i) == first && memory.compare(h + i, p, n) == 0) return i
  }
  return -1
}

export function b_contains(a: usize, b: usize): usize {
  if (!isStr(a) || !isStr(b)) return wrongType()
  return truth(indexBytes(strPtr(a), strLen(a), strPtr(b), strLen(b), 0) >= 0)
}
function hasPrefix(a: usize, b: usize): bool {
  return strLen(a) >= strLen(b) && sameBytes(strPtr(a), strPtr(b), strLen(b))
}
function hasSuffix(a: usize, b: usize): bool {
  return strLen(a) >= strLen(b) && sameBytes(strPtr(a) + strLen(a) - strLen(b), strPtr(b), strLen(b))
}
export function b_startswith(a: usize, b: usize): usize {
  return isStr(a) && isStr(b) ? truth(hasPrefix(a, b)) : wrongType()
}
export function b_endswith(a: usize, b: usize): usize {
  return isStr(a) && isStr(b) ? truth(hasSuffix(a, b)) : wrongType()
}

function strList(v: usize, second: bool): usize {
  if (isStr(v)) {
    const r = mkArray(1)
    arrPush(r, v)
    return r
  }
  if (tag(v) != T_ARR && tag(v) != T_SET) return wrongStrings(second, notStrings(tag(v)))
  const r = listToArray(v)
  for (let i: u32 = 0; i < count(r); i++) {
    if (!isStr(arrAt(r, i))) return wrongStrings(second, notOfStrings(tag(v), tag(arrAt(r, i))))
  }
  return r
}
function anyMatch(a: usize, b: usize, suffix: bool): usize {
  const searches = strList(a, false)
  const bases = searches ? strList(b, true) : 0
  if (!searches || !bases) return 0
  for (let i: u32 = 0; i < count(searches); i++) {
    for (let j: u32 = 0; j < count(bases); j++) {
      tick()
      if (suffix ? hasSuffix(arrAt(searches, i), arrAt(bases, j)) : hasPrefix(arrAt(searches, i), arrAt(bases, j))) return TRUE
    }
  }
  return FALSE
}
export function b_strings_any_prefix_match(a: usize, b: usize): usize {
  return anyMatch(a, b, false)
}
export function b_strings_any_suffix_match(a: usize, b: usize): usize {
  return anyMatch(a, b, true)
}

export function b_indexof(a: usize, b: usize): usize {
  if (!isStr(a) || !isStr(b)) return wrongType()
  if (strLen(b) == 0) return noAnswer()
  const i = indexBytes(strPtr(a), strLen(a), strPtr(b), strLen(b), 0)
  return mkInt(i < 0 ? -1 : <i64>runes(strPtr(a), i))
}
export function b_indexof_n(a: usize, b: usize): usize {
  if (!isStr(a) || !isStr(b)) return wrongType()
  if (strLen(b) == 0) return noAnswer()
  const r = mkArray(0)
  let i = 0
  for (;;) {
    i = indexBytes(strPtr(a), strLen(a), strPtr(b), strLen(b), i)
    if (i < 0) return r
    arrPush(r, mkInt(runes(strPtr(a), i)))
    i += runeBytes(strPtr(a) + i)
  }
  return r
}

export function runeBytes(p: usize): u32 {
  const c = load<u8>(p)
  return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4
}
function runeAt(p: usize): i32 {
  const c = <i32>load<u8>(p)
  if (c < 0x80) return c
  if (c < 0xe0) return ((c & 31) << 6) | (<i32>load<u8>(p, 1) & 63)
  if (c < 0xf0) return ((c & 15) << 12) | ((<i32>load<u8>(p, 1) & 63) << 6) | (<i32>load<u8>(p, 2) & 63)
  return (
    ((c & 7) << 18) | ((<i32>load<u8>(p, 1) & 63) << 12) | ((<i32>load<u8>(p, 2) & 63) << 6) | (<i32>load<u8>(p, 3) & 63)
  )
}

export function b_concat(sep: usize, list: usize): usize {
  if (!isStr(sep)) return wrongType()
  if (tag(list) != T_ARR && tag(list) != T_SET) return wrongType()
  const items = listToArray(list)
  const n = count(items)
  let total: u32 = 0
  for (let i: u32 = 0; i < n; i++) {
    if (!isStr(arrAt(items, i))) return wrongType()
    total += strLen(arrAt(items, i)) + strLen(sep)
  }
  const out = alloc(total + 1)
  charge(<i32>(total >> 4))
  let at = out
  for (let i: u32 = 0; i < n; i++) {
    if (i) {
      memory.copy(at, strPtr(sep), strLen(sep))
      at += strLen(sep)
    }
    memory.copy(at, strPtr(arrAt(items, i)), strLen(arrAt(items, i)))
    at += strLen(arrAt(items, i))
  }
  return mkStr(out, <u32>(at - out))
}

function splitInto(s: usize, d: usize, most: i32): usize {
  const r = mkArray(0)
  const p = strPtr(s)
  const n = <i32>strLen(s)
  const m = <i32>strLen(d)
  if (most == 0) return r
  if (m == 0) {
    let i = 0
    while (i < n) {
      tick()
      const w = most > 0 && <i32>count(r) == most - 1 ? n - i : <i32>runeBytes(p + i)
      arrPush(r, mkStr(p + i, w))
      i += w
    }
    return r
  }
  let from = 0
  for (;;) {
    tick()
    const i = most > 0 && <i32>count(r) >= most - 1 ? -1 : indexBytes(p, n, strPtr(d), m, from)
    if (i < 0) {
      arrPush(r, mkStr(p + from, n - from))
      return r
    }
    arrPush(r, mkStr(p + from, i - from))
    from = i + m
  }
  return r
}
export function b_split(s: usize, d: usize): usize {
  return isStr(s) && isStr(d) ? splitInto(s, d, -1) : wrongType()
}
export function b_strings_split_n(s: usize, d: usize, n: usize): usize {
  if (!isStr(s) || !isStr(d) || tag(n) != T_NUM || !isPlainInt(n)) return wrongType()
  // The first n parts, or for a negative n the last ones.
  const most = intValue()
  const all = splitInto(s, d, -1)
  const have = <i64>count(all)
  const from = most < 0 && have + most > 0 ? have + most : 0
  const to = most >= 0 && most < have ? most : have
  const r = mkArray(<u32>(to - from))
  for (let i = from; i < to; i++) arrPush(r, arrAt(all, <u32>i))
  return r
}

export function b_replace(s: usize, old: usize, fresh: usize): usize {
  if (!isStr(s) || !isStr(old) || !isStr(fresh)) return wrongType()
  const p = strPtr(s)
  const n = <i32>strLen(s)
  const m = <i32>strLen(old)
  const w = strLen(fresh)
  let hits: u32 = 0
  if (m == 0) hits = runes(p, n) + 1
  else for (let i = indexBytes(p, n, strPtr(old), m, 0); i >= 0; i = indexBytes(p, n, strPtr(old), m, i + m)) hits++
  if (hits == 0) return s
  const out = alloc(n + hits * w)
  charge(<i32>((n + hits * w) >> 4))
  let at = out
  let from = 0
  if (m == 0) {
    for (;;) {
      memory.copy(at, strPtr(fresh), w)
      at += w
      if (from >= n) break
      const k = runeBytes(p + from)
      memory.copy(at, p + from, k)
      at += k
      from += k
    }
    return mkStr(out, <u32>(at - out))
  }
  for (;;) {
    const i = indexBytes(p, n, strPtr(old), m, from)
    const upTo = i < 0 ? n : i
    memory.copy(at, p + from, upTo - from)
    at += upTo - from
    if (i < 0) break
    memory.copy(at, strPtr(fresh), w)
    at += w
    from = i + m
  }
  return mkStr(out, <u32>(at - out))
}

export function b_strings_replace_n(pairs: usize, s: usize): usize {
  if (tag(pairs) != T_OBJ || !isStr(s)) return wrongType()
  sortTable(pairs)
  const k = count(pairs)
  let widest: u32 = 1
  for (let j: u32 = 0; j < k; j++) {
    if (!isStr(keyAt(pairs, j)) || !isStr(valueAt(pairs, j))) return wrongType()
    if (strLen(valueAt(pairs, j)) + 1 > widest) widest = strLen(valueAt(pairs, j)) + 1
  }
  const p = strPtr(s)
  const n = strLen(s)
  charge(<i32>(n * k))
  const out = alloc((n + 1) * widest + n)
  let at = out
  let i: u32 = 0
  let afterEmpty = false
  while (i <= n) {
    let hit = false
    for (let j: u32 = 0; j < k; j++) {
      const key = keyAt(pairs, j)
      const m = strLen(key)
      if (m == 0 && afterEmpty) continue
      if (m <= n - i && memory.compare(p + i, strPtr(key), m) == 0) {
        const v = valueAt(pairs, j)
        memory.copy(at, strPtr(v), strLen(v))
        at += strLen(v)
        i += m
        hit = true
        afterEmpty = m == 0
        break
      }
    }
    if (hit && !afterEmpty) continue
    if (hit) continue
    afterEmpty = false
    if (i < n) store<u8>(at++, load<u8>(p + i))
    i++
  }
  return mkStr(out, <u32>(at - out))
}

export function b_strings_reverse(s: usize): usize {
  if (!isStr(s)) return wrongType()
  const n = strLen(s)
  const out = alloc(n)
  charge(<i32>(n >> 2))
  let i: u32 = 0
  while (i < n) {
    const w = runeBytes(strPtr(s) + i)
    memory.copy(out + n - i - w, strPtr(s) + i, w)
    i += w
  }
  return mkStr(out, n)
}

export function b_strings_count(s: usize, sub: usize): usize {
  if (!isStr(s) || !isStr(sub)) return wrongType()
  const m = <i32>strLen(sub)
  if (m == 0) return mkInt(runes(strPtr(s), strLen(s)) + 1)
  let hits = 0
  let i = 0
  for (;;) {
    i = indexBytes(strPtr(s), strLen(s), strPtr(sub), m, i)
    if (i < 0) return mkInt(hits)
    hits++
    i += m
  }
  return 0
}

export function b_substring(s: usize, offset: usize, length: usize): usize {
  if (!isStr(s) || tag(offset) != T_NUM || tag(length) != T_NUM) return wrongType()
  if (!isPlainInt(offset)) return wrongType()
  const from = intValue()
  if (!isPlainInt(length)) return wrongType()
  const want = intValue()
  if (from < 0) return noAnswer()
  const p = strPtr(s)
  const n = strLen(s)
  charge(<i32>(n >> 4))
  let i: u32 = 0
  for (let k: i64 = 0; k < from && i < n; k++) i += runeBytes(p + i)
  let j = i
  if (want < 0) j = n
  else for (let k: i64 = 0; k < want && j < n; k++) j += runeBytes(p + j)
  return mkStr(p + i, j - i)
}

function inSet(set: usize, c: i32): bool {
  const p = strPtr(set)
  const n = strLen(set)
  let i: u32 = 0
  while (i < n) {
    if (runeAt(p + i) == c) return true
    i += runeBytes(p + i)
  }
  return false
}
function isSpace(c: i32): bool {
  return (
    (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
    c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000
  )
}
/** Cuts runes of `set` (white space when 0) off the left (1), the right (2) or both (3). */
function trimBy(s: usize, set: usize, sides: i32): usize {
  let p = strPtr(s)
  let end = p + strLen(s)
  charge(<i32>(strLen(s) >> 4))
  if (sides & 1) {
    while (p < end) {
      const c = runeAt(p)
      if (!(set ? inSet(set, c) : isSpace(c))) break
      p += runeBytes(p)
    }
  }
  if (sides & 2) {
    while (p < end) {
      let q = end - 1
      while (q > p && (load<u8>(q) & 0xc0) == 0x80) q--
      const c = runeAt(q)
      if (!(set ? inSet(set, c) : isSpace(c))) break
      end = q
    }
  }
  return mkStr(p, <u32>(end - p))
}
export function b_trim(s: usize, set: usize): usize {
  return isStr(s) && isStr(set) ? trimBy(s, set, 3) : wrongType()
}
export function b_trim_left(s: usize, set: usize): usize {
  return isStr(s) && isStr(set) ? trimBy(s, set, 1) : wrongType()
}
export function b_trim_right(s: usize, set: usize): usize {
  return isStr(s) && isStr(set) ? trimBy(s, set, 2) : wrongType()
}
export function b_trim_space(s: usize): usize {
  return isStr(s) ? trimBy(s, 0, 3) : wrongType()
}
export function b_trim_prefix(s: usize, x: usize): usize {
  if (!isStr(s) || !isStr(x)) return wrongType()
  return hasPrefix(s, x) ? mkStr(strPtr(s) + strLen(x), strLen(s) - strLen(x)) : s
}
export function b_trim_suffix(s: usize, x: usize): usize {
  if (!isStr(s) || !isStr(x)) return wrongType()
  return hasSuffix(s, x) ? mkStr(strPtr(s), strLen(s) - strLen(x)) : s
}

const LOWER: usize = memory.data<u8>([108, 111, 119, 101, 114, 0])
const UPPER: usize = memory.data<u8>([117, 112, 112, 101, 114, 0])

function cased(s: usize, first: u32, flip: u8, host: usize, id: i32): usize {
  if (!isStr(s)) return wrongType()
  const p = strPtr(s)
  const n = strLen(s)
  charge(<i32>(n >> 4))
  let changes = false
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i)
    // Only ASCII is here: the tables of Unicode are the host's.
    if (c >= 0x80) return callNamed(id, s)
    if (<u32>c - first <= 25) changes = true
  }
  if (!changes) return s
  const out = alloc(n)
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i)
    store<u8>(out + i, <u32>c - first <= 25 ? c ^ flip : c)
  }
  return mkStr(out, n)
}
/** Builtin numbers of the host's `lower` and `upper`; codegen sets them. */
export let hostLower: i32 = -1
export let hostUpper: i32 = -1
export function b_lower(s: usize): usize {
  return cased(s, 65, 32, LOWER, hostLower)
}
export function b_upper(s: usize): usize {
  return cased(s, 97, 32, UPPER, hostUpper)
}

// ---- encodings

export function b_json_marshal(v: usize): usize {
  return textOf(v, 2)
}
export function b_json_unmarshal(s: usize): usize {
  if (!isStr(s)) return wrongType()
  const v = opa_json_parse(strPtr(s), strLen(s))
  return v ? v : noAnswer()
}
export function b_json_is_valid(s: usize): usize {
  if (!isStr(s)) return mkBool(0)
  return truth(opa_json_parse(strPtr(s), strLen(s)) != 0)
}

const HEX: usize = memory.data<u8>([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102])
export function b_hex_encode(s: usize): usize {
  if (!isStr(s)) return wrongType()
  const n = strLen(s)
  const out = alloc(n * 2)
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(strPtr(s) + i)
    store<u8>(out + i * 2, load<u8>(HEX + (c >> 4)))
    store<u8>(out + i * 2, load<u8>(HEX + (c & 15)), 1)
  }
  return mkStr(out, n * 2)
}

function b64char(i: u32, url: bool): u8 {
  if (i < 26) return <u8>(65 + i)
  if (i < 52) return <u8>(71 + i)
  if (i < 62) return <u8>(i - 4)
  return i == 62 ? (url ? 45 : 43) : url ? 95 : 47
}
function b64encode(s: usize, url: bool, pad: bool): usize {
  if (!isStr(s)) return wrongType()
  const n = strLen(s)
  const p = strPtr(s)
  charge(<i32>(n >> 4))
  const out = alloc(((n + 2) / 3) * 4)
  let at = out
  for (let i: u32 = 0; i < n; i += 3) {
    const left = n - i
    const x =
      (<u32>load<u8>(p + i) << 16) | (left > 1 ? <u32>load<u8>(p + i + 1) << 8 : 0) | (left > 2 ? <u32>load<u8>(p + i + 2) : 0)
    store<u8>(at++, b64char(x >> 18, url))
    store<u8>(at++, b64char((x >> 12) & 63, url))
    if (left > 1) store<u8>(at++, b64char((x >> 6) & 63, url))
    else if (pad) store<u8>(at++, 61)
    if (left > 2) store<u8>(at++, b64char(x & 63, url))
    else if (pad) store<u8>(at++, 61)
  }
  return mkStr(out, <u32>(at - out))
}
export function b_base64_encode(s: usize): usize {
  return b64encode(s, false, true)
}
export function b_base64url_encode(s: usize): usize {
  return b64encode(s, true, true)
}
export function b_base64url_encode_no_pad(s: usize): usize {
  return b64encode(s, true, false)
}

// ---- template strings

export function putRune(to: usize, c: i32): usize {
  return putUtf8(to, c)
}

/** The text a value has in a template or under `%v`: strings as they are, everything else as Rego. */
export function display(v: usize): usize {
  return isStr(v) ? v : textOf(v, 1)
}
