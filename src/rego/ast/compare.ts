// The order of OPA among texts and numbers, as they are written.

export function compareText(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let i = 0; i < shorter; i++) {
    const d = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i))
    if (d !== 0) return d
  }
  return a.length - b.length
}

/** Halves of surrogate pairs come after all other characters, as their bytes do. */
function rank(code: number): number {
  if (code < 0xd800) return code
  return code < 0xe000 ? code + 0x2000 : code - 0x800
}

export function compareLists<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (x: T, y: T) => number,
): number {
  for (const [i, x] of a.entries()) {
    const y = b[i]
    if (y === undefined) return 1
    const order = compare(x, y)
    if (order !== 0) return order
  }
  return a.length - b.length
}

interface Decimal {
  readonly neg: boolean
  readonly digits: string
  readonly point: number
}

/** The digits of a number without zeros at either end, and where its point is. */
export function decimal(text: string): Decimal {
  const [, sign, whole = '', fraction = '', exponent = '0'] =
    /^([-+]?)(\d*)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/.exec(text) ?? []
  const all = whole + fraction
  const lead = /^0*/.exec(all)?.[0].length ?? 0
  const digits = all.slice(lead).replace(/0+$/, '')
  if (digits === '') return { neg: false, digits: '', point: 0 }
  return { neg: sign === '-', digits, point: whole.length - lead + Number(exponent) }
}

/** Equal numbers have equal texts. */
export function normal(text: string): string {
  const { neg, digits, point } = decimal(text)
  return `${neg ? '-' : ''}${digits}e${point}`
}

/** As numbers compare, however they are written. */
export function compareNumbers(a: string, b: string): number {
  const x = decimal(a)
  const y = decimal(b)
  const sign = (d: Decimal) => (d.digits === '' ? 0 : d.neg ? -1 : 1)
  if (sign(x) !== sign(y)) return sign(x) - sign(y)
  const c = x.point - y.point || (x.digits < y.digits ? -1 : x.digits > y.digits ? 1 : 0)
  return sign(x) < 0 ? -c : c
}
