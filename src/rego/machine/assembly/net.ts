// net.cidr_contains, hot in policies: addresses as 16 bytes, IPv4 mapped into them.
import { alloc, charge } from './memory'
import { wrongType, noAnswer } from './errors'
import { T_STR, tag, truth, strPtr, strLen } from './value'

/** Reads four decimal octets; false when that is not what stands there. */
function readV4(p: usize, n: u32, to: usize): bool {
  let i: u32 = 0
  for (let part: u32 = 0; part < 4; part++) {
    let x: u32 = 0
    const from = i
    while (i < n && <u32>load<u8>(p + i) - 48 <= 9) {
      x = x * 10 + <u32>load<u8>(p + i) - 48
      if (x > 255) return false
      i++
    }
    if (i == from || (i - from > 1 && load<u8>(p + from) == 48)) return false
    store<u8>(to + part, <u8>x)
    if (part < 3) {
      if (i >= n || load<u8>(p + i) != 46) return false
      i++
    }
  }
  return i == n
}

function readV6(p: usize, n: u32, to: usize): bool {
  memory.fill(to, 0, 16)
  let parts: u32 = 0
  let gap: i32 = -1
  let i: u32 = 0
  if (n >= 2 && load<u16>(p) == 0x3a3a) {
    gap = 0
    i = 2
  }
  while (i < n) {
    if (parts >= 8) return false
    let x: u32 = 0
    const from = i
    while (i < n) {
      const c = <u32>load<u8>(p + i)
      const d: u32 = c - 48 <= 9 ? c - 48 : (c | 32) - 97 <= 5 ? (c | 32) - 87 : 99
      if (d > 15) break
      x = (x << 4) | d
      i++
      if (i - from > 4) return false
    }
    if (i < n && load<u8>(p + i) == 46) {
      if (parts > 6) return false
      if (!readV4(p + from, n - from, to + parts * 2)) return false
      parts += 2
      i = n
      break
    }
    if (i == from) return false
    store<u8>(to + parts * 2, <u8>(x >> 8))
    store<u8>(to + parts * 2, <u8>x, 1)
    parts++
    if (i == n) break
    if (load<u8>(p + i) != 58) return false
    i++
    if (i == n) return false
    if (load<u8>(p + i) == 58) {
      if (gap >= 0) return false
      gap = <i32>parts
      i++
    }
  }
  if (gap >= 0) {
    if (parts >= 8) return false
    const tail = (parts - <u32>gap) * 2
    const from = to + <u32>gap * 2
    memory.copy(to + 16 - tail, from, tail)
    memory.fill(from, 0, 16 - tail - <u32>gap * 2)
    return true
  }
  return parts == 8
}

/** Reads an address into 16 bytes; 4 or 6, or 0 when it is none. */
function readIp(p: usize, n: u32, to: usize): i32 {
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i)
    if (c == 58) return readV6(p, n, to) ? 6 : 0
    if (c == 46) break
  }
  memory.fill(to, 0, 10)
  store<u16>(to, 0xffff, 10)
  return readV4(p, n, to + 12) ? 4 : 0
}

let bits: i32 = 0
/** Reads `address/length`; the prefix length in terms of 16 bytes is left in `bits`. */
function readCidr(p: usize, n: u32, to: usize): bool {
  let slash: u32 = 0
  while (slash < n && load<u8>(p + slash) != 47) slash++
  if (slash == n) return false
  const family = readIp(p, slash, to)
  if (!family) return false
  let x: i32 = 0
  if (slash + 1 == n || n - slash > 4) return false
  for (let i = slash + 1; i < n; i++) {
    const d = <i32>load<u8>(p + i) - 48
    if (d < 0 || d > 9) return false
    x = x * 10 + d
  }
  if (n - slash > 2 && load<u8>(p + slash + 1) == 48) return false
  if (x > (family == 4 ? 32 : 128)) return false
  bits = family == 4 ? x + 96 : x
  return true
}

function sameBits(a: usize, b: usize, n: i32): bool {
  const whole = n >> 3
  if (memory.compare(a, b, whole) != 0) return false
  const rest = n & 7
  return rest == 0 || (load<u8>(a + whole) ^ load<u8>(b + whole)) >> <u8>(8 - rest) == 0
}

export function b_net_cidr_contains(cidr: usize, other: usize): usize {
  if (tag(cidr) != T_STR || tag(other) != T_STR) return wrongType()
  charge(8)
  const a = alloc(32)
  const b = a + 16
  if (!readCidr(strPtr(cidr), strLen(cidr), a)) return noAnswer()
  const outer = bits
  if (readIp(strPtr(other), strLen(other), b)) return truth(sameFamily(a, b, outer) && sameBits(a, b, outer))
  if (!readCidr(strPtr(other), strLen(other), b)) return noAnswer()
  return truth(bits >= outer && sameBits(a, b, outer))
}
function sameFamily(a: usize, b: usize, outer: i32): bool {
  return outer >= 96 || load<u64>(a) != 0 || load<u64>(b) != 0 || load<u32>(a + 8) == load<u32>(b + 8)
}
