// Natural numbers of any size: length in 32-bit limbs at +0, limbs behind it, least significant first, no leading zero.
import { alloc, charge } from './memory'

// @ts-ignore: decorator
@inline
export function bnLen(a: usize): u32 {
  return load<u32>(a)
}
// @ts-ignore: decorator
@inline
function limb(a: usize, i: u32): u64 {
  return <u64>load<u32>(a + 4 + (i << 2))
}
// @ts-ignore: decorator
@inline
function setLimb(a: usize, i: u32, x: u32): void {
  store<u32>(a + 4 + (i << 2), x)
}

function bnNew(limbs: u32): usize {
  charge(<i32>limbs)
  const a = alloc(4 + (limbs << 2))
  store<u32>(a, limbs)
  memory.fill(a + 4, 0, limbs << 2)
  return a
}

function trim(a: usize): usize {
  let n = bnLen(a)
  while (n && limb(a, n - 1) == 0) n--
  store<u32>(a, n)
  return a
}

export function bnFrom(x: u64): usize {
  const a = bnNew(2)
  setLimb(a, 0, <u32>x)
  setLimb(a, 1, <u32>(x >> 32))
  return trim(a)
}

/** From decimal digits; other bytes (the decimal point) are skipped. */
export function bnFromDigits(p: usize, n: u32): usize {
  const a = bnNew(n / 9 + 2)
  let used: u32 = 0
  for (let i: u32 = 0; i < n; i++) {
    const c = <u32>load<u8>(p + i) - 48
    if (c > 9) continue
    let carry: u64 = c
    for (let j: u32 = 0; j < used; j++) {
      const x = limb(a, j) * 10 + carry
      setLimb(a, j, <u32>x)
      carry = x >> 32
    }
    if (carry) setLimb(a, used++, <u32>carry)
    charge(<i32>(used >> 2))
  }
  return trim(a)
}

export function bnMulSmall(a: usize, m: u32): usize {
  const n = bnLen(a)
  const r = bnNew(n + 1)
  let carry: u64 = 0
  for (let i: u32 = 0; i < n; i++) {
    const x = limb(a, i) * <u64>m + carry
    setLimb(r, i, <u32>x)
    carry = x >> 32
  }
  setLimb(r, n, <u32>carry)
  return trim(r)
}

export function bnMul(a: usize, b: usize): usize {
  const n = bnLen(a)
  const m = bnLen(b)
  const r = bnNew(n + m)
  for (let i: u32 = 0; i < n; i++) {
    let carry: u64 = 0
    const x = limb(a, i)
    charge(<i32>m)
    for (let j: u32 = 0; j < m; j++) {
      const y = x * limb(b, j) + limb(r, i + j) + carry
      setLimb(r, i + j, <u32>y)
      carry = y >> 32
    }
    setLimb(r, i + m, <u32>carry)
  }
  return trim(r)
}

export function bnAdd(a: usize, b: usize): usize {
  if (bnLen(a) < bnLen(b)) {
    const t = a
    a = b
    b = t
  }
  const n = bnLen(a)
  const m = bnLen(b)
  const r = bnNew(n + 1)
  let carry: u64 = 0
  for (let i: u32 = 0; i < n; i++) {
    const x = limb(a, i) + (i < m ? limb(b, i) : 0) + carry
    setLimb(r, i, <u32>x)
    carry = x >> 32
  }
  setLimb(r, n, <u32>carry)
  return trim(r)
}

/** a - b, where a >= b. */
export function bnSub(a: usize, b: usize): usize {
  const n = bnLen(a)
  const m = bnLen(b)
  const r = bnNew(n)
  let borrow: i64 = 0
  for (let i: u32 = 0; i < n; i++) {
    let x = <i64>limb(a, i) - (i < m ? <i64>limb(b, i) : 0) - borrow
    borrow = x < 0 ? 1 : 0
    if (x < 0) x += 0x100000000
    setLimb(r, i, <u32>x)
  }
  return trim(r)
}

export function bnCmp(a: usize, b: usize): i32 {
  const n = bnLen(a)
  const m = bnLen(b)
  if (n != m) return n < m ? -1 : 1
  for (let i = n; i > 0; i--) {
    const x = limb(a, i - 1)
    const y = limb(b, i - 1)
    if (x != y) return x < y ? -1 : 1
  }
  return 0
}

export function bnBits(a: usize): i32 {
  const n = bnLen(a)
  return n ? <i32>(n * 32) - <i32>clz<u32>(<u32>limb(a, n - 1)) : 0
}

export function bnShl(a: usize, by: u32): usize {
  const n = bnLen(a)
  const words = by >> 5
  const bits = by & 31
  const r = bnNew(n + words + 1)
  let carry: u64 = 0
  for (let i: u32 = 0; i < n; i++) {
    const x = (limb(a, i) << <u64>bits) | carry
    setLimb(r, i + words, <u32>x)
    carry = x >> 32
  }
  setLimb(r, n + words, <u32>carry)
  return trim(r)
}

export function bnShr(a: usize, by: u32): usize {
  const n = bnLen(a)
  const words = by >> 5
  if (words >= n) return bnNew(0)
  const bits = by & 31
  const r = bnNew(n - words)
  for (let i = words; i < n; i++) {
    const high = i + 1 < n ? limb(a, i + 1) : 0
    setLimb(r, i - words, <u32>(((high << 32) | limb(a, i)) >> <u64>bits))
  }
  return trim(r)
}

/** Whether any of the lowest `bits` bits is set. */
export function bnSticky(a: usize, bits: u32): bool {
  const n = bnLen(a)
  const words = bits >> 5
  for (let i: u32 = 0; i < words && i < n; i++) if (limb(a, i)) return true
  return words < n && (<u32>limb(a, words) & ((1 << (bits & 31)) - 1)) != 0
}

/** The lowest 64 bits. */
export function bnLow(a: usize): u64 {
  const n = bnLen(a)
  return (n > 0 ? limb(a, 0) : 0) | (n > 1 ? limb(a, 1) << 32 : 0)
}

/** Divides in place by a small number and returns the rest. */
function divSmall(a: usize, d: u32): u32 {
  let rest: u64 = 0
  for (let i = bnLen(a); i > 0; i--) {
    const x = (rest << 32) | limb(a, i - 1)
    setLimb(a, i - 1, <u32>(x / d))
    rest = x % d
  }
  trim(a)
  return <u32>rest
}

let remainder: usize = 0
/** The rest of the last division. */
export function bnRest(): usize {
  return remainder
}

/** a / b; the rest is in bnRest(). Knuth's algorithm D, The Art of Computer Programming 4.3.1. */
export function bnDiv(a: usize, b: usize): usize {
  if (bnCmp(a, b) < 0) {
    remainder = a
    return bnNew(0)
  }
  const n = bnLen(b)
  if (n == 1) {
    const q = bnShl(a, 0)
    remainder = bnFrom(<u64>divSmall(q, <u32>limb(b, 0)))
    return q
  }
  const shift = clz<u32>(<u32>limb(b, n - 1))
  const v = bnShl(b, shift)
  const shifted = bnShl(a, shift)
  const m = bnLen(a) - n
  const u = bnNew(bnLen(a) + 1)
  memory.copy(u + 4, shifted + 4, bnLen(shifted) << 2)
  const q = bnNew(m + 1)
  const v1 = limb(v, n - 1)
  const v2 = limb(v, n - 2)
  for (let j = <i32>m; j >= 0; j--) {
    charge(<i32>n)
    const top = (limb(u, <u32>j + n) << 32) | limb(u, <u32>j + n - 1)
    let qh = top / v1
    let rh = top % v1
    while (qh >> 32 || qh * v2 > ((rh << 32) | limb(u, <u32>j + n - 2))) {
      qh--
      rh += v1
      if (rh >> 32) break
    }
    let borrow: i64 = 0
    let carry: u64 = 0
    for (let i: u32 = 0; i < n; i++) {
      const p = qh * limb(v, i) + carry
      carry = p >> 32
      const t = <i64>limb(u, <u32>j + i) - borrow - <i64>(p & 0xffffffff)
      setLimb(u, <u32>j + i, <u32>t)
      borrow = t < 0 ? 1 : 0
    }
    const t = <i64>limb(u, <u32>j + n) - borrow - <i64>carry
    setLimb(u, <u32>j + n, <u32>t)
    if (t < 0) {
      qh--
      let c: u64 = 0
      for (let i: u32 = 0; i < n; i++) {
        const s = limb(u, <u32>j + i) + limb(v, i) + c
        setLimb(u, <u32>j + i, <u32>s)
        c = s >> 32
      }
      setLimb(u, <u32>j + n, <u32>(limb(u, <u32>j + n) + c))
    }
    setLimb(q, <u32>j, <u32>qh)
  }
  remainder = bnShr(trim(u), shift)
  return trim(q)
}

export function bnPow(base: u32, e: u32): usize {
  let r = bnFrom(1)
  let square = bnFrom(base)
  while (e) {
    if (e & 1) r = bnMul(r, square)
    e >>= 1
    if (e) square = bnMul(square, square)
  }
  return r
}

/** Decimal digits: writes them to new memory, the count is in bnDigitCount(). */
let digitCount: u32 = 0
export function bnDigitCount(): u32 {
  return digitCount
}
export function bnDigits(source: usize): usize {
  const a = bnShl(source, 0)
  const room = bnLen(a) * 10 + 1
  const out = alloc(room)
  let at = out + room
  charge(<i32>(bnLen(a) * bnLen(a)))
  while (bnLen(a)) {
    let rest = divSmall(a, 1000000000)
    for (let i = 0; i < 9; i++) {
      if (rest == 0 && bnLen(a) == 0) break
      store<u8>(--at, <u8>(48 + (rest % 10)))
      rest /= 10
    }
  }
  if (at == out + room) store<u8>(--at, 48)
  digitCount = <u32>(out + room - at)
  return at
}
