// What a plain YAML scalar is, as go-yaml 2 (which OPA uses) has it: the words of YAML 1.1, octal numbers with a leading
// zero, dates that stay text.

export type Scalar =
  | { readonly kind: 'null' | 'merge' | 'text' | 'date' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }

const spellings = (word: string): string[] => [
  word,
  word[0]?.toUpperCase() + word.slice(1),
  word.toUpperCase(),
]

const WORDS = new Map<string, Scalar>([
  ...['y', 'yes', 'true', 'on']
    .flatMap(spellings)
    .map((word): [string, Scalar] => [word, { kind: 'boolean', value: true }]),
  ...['n', 'no', 'false', 'off']
    .flatMap(spellings)
    .map((word): [string, Scalar] => [word, { kind: 'boolean', value: false }]),
  ...['', '~', ...spellings('null')].map((word): [string, Scalar] => [word, { kind: 'null' }]),
  ...['.nan', '.NaN', '.NAN'].map((word): [string, Scalar] => [
    word,
    { kind: 'float', value: Number.NaN },
  ]),
  ...['.inf', '.Inf', '.INF'].flatMap((word): [string, Scalar][] => [
    [word, { kind: 'float', value: Infinity }],
    [`+${word}`, { kind: 'float', value: Infinity }],
    [`-${word}`, { kind: 'float', value: -Infinity }],
  ]),
  ['<<', { kind: 'merge' }],
])

const TEXT: Scalar = { kind: 'text' }
const INT64_MIN = -(1n << 63n)
const UINT64_MAX = (1n << 64n) - 1n
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/
const DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)| (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?)?$/

export function resolveScalar(source: string): Scalar {
  const word = WORDS.get(source)
  if (word) return word
  const first = source[0] ?? ''
  if (first === '.') return floatOf(source) ?? TEXT
  if (!/[-+\d]/.test(first)) return TEXT
  if (isDate(source)) return { kind: 'date' }
  const plain = source.replaceAll('_', '')
  const value = integerOf(plain)
  if (value !== undefined) return { kind: 'integer', value }
  return FLOAT.test(plain) ? (floatOf(plain) ?? TEXT) : TEXT
}

/** Numbers with colons were numbers once, and so are quoted. */
export function isBase60(source: string): boolean {
  return /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/.test(source)
}

function floatOf(source: string): Scalar | undefined {
  if (!/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(source)) return undefined
  const value = Number(source)
  return Number.isFinite(value) ? { kind: 'float', value } : undefined
}

function integerOf(source: string): bigint | undefined {
  const [, sign = '', digits = ''] = /^([-+]?)(.*)$/.exec(source) ?? []
  const octal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits
  if (!/^(?:0|[1-9]\d*|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/.test(octal)) return undefined
  const value = sign === '-' ? -BigInt(octal) : BigInt(octal)
  if (value < INT64_MIN || value > UINT64_MAX) return undefined
  // What needs all 64 bits is written without a sign.
  return sign === '+' && value > INT64_MIN * -1n - 1n ? undefined : value
}

function isDate(source: string): boolean {
  const found = DATE.exec(source)
  if (!found) return false
  const [year = 0, month = 0, day = 0, ...clock] = found.slice(1).map((part) => Number(part ?? 0))
  const last = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()
  const [hour = 0, minute = 0, second = 0] =
    clock[0] || clock[1] || clock[2] ? clock : clock.slice(3)
  return (
    month >= 1 && month <= 12 && day >= 1 && day <= last && hour < 24 && minute < 60 && second < 60
  )
}
