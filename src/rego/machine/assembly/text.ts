// Reading and writing values as text: JSON, and Rego's own notation, where sets are sets and any value may be a key.
import { alloc, heap, setHeap, charge } from './memory'
import {
  T_ARR, T_BOOL, T_NUM, T_OBJ, T_SET, T_STR, MARK_PARSED, NULL, TRUE, FALSE, tag, mkStr, mkArray, arrPush, arrAt, mkObject, objPut, objPutParsed,
  mkSet, setAdd, count, keyAt, valueAt, sortTable, strPtr, strLen, isInt, intOf, hash, find, compare,
} from './value'
import { numberFromText, writeInt } from './numbers'

const DEPTH_MAX: i32 = 4000

// ---- reading

let at: usize = 0
let end: usize = 0
let rego = false
let failed = false

// @ts-ignore: decorator
@inline
function skip(): void {
  while (at < end) {
    const c = load<u8>(at)
    if (c == 32 || c == 10 || c == 13 || c == 9) at++
    else break
  }
}

function fail(): usize {
  failed = true
  return 0
}

function parse(address: usize, length: usize, withSets: bool): usize {
  at = address
  end = address + length
  rego = withSets
  failed = false
  const v = value(0)
  if (failed) return 0
  skip()
  return at == end ? v : 0
}

/** JSON text to a value, 0 when it is not JSON. The text must stay where it is: strings without escapes point into it. */
export function opa_json_parse(address: usize, length: usize): usize {
  return parse(address, length, false)
}
/** Rego value text to a value. */
export function opa_value_parse(address: usize, length: usize): usize {
  return parse(address, length, true)
}

function word(text: u32, v: usize): usize {
  if (at + 4 <= end && load<u32>(at) == text) {
    at += 4
    return v
  }
  return fail()
}

function value(depth: i32): usize {
  skip()
  if (at >= end || depth > DEPTH_MAX) return fail()
  const c = load<u8>(at)
  if (c == 34) return string()
  if (c == 123) return braces(depth)
  if (c == 91) return array(depth)
  if (c == 116) return word(0x65757274, TRUE)
  if (c == 110) return word(0x6c6c756e, NULL)
  if (c == 102) {
    if (at + 5 <= end && load<u32>(at + 1) == 0x65736c61) {
      at += 5
      return FALSE
    }
    return fail()
  }
  if (c == 115 && rego) {
    if (at + 5 <= end && load<u32>(at + 1) == 0x29287465) {
      at += 5
      return mkSet()
    }
    return fail()
  }
  return number()
}

function digits(): bool {
  const from = at
  while (at < end && <u32>load<u8>(at) - 48 <= 9) at++
  return at > from
}

function number(): usize {
  const from = at
  if (load<u8>(at) == 45) at++
  if (at < end && load<u8>(at) == 48) {
    at++
  } else if (!digits()) return fail()
  if (at < end && load<u8>(at) == 46) {
    at++
    if (!digits()) return fail()
  }
  if (at < end && (load<u8>(at) | 32) == 101) {
    at++
    if (at < end && (load<u8>(at) == 43 || load<u8>(at) == 45)) at++
    if (!digits()) return fail()
  }
  return numberFromText(from, <u32>(at - from))
}

// @ts-ignore: decorator
@inline
function marks(x: u64): u64 {
  // Bytes that are a quote, a backslash or a control character.
  const q = x ^ 0x2222222222222222
  const b = x ^ 0x5c5c5c5c5c5c5c5c
  return (
    (((q - 0x0101010101010101) & ~q) | ((b - 0x0101010101010101) & ~b) | ((x - 0x2020202020202020) & ~x)) &
    0x8080808080808080
  )
}

function string(): usize {
  const from = ++at
  for (;;) {
    while (at + 8 <= end) {
      const m = marks(load<u64>(at))
      if (m) {
        at += <usize>(ctz<u64>(m) >> 3)
        break
      }
      at += 8
    }
    if (at >= end) return fail()
    const c = load<u8>(at)
    if (c == 34) {
      const v = mkStr(from, <u32>(at - from))
      at++
      return v
    }
    if (c == 92) return escaped(from)
    if (c < 32) return fail()
    at++
  }
  return 0
}

function hex4(): i32 {
  if (at + 4 > end) return -1
  let x: i32 = 0
  for (let i = 0; i < 4; i++) {
    const c = <i32>load<u8>(at++)
    const d = c >= 48 && c <= 57 ? c - 48 : (c | 32) >= 97 && (c | 32) <= 102 ? (c | 32) - 87 : -1
    if (d < 0) return -1
    x = (x << 4) | d
  }
  return x
}

export function putUtf8(to: usize, c: i32): usize {
  if (c < 0x80) {
    store<u8>(to, <u8>c)
    return to + 1
  }
  if (c < 0x800) {
    store<u8>(to, <u8>(0xc0 | (c >> 6)))
    store<u8>(to, <u8>(0x80 | (c & 63)), 1)
    return to + 2
  }
  if (c < 0x10000) {
    store<u8>(to, <u8>(0xe0 | (c >> 12)))
    store<u8>(to, <u8>(0x80 | ((c >> 6) & 63)), 1)
    store<u8>(to, <u8>(0x80 | (c & 63)), 2)
    return to + 3
  }
  store<u8>(to, <u8>(0xf0 | (c >> 18)))
  store<u8>(to, <u8>(0x80 | ((c >> 12) & 63)), 1)
  store<u8>(to, <u8>(0x80 | ((c >> 6) & 63)), 2)
  store<u8>(to, <u8>(0x80 | (c & 63)), 3)
  return to + 4
}

function escaped(from: usize): usize {
  let close = at
  while (close < end && load<u8>(close) != 34) close += load<u8>(close) == 92 ? 2 : 1
  if (close >= end) return fail()
  const out = alloc(close - from + 4)
  memory.copy(out, from, at - from)
  let to = out + (at - from)
  while (at < close) {
    const c = load<u8>(at++)
    if (c < 32) return fail()
    if (c != 92) {
      store<u8>(to++, c)
      continue
    }
    const e = load<u8>(at++)
    if (e == 110) store<u8>(to++, 10)
    else if (e == 116) store<u8>(to++, 9)
    else if (e == 114) store<u8>(to++, 13)
    else if (e == 98) store<u8>(to++, 8)
    else if (e == 102) store<u8>(to++, 12)
    else if (e == 34 || e == 92 || e == 47) store<u8>(to++, e)
    else if (e == 117) {
      let x = hex4()
      if (x < 0) return fail()
      if (x >= 0xd800 && x < 0xe000) {
        // A surrogate alone becomes the replacement character, as in Go.
        let whole = 0xfffd
        if (x < 0xdc00 && at + 6 <= end && load<u16>(at) == 0x755c) {
          const back = at
          at += 2
          const y = hex4()
          if (y >= 0xdc00 && y < 0xe000) whole = 0x10000 + ((x - 0xd800) << 10) + (y - 0xdc00)
          else at = back
        }
        x = whole
      }
      to = putUtf8(to, x)
    } else return fail()
  }
  at = close + 1
  return mkStr(out, <u32>(to - out))
}

function array(depth: i32): usize {
  at++
  const v = mkArray(0)
  skip()
  if (at < end && load<u8>(at) == 93) {
    at++
    return v
  }
  for (;;) {
    const item = value(depth + 1)
    if (failed) return 0
    arrPush(v, item)
    skip()
    if (at >= end) return fail()
    const c = load<u8>(at++)
    if (c == 93) return v
    if (c != 44) return fail()
  }
  return 0
}

function braces(depth: i32): usize {
  at++
  skip()
  if (at < end && load<u8>(at) == 125) {
    at++
    return mkObject()
  }
  let v: usize = 0
  let isSet = false
  for (;;) {
    skip()
    if (!rego && (at >= end || load<u8>(at) != 34)) return fail()
    const key = at < end && load<u8>(at) == 34 ? string() : value(depth + 1)
    if (failed) return 0
    skip()
    if (at >= end) return fail()
    if (v == 0) {
      isSet = rego && load<u8>(at) != 58
      v = isSet ? mkSet() : mkObject()
      store<u8>(v, MARK_PARSED, 2)
    }
    if (isSet) setAdd(v, key)
    else {
      if (load<u8>(at++) != 58) return fail()
      const x = value(depth + 1)
      if (failed) return 0
      objPutParsed(v, key, x)
      skip()
      if (at >= end) return fail()
    }
    const c = load<u8>(at++)
    if (c == 125) return v
    if (c != 44) return fail()
  }
  return 0
}

// ---- writing

let out: usize = 0
let room: usize = 0

const JSON: i32 = 0
const REGO: i32 = 1
/** As Go's encoding/json with its HTML escapes. */
const MARSHAL: i32 = 2

function begin(): void {
  out = heap
  room = out
}

/** Makes sure that n more bytes fit behind the write position; the text is the newest block, so it grows in place. */
// @ts-ignore: decorator
@inline
function need(n: usize): void {
  if (out + n > room) {
    setHeap(room)
    const more = n + 256
    alloc(more)
    room = heap
  }
}

function byte(c: u8): void {
  need(1)
  store<u8>(out++, c)
}

export function writeQuoted(p: usize, n: u32, mode: i32): void {
  need(<usize>n + 16)
  store<u8>(out++, 34)
  const stop = p + n
  while (p < stop) {
    const c = load<u8>(p)
    let plain = c >= 32 && c != 34 && c != 92
    if (plain && mode == MARSHAL) {
      if (c == 60 || c == 62 || c == 38) plain = false
      else if (c == 0xe2 && p + 2 < stop && load<u8>(p + 1) == 0x80 && (load<u8>(p + 2) | 1) == 0xa9) {
        need(<usize>(stop - p) + 16)
        store<u32>(out, 0x3032755c)
        store<u16>(out + 4, load<u8>(p + 2) == 0xa8 ? 0x3832 : 0x3932)
        out += 6
        p += 3
        continue
      }
    }
    if (plain) {
      store<u8>(out++, c)
      p++
      continue
    }
    need(<usize>(stop - p) + 16)
    p++
    store<u8>(out, 92)
    if (c == 34 || c == 92) store<u8>(out, c, 1)
    else if (c == 10) store<u8>(out, 110, 1)
    else if (c == 13) store<u8>(out, 114, 1)
    else if (c == 9) store<u8>(out, 116, 1)
    else if (c == 8) store<u8>(out, 98, 1)
    else if (c == 12) store<u8>(out, 102, 1)
    else {
      store<u32>(out, 0x3030755c)
      const hi = c >> 4
      const lo = c & 15
      store<u8>(out, 48 + hi, 4)
      store<u8>(out, lo < 10 ? 48 + lo : 87 + lo, 5)
      out += 6
      continue
    }
    out += 2
  }
  need(8)
  store<u8>(out++, 34)
}

function bytes(p: usize, n: u32): void {
  need(n)
  memory.copy(out, p, n)
  out += n
}

function write(v: usize, mode: i32): void {
  const t = tag(v)
  if (t == T_STR) {
    writeQuoted(strPtr(v), strLen(v), mode)
    return
  }
  if (t == T_NUM) {
    if (isInt(v)) {
      need(32)
      const n = intOf(v)
      if (n >= 0 && n < 10) {
        store<u8>(out++, <u8>(48 + n))
        return
      }
      const stop = out + 32
      const from = writeInt(n, stop)
      memory.copy(out, from, stop - from)
      out += stop - from
    } else bytes(strPtr(v), strLen(v))
    return
  }
  if (t == T_BOOL) {
    need(8)
    if (load<u8>(v, 1)) {
      store<u32>(out, 0x65757274)
      out += 4
    } else {
      store<u8>(out++, 102)
      store<u32>(out, 0x65736c61)
      out += 4
    }
    return
  }
  const n = t >= T_ARR ? count(v) : 0
  charge(<i32>n + 1)
  if (t == T_ARR) {
    byte(91)
    for (let i: u32 = 0; i < n; i++) {
      if (i) separator(mode)
      write(arrAt(v, i), mode)
    }
    byte(93)
    return
  }
  if (t == T_SET) {
    sortTable(v)
    if (mode == REGO && n == 0) {
      need(8)
      store<u32>(out, 0x28746573)
      store<u8>(out + 4, 41)
      out += 5
      return
    }
    byte(mode == REGO ? 123 : 91)
    for (let i: u32 = 0; i < n; i++) {
      if (i) separator(mode)
      write(keyAt(v, i), mode)
    }
    byte(mode == REGO ? 125 : 93)
    return
  }
  if (t == T_OBJ) {
    sortTable(v)
    byte(123)
    for (let i: u32 = 0; i < n; i++) {
      if (i) separator(mode)
      const k = keyAt(v, i)
      if (mode == REGO || tag(k) == T_STR) write(k, mode)
      else writeKey(k, mode)
      byte(58)
      if (mode == REGO) byte(32)
      write(valueAt(v, i), mode)
    }
    byte(125)
    return
  }
  need(4)
  store<u32>(out, 0x6c6c756e)
  out += 4
}

function separator(mode: i32): void {
  byte(44)
  if (mode == REGO) byte(32)
}

/** JSON has only string keys: other keys are written as their own JSON text. */
function writeKey(k: usize, mode: i32): void {
  const from = out
  write(k, JSON)
  const n = out - from
  // Quoting makes a byte at most six; the source is moved clear of what is written over it.
  need(n * 7 + 64)
  const source = out + n * 6 + 32
  memory.copy(source, from, n)
  out = from
  writeQuoted(source, <u32>n, mode)
}

function finish(): usize {
  need(1)
  store<u8>(out, 0)
  setHeap(out + 1 + 7 & ~7)
  return out
}

/** Sorts every table inside a value. It may allocate, so it comes before any text, which grows at the heap's end. */
function presort(v: usize): void {
  const t = tag(v)
  if (t < T_ARR) return
  const n = count(v)
  if (t == T_ARR) {
    for (let i: u32 = 0; i < n; i++) presort(arrAt(v, i))
    return
  }
  sortTable(v)
  for (let i: u32 = 0; i < n; i++) {
    presort(keyAt(v, i))
    if (t == T_OBJ) presort(valueAt(v, i))
  }
}

/** NUL-terminated JSON text. */
export function opa_json_dump(v: usize): usize {
  presort(v)
  begin()
  const from = out
  write(v, JSON)
  finish()
  return from
}
/** NUL-terminated Rego text. */
export function opa_value_dump(v: usize): usize {
  presort(v)
  begin()
  const from = out
  write(v, REGO)
  finish()
  return from
}

/** A string value holding the text of v in a mode: 0 JSON, 1 Rego, 2 as json.marshal. */
export function textOf(v: usize, mode: i32): usize {
  presort(v)
  begin()
  const from = out
  write(v, mode)
  const n = <u32>(out - from)
  finish()
  return mkStr(from, n)
}

/** ABI: replaces or adds the value under a path (an array of strings). 0 on success, 2 when the path is not one. */
export function opa_value_add_path(base: usize, path: usize, v: usize): i32 {
  if (tag(path) != T_ARR || count(path) == 0) return 2
  let o = base
  const n = count(path)
  for (let i: u32 = 0; i + 1 < n; i++) {
    if (tag(o) != T_OBJ) return 2
    const e = find(o, arrAt(path, i), hash(arrAt(path, i)))
    let next: usize = e ? <usize>load<u32>(e, 4) : 0
    if (next == 0 || tag(next) != T_OBJ) {
      next = mkObject()
      objPut(o, arrAt(path, i), next)
    }
    o = next
  }
  if (tag(o) != T_OBJ) return 2
  objPut(o, arrAt(path, n - 1), v)
  return 0
}

/** ABI: removes what is under a path. */
export function opa_value_remove_path(base: usize, path: usize): i32 {
  if (tag(path) != T_ARR || count(path) == 0) return 2
  let o = base
  const n = count(path)
  for (let i: u32 = 0; i + 1 < n; i++) {
    if (tag(o) != T_OBJ) return 0
    const e = find(o, arrAt(path, i), hash(arrAt(path, i)))
    if (!e) return 0
    o = <usize>load<u32>(e, 4)
  }
  if (tag(o) != T_OBJ) return 2
  const key = arrAt(path, n - 1)
  const kept = mkObject()
  for (let i: u32 = 0; i < count(o); i++) if (compare(keyAt(o, i), key) != 0) objPut(kept, keyAt(o, i), valueAt(o, i))
  memory.copy(o, kept, 32)
  return 0
}
