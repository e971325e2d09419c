// Numbers as OPA has them: 64-bit integers in place, everything else as decimal text. Arithmetic on integers is exact,
// arithmetic on fractions goes through a binary float with a 64-bit mantissa (Go's big.Float at its default precision)
// and is written with the fewest digits that read back to the same float.
import { alloc, charge } from './memory'
import { T_NUM, isInt, intOf, mkInt, mkDecimal, strPtr, strLen, hashBytes, tag } from './value'
import {
  bnAdd, bnBits, bnCmp, bnDigitCount, bnDigits, bnDiv, bnFrom, bnFromDigits, bnLen, bnLow, bnMul, bnPow, bnRest, bnShl,
  bnShr, bnSticky, bnSub,
} from './bignum'

// ---- decimal form: 0.ddd * 10^exponent, digits without zeros at either end

let dNeg = false
let dDigits: usize = 0
let dCount: u32 = 0
let dExp: i32 = 0

/** Reads an optional sign and digits; saturates, since 1e999999999999 is legal JSON. */
function exponentOf(p: usize, end: usize): i32 {
  let neg = false
  if (p < end && (load<u8>(p) == 43 || load<u8>(p) == 45)) {
    neg = load<u8>(p) == 45
    p++
  }
  let e: i32 = 0
  for (; p < end; p++) if (e < 100000000) e = e * 10 + <i32>load<u8>(p) - 48
  return neg ? -e : e
}

export function writeInt(n: i64, end: usize): usize {
  let u: u64 = n < 0 ? 0 - <u64>n : <u64>n
  let at = end
  do {
    store<u8>(--at, <u8>(48 + (u % 10)))
    u /= 10
  } while (u)
  if (n < 0) store<u8>(--at, 45)
  return at
}

function decimal(v: usize): void {
  let p: usize
  let end: usize
  if (isInt(v)) {
    end = alloc(24) + 24
    p = writeInt(intOf(v), end)
  } else {
    p = strPtr(v)
    end = p + strLen(v)
  }
  dNeg = load<u8>(p) == 45
  if (dNeg || load<u8>(p) == 43) p++
  const out = alloc(<u32>(end - p) + 1)
  let n: u32 = 0
  let point: i32 = 0
  let seen = false
  let exponent: i32 = 0
  for (; p < end; p++) {
    const c = load<u8>(p)
    if (c == 46) seen = true
    else if (c == 101 || c == 69) {
      exponent = exponentOf(p + 1, end)
      break
    } else {
      if (n == 0 && c == 48) {
        if (seen) point--
        continue
      }
      if (!seen) point++
      store<u8>(out + n++, c)
    }
  }
  while (n && load<u8>(out + n - 1) == 48) n--
  dDigits = out
  dCount = n
  dExp = n ? point + exponent : 0
  if (n == 0) dNeg = false
}

export function numberCompare(a: usize, b: usize): i32 {
  decimal(a)
  const neg = dNeg
  const digits = dDigits
  const n = dCount
  const e = dExp
  decimal(b)
  if (neg != dNeg) return neg ? -1 : 1
  const sign = neg ? -1 : 1
  if (n == 0 || dCount == 0) return n == dCount ? 0 : n == 0 ? (dNeg ? 1 : -1) : sign
  if (e != dExp) return e < dExp ? -sign : sign
  const least = n < dCount ? n : dCount
  const c = memory.compare(digits, dDigits, least)
  if (c) return c < 0 ? -sign : sign
  return n == dCount ? 0 : n < dCount ? -sign : sign
}

function intHash(n: i64): u32 {
  const u = <u64>n * 0x9e3779b97f4a7c15
  const h = <u32>(u >> 32) ^ <u32>u
  return h ^ (h >>> 13)
}

export function numberHash(v: usize): u32 {
  if (isInt(v)) return intHash(intOf(v))
  let h = load<u32>(v, 4)
  if (h) return h
  decimal(v)
  if (dCount == 0) h = intHash(0)
  else if (dExp >= <i32>dCount && dExp <= 18) {
    let n: i64 = 0
    for (let i = 0; i < dExp; i++) n = n * 10 + (<u32>i < dCount ? <i64>load<u8>(dDigits + i) - 48 : 0)
    h = intHash(dNeg ? -n : n)
  } else h = hashBytes(dDigits, dCount) + <u32>dExp * 31 + (dNeg ? 7 : 0)
  store<u32>(v, h, 4)
  return h
}

// ---- binary floats with a 64-bit mantissa: mantissa * 2^exponent, top bit set unless zero

let fNeg = false
let fMant: u64 = 0
let fExp: i32 = 0

/** Rounds n * 2^e (and a bit more when `more`) to the nearest float, ties to even. */
function roundFloat(neg: bool, n: usize, e: i32, more: bool): void {
  fNeg = neg
  const bits = bnBits(n)
  if (bits == 0) {
    fMant = 0
    fExp = 0
    return
  }
  if (bits <= 64) {
    fMant = bnLow(n) << <u64>(64 - bits)
    fExp = e - (64 - bits)
    return
  }
  const drop = bits - 64
  let m = bnLow(bnShr(n, drop))
  const half = (bnLow(bnShr(n, drop - 1)) & 1) != 0
  const rest = more || bnSticky(n, drop - 1)
  fExp = e + drop
  if (half && (rest || (m & 1) != 0)) {
    m++
    if (m == 0) {
      m = 0x8000000000000000
      fExp++
    }
  }
  fMant = m
}

function toFloat(v: usize): void {
  if (isInt(v)) {
    const n = intOf(v)
    const u: u64 = n < 0 ? 0 - <u64>n : <u64>n
    fNeg = n < 0
    if (u == 0) {
      fMant = 0
      fExp = 0
      return
    }
    const z = clz<u64>(u)
    fMant = u << z
    fExp = -<i32>z
    return
  }
  const text = strPtr(v)
  const minus = load<u8>(text) == 45
  decimal(v)
  const neg = minus
  const digits = bnFromDigits(dDigits, dCount)
  const e = dExp - <i32>dCount
  if (dCount == 0) {
    fNeg = neg
    fMant = 0
    fExp = 0
    return
  }
  charge(e < 0 ? -e : e)
  if (e >= 0) {
    roundFloat(neg, bnMul(digits, bnPow(10, e)), 0, false)
    return
  }
  const divisor = bnPow(10, -e)
  let shift = bnBits(divisor) - bnBits(digits) + 67
  if (shift < 0) shift = 0
  const q = bnDiv(bnShl(digits, shift), divisor)
  roundFloat(neg, q, -shift, bnLen(bnRest()) != 0)
}

function floatIsInt(): bool {
  if (fMant == 0 || fExp >= 0) return true
  return fExp > -64 && <i32>ctz<u64>(fMant) >= -fExp
}

/** The current float as an integer's magnitude; bits behind the point are dropped. */
function floatToBig(): usize {
  const m = bnFrom(fMant)
  if (fExp >= 0) charge(fExp)
  return fExp >= 0 ? bnShl(m, fExp) : bnShr(m, -fExp)
}

export function bigToNumber(neg: bool, n: usize): usize {
  const bits = bnBits(n)
  if (bits <= 63) return mkInt(neg ? -<i64>bnLow(n) : <i64>bnLow(n))
  if (bits == 64 && neg && bnLow(n) == 0x8000000000000000) return mkInt(i64.MIN_VALUE)
  const digits = bnDigits(n)
  const count = bnDigitCount()
  const out = alloc(count + 1)
  let at = out
  if (neg) store<u8>(at++, 45)
  memory.copy(at, digits, count)
  return mkDecimal(out, count + (neg ? 1 : 0))
}

let sMant: usize = 0
let sCount: u32 = 0
let sExp: i32 = 0

function expansion(n: u64, extra: u64, e: i32): void {
  // n may not fit when shifted left by two, so it arrives as n * 4 + extra.
  const wide = bnAdd(bnShl(bnFrom(n), 2), bnFrom(extra))
  scaled(wide, e)
}
function expansionMinus(n: u64, less: u64, e: i32): void {
  const wide = bnSub(bnShl(bnFrom(n), 2), bnFrom(less))
  scaled(wide, e)
}
function scaled(wide: usize, e: i32): void {
  charge(e < 0 ? -e : e)
  const all = e >= 0 ? bnShl(wide, e) : bnMul(wide, bnPow(5, -e))
  sMant = bnDigits(all)
  sCount = bnDigitCount()
  sExp = <i32>sCount + (e < 0 ? e : 0)
  while (sCount > 1 && load<u8>(sMant + sCount - 1) == 48) sCount--
}

let digitsLen: u32 = 0

/**
 * The fewest digits that read back to the current float, whose mantissa counts in steps of `ulp`
 * (1 for 64 bits, 2048 for a double). The place of the point is left in sExp.
 */
function fewestDigits(ulp: u64): usize {
  const even = ((fMant / ulp) & 1) == 0
  const e = fExp - 2
  const mant = fMant
  if (mant == 0x8000000000000000) expansionMinus(mant, ulp, e)
  else expansionMinus(mant, ulp * 2, e)
  const low = sMant
  const lowCount = sCount
  expansion(mant, ulp * 2, e)
  const up = sMant
  const upCount = sCount
  expansion(mant, 0, e)
  let n = sCount
  const digits = sMant
  for (let i: u32 = 0; i < sCount; i++) {
    const l: u8 = i < lowCount ? load<u8>(low + i) : 48
    const m = load<u8>(digits + i)
    const u: u8 = i < upCount ? load<u8>(up + i) : 48
    const okDown = l != m || (even && i + 1 == lowCount)
    const okUp = m != u && (even || m + 1 < u || i + 1 < upCount)
    if (!okDown && !okUp) continue
    n = i + 1
    let roundUp = !okDown
    if (okDown && okUp) {
      const next: u8 = n < sCount ? load<u8>(digits + n) : 48
      roundUp = next > 53 || (next == 53 && n + 1 < sCount) || (next == 53 && n + 1 == sCount && (m & 1) != 0)
    }
    if (roundUp) {
      while (n && load<u8>(digits + n - 1) == 57) n--
      if (n == 0) {
        store<u8>(digits, 49)
        n = 1
        sExp++
      } else store<u8>(digits + n - 1, load<u8>(digits + n - 1) + 1)
    }
    break
  }
  while (n > 1 && load<u8>(digits + n - 1) == 48) n--
  digitsLen = n
  return digits
}

/** The current float as a number, written with the fewest digits. */
function floatToNumber(): usize {
  if (fMant == 0) {
    if (!fNeg) return mkInt(0)
    const z = alloc(2)
    store<u16>(z, 0x302d)
    return mkDecimal(z, 2)
  }
  const whole = floatIsInt()
  const neg = fNeg
  if (whole && fExp <= 0) return bigToNumber(neg, floatToBig())
  const digits = fewestDigits(1)
  return written(neg, digits, digitsLen, sExp, whole)
}

/** Loads v rounded to a double: the mantissa keeps 53 bits. */
function toDoubleFloat(v: usize): void {
  toFloat(v)
  const rest = fMant & 2047
  fMant -= rest
  if (rest > 1024 || (rest == 1024 && (fMant & 2048) != 0)) {
    fMant += 2048
    if (fMant == 0) {
      fMant = 0x8000000000000000
      fExp++
    }
  }
}

/** The digits of v as a double: the fewest that read back, or all of them. See digitsCount, digitsPoint, digitsNeg. */
export function doubleDigits(v: usize): usize {
  toDoubleFloat(v)
  if (fMant == 0) return zeroDigits()
  return fewestDigits(2048)
}
/** Whether v is beyond what a double can hold. */
export function overflowsDouble(v: usize): bool {
  toDoubleFloat(v)
  return fMant != 0 && fExp + 64 > 1024
}
/** The 53 bits of v as a double, the first of them set; zero for zero. See doubleExponent, digitsNeg. */
export function doubleMantissa(v: usize): u64 {
  toDoubleFloat(v)
  return fMant >> 11
}
/** The power of two of the first bit of doubleMantissa. */
export function doubleExponent(): i32 {
  return fExp + 63
}
export function doubleExact(v: usize): usize {
  toDoubleFloat(v)
  if (fMant == 0) return zeroDigits()
  expansion(fMant, 0, fExp - 2)
  digitsLen = sCount
  return sMant
}
function zeroDigits(): usize {
  const z = alloc(1)
  store<u8>(z, 48)
  digitsLen = 0
  sExp = 0
  return z
}
export function digitsCount(): u32 {
  return digitsLen
}
export function digitsPoint(): i32 {
  return sExp
}
export function digitsNeg(): bool {
  return fNeg
}

/** Digits and the place of the point as text: plain for whole numbers, else as Go's %g. */
function written(neg: bool, digits: usize, n: u32, point: i32, whole: bool): usize {
  const room: u32 = n + 24 + (point > 0 ? <u32>point : <u32>-point)
  const out = alloc(room)
  let at = out
  if (neg) store<u8>(at++, 45)
  const e = point - 1
  if (!whole && (e < -4 || e >= 6)) {
    store<u8>(at++, load<u8>(digits))
    if (n > 1) {
      store<u8>(at++, 46)
      memory.copy(at, digits + 1, n - 1)
      at += n - 1
    }
    store<u8>(at++, 101)
    store<u8>(at++, e < 0 ? 45 : 43)
    const x = e < 0 ? -e : e
    if (x < 10) store<u8>(at++, 48)
    const end = alloc(24) + 24
    const begin = writeInt(x, end)
    memory.copy(at, begin, end - begin)
    at += end - begin
  } else if (point <= 0) {
    store<u16>(at, 0x2e30)
    at += 2
    for (let i = point; i < 0; i++) store<u8>(at++, 48)
    memory.copy(at, digits, n)
    at += n
  } else {
    for (let i = 0; i < point; i++) store<u8>(at++, <u32>i < n ? load<u8>(digits + i) : 48)
    if (n > <u32>point) {
      store<u8>(at++, 46)
      memory.copy(at, digits + point, n - point)
      at += n - point
    }
  }
  return mkDecimal(out, <u32>(at - out))
}

/** A number from text that is known to be one; integers in range are kept as such. */
export function numberFromText(p: usize, n: u32): usize {
  if (n <= 18) {
    let at = p
    const end = p + n
    const neg = load<u8>(at) == 45
    if (neg) at++
    let x: i64 = 0
    let plain = at < end && (load<u8>(at) != 48 || at + 1 == end)
    for (; at < end; at++) {
      const c = <u32>load<u8>(at) - 48
      if (c > 9) {
        plain = false
        break
      }
      x = x * 10 + c
    }
    if (plain && !(neg && x == 0)) return mkInt(neg ? -x : x)
  } else if (n <= 20) {
    let at = p
    const neg = load<u8>(at) == 45
    if (neg) at++
    const end = p + n
    let digits = load<u8>(at) != 48
    for (let q = at; q < end; q++) if (<u32>load<u8>(q) - 48 > 9) digits = false
    if (digits) {
      const big = bnFromDigits(at, <u32>(end - at))
      if (bnBits(big) <= 63) return bigToNumber(neg, big)
    }
  }
  return mkDecimal(p, n)
}

// ---- arithmetic

/** Loads v as an integer: sign in iNeg, magnitude returned; 0 when v is not whole. */
let iNeg = false
export function numNeg(): bool {
  return iNeg
}
export function toBig(v: usize): usize {
  if (!isInt(v)) {
    // Whole numbers are exact however long they are.
    decimal(v)
    if (dCount == 0 || dExp >= <i32>dCount) {
      const neg = dNeg
      const e = dExp - <i32>dCount
      charge(e)
      const digits = bnFromDigits(dDigits, dCount)
      iNeg = neg && dCount != 0
      return dCount == 0 || e == 0 ? digits : bnMul(digits, bnPow(10, e))
    }
    return 0
  }
  toFloat(v)
  if (!floatIsInt()) return 0
  const n = floatToBig()
  iNeg = fNeg && bnLen(n) != 0
  return n
}

/** Whole numbers in 64 bits: intValue() after intFits() said so. */
let whole64: i64 = 0
export function intFits(v: usize): bool {
  if (isInt(v)) {
    whole64 = intOf(v)
    return true
  }
  const n = toBig(v)
  if (!n || bnBits(n) > 63) return false
  whole64 = iNeg ? -<i64>bnLow(n) : <i64>bnLow(n)
  return true
}
/** What serves as an index or a count: written in digits, with nothing but zeros behind a point. */
export function isPlainInt(v: usize): bool {
  if (!isInt(v)) {
    const p = strPtr(v)
    const n = strLen(v)
    if (n - <u32>(load<u8>(p) == 45) > 19) return false
    for (let i: u32 = 0; i < n; i++) if ((load<u8>(p + i) | 32) == 101) return false
  }
  return intFits(v)
}
export function intValue(): i64 {
  return whole64
}

function addBig(aNeg: bool, a: usize, bNeg: bool, b: usize): usize {
  if (aNeg == bNeg) return bigToNumber(aNeg, bnAdd(a, b))
  const c = bnCmp(a, b)
  if (c == 0) return mkInt(0)
  return c > 0 ? bigToNumber(aNeg, bnSub(a, b)) : bigToNumber(bNeg, bnSub(b, a))
}

function addFloats(aNeg: bool, aMant: u64, aExp: i32, bNeg: bool, bMant: u64, bExp: i32): void {
  if (bMant == 0 || aMant == 0) {
    if (aMant == 0 && bMant == 0) {
      fNeg = aNeg && bNeg
      fMant = 0
      fExp = 0
    } else if (bMant == 0) {
      fNeg = aNeg
      fMant = aMant
      fExp = aExp
    } else {
      fNeg = bNeg
      fMant = bMant
      fExp = bExp
    }
    return
  }
  // Two floats further apart than this do not touch each other's digits, except as a sticky bit.
  const far = 200
  if (aExp - bExp > far) {
    bExp = aExp - far
    bMant = 1
  } else if (bExp - aExp > far) {
    aExp = bExp - far
    aMant = 1
  }
  const e = aExp < bExp ? aExp : bExp
  const a = bnShl(bnFrom(aMant), aExp - e)
  const b = bnShl(bnFrom(bMant), bExp - e)
  if (aNeg == bNeg) roundFloat(aNeg, bnAdd(a, b), e, false)
  else {
    const c = bnCmp(a, b)
    if (c == 0) roundFloat(false, bnSub(a, b), e, false)
    else if (c > 0) roundFloat(aNeg, bnSub(a, b), e, false)
    else roundFloat(bNeg, bnSub(b, a), e, false)
  }
}

function addOrSub(x: usize, y: usize, negate: bool): usize {
  const a = toBig(x)
  const aNeg = iNeg
  if (a) {
    const b = toBig(y)
    if (b) return addBig(aNeg, a, negate ? !iNeg : iNeg, b)
  }
  toFloat(x)
  const n = fNeg
  const m = fMant
  const e = fExp
  toFloat(y)
  addFloats(n, m, e, negate ? !fNeg : fNeg, fMant, fExp)
  return floatToNumber()
}

export function numAdd(x: usize, y: usize): usize {
  if (isInt(x) && isInt(y)) {
    const a = intOf(x)
    const b = intOf(y)
    const r = a + b
    if (((a ^ r) & (b ^ r)) >= 0) return mkInt(r)
  }
  return addOrSub(x, y, false)
}

export function numSub(x: usize, y: usize): usize {
  if (isInt(x) && isInt(y)) {
    const a = intOf(x)
    const b = intOf(y)
    const r = a - b
    if (((a ^ b) & (a ^ r)) >= 0) return mkInt(r)
  }
  return addOrSub(x, y, true)
}

const SMALL: i64 = 0x7fffffff

export function numMul(x: usize, y: usize): usize {
  if (isInt(x) && isInt(y)) {
    const a = intOf(x)
    const b = intOf(y)
    if (a <= SMALL && a >= -SMALL && b <= SMALL && b >= -SMALL) return mkInt(a * b)
  }
  const a = toBig(x)
  const aNeg = iNeg
  if (a) {
    const b = toBig(y)
    if (b) {
      const r = bnMul(a, b)
      return bigToNumber(aNeg != iNeg && bnLen(r) != 0, r)
    }
  }
  toFloat(x)
  const n = fNeg
  const m = fMant
  const e = fExp
  toFloat(y)
  roundFloat(n != fNeg, bnMul(bnFrom(m), bnFrom(fMant)), e + fExp, false)
  return floatToNumber()
}

/** 0 when y is zero. */
export function numDiv(x: usize, y: usize): usize {
  if (isInt(x) && isInt(y)) {
    const a = intOf(x)
    const b = intOf(y)
    if (b == 0) return 0
    if (a != 0 && b != -1 && a % b == 0) return mkInt(a / b)
  }
  toFloat(x)
  const n = fNeg
  const m = fMant
  const e = fExp
  toFloat(y)
  if (fMant == 0) return 0
  const neg = n != fNeg
  if (m == 0) {
    fNeg = neg
    fMant = 0
    return floatToNumber()
  }
  const exponent = e - fExp - 128
  const q = bnDiv(bnShl(bnFrom(m), 128), bnFrom(fMant))
  roundFloat(neg, q, exponent, bnLen(bnRest()) != 0)
  return floatToNumber()
}

/** 0 when either is not whole or y is zero. */
export function numRem(x: usize, y: usize): usize {
  if (isInt(x) && isInt(y)) {
    const b = intOf(y)
    if (b == 0) return 0
    return mkInt(b == -1 ? 0 : intOf(x) % b)
  }
  const a = toBig(x)
  const neg = iNeg
  if (!a) return 0
  const b = toBig(y)
  if (!b || bnLen(b) == 0) return 0
  bnDiv(a, b)
  const r = bnRest()
  return bigToNumber(neg && bnLen(r) != 0, r)
}

export function numAbs(v: usize): usize {
  if (isInt(v) && intOf(v) != i64.MIN_VALUE) return intOf(v) < 0 ? mkInt(-intOf(v)) : v
  toFloat(v)
  fNeg = false
  return floatToNumber()
}

/** mode 0: round half away from zero, 1: up, 2: down. */
export function numRound(v: usize, mode: i32): usize {
  if (isInt(v)) return v
  toFloat(v)
  const neg = fNeg
  const isWhole = floatIsInt()
  if (mode == 0) addFloats(fNeg, fMant, fExp, fNeg, 0x8000000000000000, -64)
  const whole = floatToBig()
  if (isWhole || mode == 0) return signed(neg, whole)
  if (mode == 1) return signed(neg, neg ? whole : bnAdd(whole, bnFrom(1)))
  return signed(neg, neg ? bnAdd(whole, bnFrom(1)) : whole)
}

function signed(neg: bool, n: usize): usize {
  roundFloat(neg && bnLen(n) != 0, n, 0, false)
  return floatToNumber()
}

export function isNumber(v: usize): bool {
  return tag(v) == T_NUM
}
