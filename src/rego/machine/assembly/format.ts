// sprintf as Go's fmt has it, for the operand types OPA passes: int64, *big.Int, float64 and string (which is also what
// every composite value arrives as).
import { alloc, charge, heap, setHeap, abortWith } from './memory'
import { wrongType } from './errors'
import { T_ARR, T_NUM, T_SET, T_STR, tag, mkInt, mkStr, mkArray, arrAt, count, keyAt, strLen, strPtr, isInt, intOf } from './value'
import { display, putRune, runeBytes } from './strings'
import { bnDigitCount, bnDigits, bnLow, bnShr, bnBits, bnFrom } from './bignum'
import { doubleDigits, doubleExact, doubleExponent, doubleMantissa, digitsCount, digitsPoint, digitsNeg, overflowsDouble, toBig, numNeg, writeInt, isPlainInt, intValue } from './numbers'
import { runes } from './collections'

let out: usize = 0
let room: usize = 0

function put(c: u32): void {
  reserve(1)
  store<u8>(out++, <u8>c)
}
function reserve(n: usize): void {
  if (out + n > room) {
    const size = room - base
    const wider = alloc((size + n) * 2 + 64)
    memory.copy(wider, base, out - base)
    out = wider + (out - base)
    base = wider
    room = heap
  }
}
let base: usize = 0
function putBytes(p: usize, n: u32): void {
  reserve(n)
  memory.copy(out, p, n)
  out += n
}
function putText(t: usize): void {
  putBytes(strPtr(t), strLen(t))
}
/** ASCII text of at most eight characters, packed little-endian. */
function putPacked(word: u64): void {
  while (word) {
    put(<u32>(word & 255))
    word >>= 8
  }
}

// Flags of the verb being formatted.
let minus = false
let plus = false
let sharp = false
let space = false
let zero = false
let width: i32 = -1
let precision: i32 = -1

const INT: i32 = 0
const BIG: i32 = 1
const FLOAT: i32 = 2
const STRING: i32 = 3

/** As OPA tells them by what is written: `3.0` is an integer, `1e20` a text. */
function kindOf(v: usize): i32 {
  if (tag(v) != T_NUM) return STRING
  if (isPlainInt(v)) return INT
  const p = strPtr(v)
  const n = strLen(v)
  let kind = BIG
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i)
    if (c == 46) return overflowsDouble(v) ? STRING : FLOAT
    if ((c | 32) == 101) kind = STRING
  }
  return kind
}
/** A number that counts as an integer, as one. */
function asInt(v: usize): usize {
  return tag(v) == T_NUM && !isInt(v) && isPlainInt(v) ? mkInt(intValue()) : v
}

/** Whether a rune shows; what does not is written as an escape. */
function isPrint(c: i32): bool {
  if (c < 0x7f) return c >= 32
  if (c <= 0xa0 || c == 0xad || c == 0x3000 || c == 0xfeff) return false
  if (c >= 0x2000 && c <= 0x206f) return (c >= 0x2010 && c <= 0x2027) || (c >= 0x2030 && c <= 0x205e)
  return !(c >= 0xd800 && c <= 0xf8ff) && !(c >= 0xfff9 && c <= 0xfffb) && (c & 0xfffe) != 0xfffe && c < 0xe0000
}

/** One rune within quotes. */
function quotedRune(c: i32, quote: u32): void {
  if (c == <i32>quote || c == 92) {
    put(92)
    put(c)
  } else if (isPrint(c) && !(plus && c >= 0x80)) {
    out = reserveRune(c)
  } else if (c >= 7 && c <= 13) {
    // a b t n v f r
    put(92)
    put(load<u8>(memory.data<u8>([97, 98, 116, 110, 118, 102, 114]) + c - 7))
  } else {
    const width = c < 32 || c == 127 ? 2 : c < 0x10000 ? 4 : 8
    put(92)
    put(width == 2 ? 120 : width == 4 ? 117 : 85)
    for (let k = width - 1; k >= 0; k--) {
      const d = (c >> (k * 4)) & 15
      put(d < 10 ? 48 + d : 87 + d)
    }
  }
}

function typeName(kind: i32): void {
  if (kind == INT) putPacked(0x3436746e69)
  else if (kind == BIG) {
    putPacked(0x6e492e6769622a)
    put(116)
  } else if (kind == FLOAT) putPacked(0x343674616f6c66)
  else putPacked(0x676e69727473)
}

/** Pads what was written since `from` to the width, counted in runes. */
function pad(from: usize, zeros: bool): void {
  const start = from
  const n = <u32>(out - (base + start))
  const have = <i32>runes(base + start, n)
  if (width <= have) return
  const fill = <u32>(width - have)
  charge(<i32>fill)
  reserve(fill)
  const p = base + start
  if (minus) {
    memory.fill(out, 32, fill)
  } else {
    memory.copy(p + fill, p, n)
    memory.fill(p, zeros ? 48 : 32, fill)
  }
  out += fill
}

function here(): usize {
  return out - base
}

function integer(v: usize, radix: i32, upper: bool, verb: i32): void {
  const n = toBig(v)
  const neg = numNeg()
  const from = here()
  let digits: usize
  let k: u32
  if (radix == 10) {
    digits = bnDigits(n)
    k = bnDigitCount()
  } else {
    const per: u32 = radix == 2 ? 1 : radix == 8 ? 3 : 4
    k = bnBits(n) == 0 ? 1 : (<u32>bnBits(n) + per - 1) / per
    digits = alloc(k)
    for (let i: u32 = 0; i < k; i++) {
      const d = <u32>bnLow(bnShr(n, (k - 1 - i) * per)) & ((1 << per) - 1)
      store<u8>(digits + i, <u8>(d < 10 ? 48 + d : (upper ? 55 : 87) + d))
    }
  }
  if (precision == 0 && k == 1 && load<u8>(digits) == 48) {
    pad(from, false)
    return
  }
  let least = precision
  if (least < 0 && zero && width >= 0 && !minus) {
    least = width
    if (neg || plus || space) least--
  }
  if (neg) put(45)
  else if (plus) put(43)
  else if (space) put(32)
  if (sharp) {
    if (radix == 2) putPacked(0x6230)
    else if (radix == 8) put(48)
    else if (radix == 16) putPacked(upper ? 0x5830 : 0x7830)
  }
  if (verb == 79) putPacked(0x6f30)
  for (let i = <i32>k; i < least; i++) {
    charge(1)
    put(48)
  }
  putBytes(digits, k)
  pad(from, false)
}

function exponent(e: i32, upper: bool): void {
  put(upper ? 69 : 101)
  put(e < 0 ? 45 : 43)
  const x = e < 0 ? -e : e
  if (x < 10) put(48)
  const end = alloc(24) + 24
  const begin = writeInt(x, end)
  putBytes(begin, <u32>(end - begin))
}

/** Rounds a digit string to n digits, half to even on an exact tie; returns the new length, carry moves the point. */
let carried = false
function roundAt(digits: usize, have: i32, n: i32): i32 {
  carried = false
  if (n >= have) return have
  if (n < 0) return 0
  const c = load<u8>(digits + n)
  let up = c > 53 || (c == 53 && n + 1 < have)
  if (c == 53 && n + 1 == have) up = n > 0 && (load<u8>(digits + n - 1) & 1) != 0
  let k = n
  if (up) {
    while (k > 0 && load<u8>(digits + k - 1) == 57) k--
    if (k == 0) {
      store<u8>(digits, 49)
      carried = true
      return 1
    }
    store<u8>(digits + k - 1, load<u8>(digits + k - 1) + 1)
    return k
  }
  return k
}

function floating(v: usize, verb: i32): void {
  const from = here()
  let form = verb | 32
  const upper = verb < 97
  if (form == 118) form = 103
  const shortest = precision < 0 && form == 103
  let p = precision
  if (p < 0 && form != 103) p = 6
  let digits = shortest ? doubleDigits(v) : doubleExact(v)
  let n = <i32>digitsCount()
  let point = digitsPoint()
  const neg = digitsNeg()
  signed(neg)
  const numberFrom = here()
  if (form == 103) {
    let eprec = p
    if (!shortest) {
      if (p == 0) p = 1
      n = roundAt(digits, n, p)
      if (carried) point++
      eprec = p
      if (eprec > n && n >= point) eprec = n
    } else eprec = 6
    while (n > 1 && load<u8>(digits + n - 1) == 48) n--
    const e = n ? point - 1 : 0
    if (e < -4 || e >= eprec) {
      scientific(digits, n, point, n - 1, upper)
    } else fixed(digits, n, point, n > point ? n - point : 0)
  } else if (form == 101) {
    n = roundAt(digits, n, p + 1)
    if (carried) point++
    scientific(digits, n, point, p, upper)
  } else {
    n = roundAt(digits, n, point + p)
    if (carried) point++
    fixed(digits, n, point, p)
  }
  padSigned(from, numberFrom)
}

function signed(neg: bool): void {
  if (neg) put(45)
  else if (plus) put(43)
  else if (space) put(32)
}

/** Zeros go behind the sign, spaces before it. */
function padSigned(from: usize, numberFrom: usize): void {
  if (zero && !minus && width >= 0) {
    const had = width
    width -= <i32>(numberFrom - from)
    pad(numberFrom, true)
    width = had
  } else pad(from, false)
}

/** A double by its bits: `%b` as mantissa and power, `%x` as hexadecimal digits and power. */
function binary(v: usize, verb: i32): void {
  const from = here()
  let mantissa = doubleMantissa(v)
  let exp = mantissa ? doubleExponent() : 0
  signed(digitsNeg())
  const numberFrom = here()
  if (verb == 98) {
    decimal(<i64>mantissa)
    put(112)
    exp = mantissa ? exp - 52 : -1074
    if (exp >= 0) put(43)
    decimal(exp)
    return padSigned(from, numberFrom)
  }
  const upper = verb == 88
  // The first bit is bit 60, so that each digit behind the point is the four bits above.
  mantissa <<= 8
  if (precision >= 0 && precision < 15) {
    const shift = <u64>precision * 4
    const extra = (mantissa << shift) & 0xfffffffffffffff
    mantissa >>= 60 - shift
    if ((extra | (mantissa & 1)) > 0x800000000000000) mantissa++
    mantissa <<= 60 - shift
    if (mantissa & 0x2000000000000000) {
      mantissa >>= 1
      exp++
    }
  }
  putPacked(upper ? 0x5830 : 0x7830)
  put(48 + <u32>((mantissa >> 60) & 1))
  mantissa <<= 4
  if (precision > 0 || (precision < 0 && mantissa)) put(46)
  if (precision > 0) charge(precision)
  for (let i = 0; precision < 0 ? mantissa != 0 : i < precision; i++) {
    const d = <u32>(mantissa >> 60)
    put(d < 10 ? 48 + d : (upper ? 55 : 87) + d)
    mantissa <<= 4
  }
  put(upper ? 80 : 112)
  put(exp < 0 ? 45 : 43)
  if (exp > -10 && exp < 10) put(48)
  decimal(exp < 0 ? -exp : exp)
  padSigned(from, numberFrom)
}

function decimal(n: i64): void {
  const end = alloc(24) + 24
  const begin = writeInt(n, end)
  putBytes(begin, <u32>(end - begin))
}

function scientific(digits: usize, n: i32, point: i32, p: i32, upper: bool): void {
  put(n ? load<u8>(digits) : 48)
  if (p > 0) {
    put(46)
    charge(p)
    for (let i = 1; i <= p; i++) put(i < n ? load<u8>(digits + i) : 48)
  }
  exponent(n ? point - 1 : 0, upper)
}

function fixed(digits: usize, n: i32, point: i32, p: i32): void {
  if (point > 0 && n) {
    charge(point)
    for (let i = 0; i < point; i++) put(i < n ? load<u8>(digits + i) : 48)
  } else put(48)
  if (p > 0) {
    put(46)
    charge(p)
    for (let i = 0; i < p; i++) {
      const j = point + i
      put(j >= 0 && j < n ? load<u8>(digits + j) : 48)
    }
  }
}

function truncated(text: usize): usize {
  if (precision < 0) return text
  const p = strPtr(text)
  const n = strLen(text)
  let i: u32 = 0
  for (let k = 0; k < precision && i < n; k++) i += runeBytes(p + i)
  return mkStr(p, i < n ? i : n)
}

/** Whether a text can stand in backquotes as it is. */
function backquotes(p: usize, n: u32): bool {
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i)
    if (c == 96 || c == 127 || (c < 32 && c != 9)) return false
  }
  return true
}

function quoted(text: usize): void {
  const p = strPtr(text)
  const n = strLen(text)
  if (sharp && backquotes(p, n)) {
    put(96)
    putText(text)
    put(96)
    return
  }
  put(34)
  let i: u32 = 0
  while (i < n) {
    const c = <i32>load<u8>(p + i)
    quotedRune(c < 0x80 ? c : decode(p + i), 34)
    i += runeBytes(p + i)
  }
  put(34)
}

function hexBytes(text: usize, upper: bool): void {
  const p = strPtr(text)
  const n = strLen(text)
  charge(<i32>n)
  if (sharp && n) putPacked(upper ? 0x5830 : 0x7830)
  for (let i: u32 = 0; i < n; i++) {
    if (i && space) put(32)
    const c = load<u8>(p + i)
    const hi = c >> 4
    const lo = c & 15
    put(hi < 10 ? 48 + hi : (upper ? 55 : 87) + hi)
    put(lo < 10 ? 48 + lo : (upper ? 55 : 87) + lo)
  }
}

function bad(verb: i32, v: usize, kind: i32): void {
  putPacked(0x2125)
  out = reserveRune(verb)
  put(40)
  if (kind == BIG) putPacked(0x746e492e676962)
  else typeName(kind)
  put(61)
  printVerb(118, v)
  put(41)
}
function reserveRune(c: i32): usize {
  reserve(4)
  return putRune(out, c)
}

function printVerb(verb: i32, given: usize): void {
  const kind = kindOf(given)
  const v = asInt(given)
  if (verb == 84) {
    const from = here()
    typeName(kind)
    return pad(from, zero && !minus)
  }
  if (kind == INT || kind == BIG) {
    if (verb == 118 || verb == 100) integer(v, 10, false, verb)
    else if (kind == BIG && verb == 115) integer(v, 10, false, verb)
    else if (verb == 98) integer(v, 2, false, verb)
    else if (verb == 111 || verb == 79) integer(v, 8, false, verb)
    else if (verb == 120) integer(v, 16, false, verb)
    else if (verb == 88) integer(v, 16, true, verb)
    else if (kind == INT && (verb == 99 || verb == 113 || verb == 85)) rune(verb, v)
    else bad(verb, v, kind)
    return
  }
  if (kind == FLOAT) {
    const low = verb | 32
    if (verb == 118 || low == 101 || low == 102 || low == 103) floating(v, verb)
    else if (verb == 98 || low == 120) binary(v, verb)
    else bad(verb, v, kind)
    return
  }
  const text = display(v)
  const from = here()
  if (verb == 118 || verb == 115) {
    putText(truncated(text))
    pad(from, zero && !minus)
  } else if (verb == 113) {
    quoted(truncated(text))
    pad(from, zero && !minus)
  } else if (verb == 120 || verb == 88) {
    let t = text
    if (precision >= 0 && <u32>precision < strLen(text)) t = mkStr(strPtr(text), precision)
    hexBytes(t, verb == 88)
    pad(from, false)
  } else bad(verb, v, kind)
}

function rune(verb: i32, v: usize): void {
  const n = intOf(v)
  const c = n < 0 || n > 0x10ffff || (n >= 0xd800 && n < 0xe000) ? 0xfffd : <i32>n
  const from = here()
  if (verb == 99) {
    out = reserveRune(c)
  } else if (verb == 113) {
    put(39)
    quotedRune(c, 39)
    put(39)
  } else {
    putPacked(0x2b55)
    const digits = alloc(16)
    let k = 0
    let x = <u64>n
    while (x || k < 4) {
      const d = <u32>(x & 15)
      store<u8>(digits + 15 - k, <u8>(d < 10 ? 48 + d : 55 + d))
      x >>= 4
      k++
    }
    putBytes(digits + 16 - k, k)
  }
  pad(from, false)
}

/** The whole number an argument holds, for `*`; -1 in starOk when it is none. */
let starOk = false
function star(args: usize, i: u32): i32 {
  starOk = false
  if (i >= count(args)) return 0
  const v = asInt(arrAt(args, i))
  if (tag(v) != T_NUM || !isInt(v)) return 0
  const n = intOf(v)
  if (n > 1000000 || n < -1000000) return 0
  starOk = true
  return <i32>n
}

export function b_sprintf(format: usize, args: usize): usize {
  if (tag(format) != T_STR || tag(args) != T_ARR) return wrongType()
  const p = strPtr(format)
  const end = strLen(format)
  charge(<i32>(end >> 3))
  base = alloc(end + 64)
  out = base
  room = heap
  let arg: u32 = 0
  let reordered = false
  let i: u32 = 0
  const total = count(args)
  while (i < end) {
    let c = load<u8>(p + i)
    if (c != 37) {
      put(c)
      i++
      continue
    }
    i++
    minus = false
    plus = false
    sharp = false
    space = false
    zero = false
    width = -1
    precision = -1
    let goodIndex = true
    for (; i < end; i++) {
      c = load<u8>(p + i)
      if (c == 43) plus = true
      else if (c == 45) {
        minus = true
        zero = false
      } else if (c == 35) sharp = true
      else if (c == 32) space = true
      else if (c == 48) zero = !minus
      else break
    }
    let afterIndex = false
    // An explicit argument index may stand before the width, the precision and the verb.
    for (let part = 0; part < 3; part++) {
      if (part == 1) {
        if (i >= end || load<u8>(p + i) != 46) continue
        i++
        if (afterIndex) goodIndex = false
        precision = 0
      }
      if (i < end && load<u8>(p + i) == 91) {
        let close = i + 1
        let x: i64 = 0
        let digits = 0
        while (close < end && <u32>load<u8>(p + close) - 48 <= 9) {
          if (x < 100000000) x = x * 10 + load<u8>(p + close) - 48
          close++
          digits++
        }
        reordered = true
        if (digits && close < end && load<u8>(p + close) == 93) {
          i = close + 1
          if (x >= 1 && x <= <i64>total) arg = <u32>(x - 1)
          else goodIndex = false
        } else {
          goodIndex = false
          while (close < end && load<u8>(p + close) != 93) close++
          i = close < end ? close + 1 : i + 1
        }
        afterIndex = true
      }
      if (part == 2) break
      if (i < end && load<u8>(p + i) == 42) {
        i++
        const n = star(args, arg)
        arg++
        if (!starOk) {
          packedBad(part == 0)
        } else if (part == 0) {
          width = n
          if (width < 0) {
            width = -width
            minus = true
            zero = false
          }
        } else precision = n < 0 ? -1 : n
        afterIndex = false
      } else {
        let n: i32 = 0
        let digits = 0
        while (i < end && <u32>load<u8>(p + i) - 48 <= 9) {
          if (n <= 1000000) n = n * 10 + <i32>load<u8>(p + i) - 48
          i++
          digits++
        }
        if (digits) {
          if (afterIndex && part == 0) goodIndex = false
          if (n > 1000000) n = -1
          if (part == 0) width = n
          else precision = n
          afterIndex = false
        }
      }
    }
    if (i >= end) {
      putPacked(0x5245564f4e282125)
      putPacked(0x2942)
      break
    }
    const w = runeBytes(p + i)
    let verb = <i32>load<u8>(p + i)
    if (verb >= 0x80) verb = decode(p + i)
    i += w
    if (verb == 37) {
      put(37)
      continue
    }
    if (!goodIndex) {
      putPacked(0x2125)
      out = reserveRune(verb)
      putPacked(0x45444e4944414228)
      putPacked(0x2958)
      continue
    }
    if (arg >= total) {
      putPacked(0x2125)
      out = reserveRune(verb)
      putPacked(0x4e495353494d28)
      putPacked(0x2947)
      continue
    }
    printVerb(verb, arrAt(args, arg))
    arg++
  }
  if (!reordered && arg < total) {
    putPacked(0x52545845282125)
    putPacked(0x2041)
    minus = plus = sharp = space = zero = false
    width = precision = -1
    for (let k = arg; k < total; k++) {
      if (k > arg) putPacked(0x202c)
      const v = arrAt(args, k)
      typeName(kindOf(v))
      put(61)
      printVerb(118, v)
    }
    put(41)
  }
  return mkStr(base, <u32>(out - base))
}

function packedBad(isWidth: bool): void {
  putPacked(0x444142282125)
  if (isWidth) putPacked(0x294854444957)
  else putPacked(0x2943455250)
}

function decode(p: usize): i32 {
  const c = <i32>load<u8>(p)
  if (c < 0xe0) return ((c & 31) << 6) | (<i32>load<u8>(p, 1) & 63)
  if (c < 0xf0) return ((c & 15) << 12) | ((<i32>load<u8>(p, 1) & 63) << 6) | (<i32>load<u8>(p, 2) & 63)
  return (
    ((c & 7) << 18) | ((<i32>load<u8>(p, 1) & 63) << 12) | ((<i32>load<u8>(p, 2) & 63) << 6) | (<i32>load<u8>(p, 3) & 63)
  )
}

/** `$"..."`: each part is text, or the set of values its expression has: none is `<undefined>`, several are a conflict. */
export function b_internal_template_string(parts: usize): usize {
  if (tag(parts) != T_ARR) return wrongType()
  base = alloc(64)
  out = base
  room = heap
  for (let i: u32 = 0; i < count(parts); i++) {
    const v = arrAt(parts, i)
    if (tag(v) != T_SET) {
      putText(display(v))
    } else if (count(v) == 0) {
      putPacked(0x6e696665646e753c)
      putPacked(0x3e6465)
    } else if (count(v) == 1) {
      putText(display(keyAt(v, 0)))
    } else {
      // eval_conflict_error: template-strings must not produce multiple outputs
      abortWith(memory.data<u8>([101, 118, 97, 108, 95, 99, 111, 110, 102, 108, 105, 99, 116, 95, 101, 114, 114, 111, 114, 58, 32, 116, 101, 109, 112, 108, 97, 116, 101, 45, 115, 116, 114, 105, 110, 103, 115, 32, 109, 117, 115, 116, 32, 110, 111, 116, 32, 112, 114, 111, 100, 117, 99, 101, 32, 109, 117, 108, 116, 105, 112, 108, 101, 32, 111, 117, 116, 112, 117, 116, 115, 0]))
    }
  }
  return mkStr(base, <u32>(out - base))
}
