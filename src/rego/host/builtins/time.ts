import { isArray, Num, num, toBigInt, type Value } from '../value.ts'
import { type Family, fail, int, text, wrongType } from './kind.ts'
import { abbreviation } from './zones.ts'

// Times as Go counts them: nanoseconds since 1970 in 64 bits, in the proleptic Gregorian calendar of any year, written by layouts
// that show one particular moment. `Date` has neither the range nor the resolution, so calendars are reckoned with bigints
// here; only what a zone's offset was at an instant is asked of `Intl`, which brings the zone database.

const SECOND = 1_000_000_000n
const INT64_MAX = (1n << 63n) - 1n
const INT64_MIN = -(1n << 63n)
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const LAYOUTS: Readonly<Record<string, string>> = {
  ANSIC: 'Mon Jan _2 15:04:05 2006',
  UnixDate: 'Mon Jan _2 15:04:05 MST 2006',
  RubyDate: 'Mon Jan 02 15:04:05 -0700 2006',
  RFC822: '02 Jan 06 15:04 MST',
  RFC822Z: '02 Jan 06 15:04 -0700',
  RFC850: 'Monday, 02-Jan-06 15:04:05 MST',
  RFC1123: 'Mon, 02 Jan 2006 15:04:05 MST',
  RFC1123Z: 'Mon, 02 Jan 2006 15:04:05 -0700',
  RFC3339: '2006-01-02T15:04:05Z07:00',
  RFC3339Nano: '2006-01-02T15:04:05.999999999Z07:00',
}

function floorDiv(a: bigint, b: bigint): bigint {
  const q = a / b
  return a % b !== 0n && a < 0n !== b < 0n ? q - 1n : q
}
function mod(a: bigint, b: bigint): bigint {
  return a - floorDiv(a, b) * b
}

function inRange(ns: bigint, what: string): bigint {
  return ns > INT64_MAX || ns < INT64_MIN ? fail(what) : ns
}

interface Civil {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly nano: number
}

/** Days since 1970-01-01 of a date in the Gregorian calendar, any year. */
function daysOf(year: number, month: number, day: number): bigint {
  const y = BigInt(month <= 2 ? year - 1 : year)
  const era = floorDiv(y, 400n)
  const yoe = y - era * 400n
  const doy = BigInt(Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1)
  const doe = yoe * 365n + yoe / 4n - yoe / 100n + doy
  return era * 146097n + doe - 719468n
}
function civilOf(ns: bigint): Civil {
  const seconds = floorDiv(ns, SECOND)
  const days = floorDiv(seconds, 86400n)
  const rest = Number(mod(seconds, 86400n))
  const z = days + 719468n
  const era = floorDiv(z, 146097n)
  const doe = z - era * 146097n
  const yoe = (doe - doe / 1460n + doe / 36524n - doe / 146096n) / 365n
  const doy = doe - (365n * yoe + yoe / 4n - yoe / 100n)
  const mp = (5n * doy + 2n) / 153n
  const month = Number(mp < 10n ? mp + 3n : mp - 9n)
  return {
    year: Number(yoe + era * 400n) + (month <= 2 ? 1 : 0),
    month,
    day: Number(doy - (153n * mp + 2n) / 5n + 1n),
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    nano: Number(mod(ns, SECOND)),
  }
}
/** Like Go's time.Date: months and days out of range carry over. */
function nanos(c: Civil): bigint {
  const months = c.year * 12 + (c.month - 1)
  const year = Math.floor(months / 12)
  const days = daysOf(year, months - year * 12 + 1, 1) + BigInt(c.day - 1)
  return (
    ((days * 24n + BigInt(c.hour)) * 60n + BigInt(c.minute)) * 60n * SECOND +
    BigInt(c.second) * SECOND +
    BigInt(c.nano)
  )
}

const formats = new Map<string, Intl.DateTimeFormat>()
/** Offset of a time zone from UTC in seconds at an instant. */
function offsetOf(zone: string, ns: bigint): number {
  if (zone === '' || zone === 'UTC') return 0
  let format = formats.get(zone)
  if (!format) {
    try {
      format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        calendar: 'iso8601',
        hourCycle: 'h23',
        era: 'short',
        year: 'numeric',
        month: 'numeric',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
        second: 'numeric',
      })
    } catch {
      return fail(`unknown time zone ${zone}`)
    }
    formats.set(zone, format)
  }
  const ms = Number(floorDiv(ns, 1_000_000n))
  const at: Record<string, number> = {}
  for (const { type, value } of format.formatToParts(ms)) at[type] = Number(value)
  const local = Date.UTC(
    at['year'] ?? 0,
    (at['month'] ?? 1) - 1,
    at['day'] ?? 1,
    at['hour'] ?? 0,
    at['minute'] ?? 0,
    at['second'] ?? 0,
  )
  return Math.round((local - Math.floor(ms / 1000) * 1000) / 1000)
}

interface Moment {
  readonly ns: bigint
  readonly zone: string
  readonly layout: string | undefined
}

function moment(v: Value | undefined, position = 1): Moment {
  if (v instanceof Num) return { ns: range(v), zone: 'UTC', layout: undefined }
  if (!isArray(v)) return wrongType(position, v, 'number', 'array')
  const [ns, zone, layout] = v
  if (v.length === 0) return wrongType(position, v, 'array')
  if (!(ns instanceof Num)) return wrongType(position, ns, 'number')
  const name = v.length > 1 ? text(zone, position) : 'UTC'
  const place = name === 'Local' || name === '' ? 'UTC' : name
  offsetOf(place, 0n)
  return {
    ns: range(ns),
    zone: place,
    layout: layout === undefined ? undefined : text(layout, position),
  }
}
function range(v: Num): bigint {
  return inRange(toBigInt(v) ?? fail('timestamp too big'), 'timestamp too big')
}

function local({ ns, zone }: Moment): Civil {
  return civilOf(ns + BigInt(offsetOf(zone, ns)) * SECOND)
}

function weekday(c: Civil): number {
  return Number(mod(daysOf(c.year, c.month, c.day) + 4n, 7n))
}

const DURATION = /([+-]?)(\d*\.?\d*)(ns|us|µs|μs|ms|s|m|h|d|w|y)/y
const UNIT: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: SECOND,
  m: 60n * SECOND,
  h: 3600n * SECOND,
  d: 86_400n * SECOND,
  w: 7n * 86_400n * SECOND,
  y: 365n * 86_400n * SECOND,
}
function parseDuration(source: string): Value {
  const sign = source.startsWith('-') ? -1n : 1n
  const body = source.replace(/^[+-]/, '')
  if (body === '0') return num(0)
  let at = 0
  let total = 0n
  while (at < body.length) {
    DURATION.lastIndex = at
    const match = DURATION.exec(body)
    if (!match || match[1] !== '' || !/\d/.test(match[2] ?? ''))
      return fail(`time: invalid duration "${source}"`)
    const [whole = '', fraction = ''] = (match[2] ?? '').split('.')
    const unit = UNIT[match[3] ?? ''] ?? 1n
    total += BigInt(whole === '' ? 0 : whole) * unit
    if (fraction !== '') total += (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length)
    at = DURATION.lastIndex
  }
  if (body === '' || total > INT64_MAX) return fail(`time: invalid duration "${source}"`)
  return num(sign * total)
}

// ---- Go's layouts

const PARTS =
  /January|Jan|Monday|Mon|MST|2006|Z070000|Z07:00:00|Z0700|Z07:00|Z07|-070000|-07:00:00|-0700|-07:00|-07|__2|_2(?!006)|002|01|02|03|04|05|06|15|PM|pm|[.,]0+(?!\d)|[.,]9+(?!\d)|1|2|3|4|5/g

function layoutParts(layout: string): (string | { readonly std: string })[] {
  const found: (string | { std: string })[] = []
  let at = 0
  for (const match of layout.matchAll(PARTS)) {
    if (match.index > at) found.push(layout.slice(at, match.index))
    found.push({ std: match[0] })
    at = match.index + match[0].length
  }
  found.push(layout.slice(at))
  return found
}

function pad(n: number, width: number): string {
  return String(n).padStart(width, '0')
}
function zoneText(std: string, offset: number): string {
  if (std.startsWith('Z') && offset === 0) return 'Z'
  const body = std.slice(1)
  const sign = offset < 0 ? '-' : '+'
  const abs = Math.abs(offset)
  const colon = body.includes(':') ? ':' : ''
  const parts = [pad(Math.floor(abs / 3600), 2)]
  if (body.length > 2) parts.push(pad(Math.floor(abs / 60) % 60, 2))
  if (body.length > 5) parts.push(pad(abs % 60, 2))
  return sign + parts.join(colon)
}

function formatTime(m: Moment, layout: string): string {
  const c = local(m)
  const offset = offsetOf(m.zone, m.ns)
  const hour12 = c.hour % 12 === 0 ? 12 : c.hour % 12
  const one = (std: string): string => {
    switch (std) {
      case 'January':
        return MONTHS[c.month - 1] ?? ''
      case 'Jan':
        return (MONTHS[c.month - 1] ?? '').slice(0, 3)
      case '01':
        return pad(c.month, 2)
      case '1':
        return String(c.month)
      case 'Monday':
        return DAYS[weekday(c)] ?? ''
      case 'Mon':
        return (DAYS[weekday(c)] ?? '').slice(0, 3)
      case '02':
        return pad(c.day, 2)
      case '_2':
        return String(c.day).padStart(2)
      case '2':
        return String(c.day)
      case '002':
      case '__2': {
        const day = Number(daysOf(c.year, c.month, c.day) - daysOf(c.year, 1, 1)) + 1
        return std === '002' ? pad(day, 3) : String(day).padStart(3)
      }
      case '15':
        return pad(c.hour, 2)
      case '03':
        return pad(hour12, 2)
      case '3':
        return String(hour12)
      case '04':
        return pad(c.minute, 2)
      case '4':
        return String(c.minute)
      case '05':
        return pad(c.second, 2)
      case '5':
        return String(c.second)
      case '2006':
        return c.year < 0 ? `-${pad(-c.year, 4)}` : pad(c.year, 4)
      case '06':
        return pad(((c.year % 100) + 100) % 100, 2)
      case 'PM':
        return c.hour >= 12 ? 'PM' : 'AM'
      case 'pm':
        return c.hour >= 12 ? 'pm' : 'am'
      case 'MST':
        return zoneName(m, offset)
      default:
    }
    if (/^[.,]0/.test(std)) return (std[0] ?? '') + pad(c.nano, 9).slice(0, std.length - 1)
    if (/^[.,]9/.test(std)) {
      const digits = pad(c.nano, 9)
        .slice(0, std.length - 1)
        .replace(/0+$/, '')
      return digits === '' ? '' : (std[0] ?? '') + digits
    }
    return zoneText(std, offset)
  }
  return layoutParts(layout)
    .map((part) => (typeof part === 'string' ? part : one(part.std)))
    .join('')
}

function zoneName({ zone }: Moment, offset: number): string {
  if (zone === 'UTC') return 'UTC'
  return abbreviation(zone, offset) ?? zoneText(offset % 3600 === 0 ? '-07' : '-0700', offset)
}

function parseTime(layout: string, source: string): bigint {
  let at = 0
  const bad = (): never => fail(`parsing time "${source}" as "${layout}": cannot parse`)
  const take = (pattern: RegExp): string => {
    const match = pattern.exec(source.slice(at))
    if (!match || match.index !== 0) return bad()
    at += match[0].length
    return match[0]
  }
  let c = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0, nano: 0 }
  let offset = 0
  let zone: string | undefined
  let pm: boolean | undefined
  let yearDay = 0
  const name = (list: readonly string[], short: boolean): number => {
    const i = list.findIndex((n) =>
      source
        .slice(at)
        .toLowerCase()
        .startsWith((short ? n.slice(0, 3) : n).toLowerCase()),
    )
    if (i < 0) return bad()
    at += short ? 3 : (list[i] ?? '').length
    return i
  }
  const two = () => Number(take(/\d{2}/))
  const loose = () => Number(take(/\d{1,2}/))
  const fraction = (digits: string) => Number(digits.slice(1, 10).padEnd(9, '0'))
  for (const part of layoutParts(layout)) {
    if (typeof part === 'string') {
      const text = part.replace(/ +/g, ' ')
      if (
        !source
          .slice(at)
          .replace(/^ +/, ' ')
          .startsWith(text.startsWith(' ') ? text : text)
      ) {
        if (!source.startsWith(part, at)) bad()
      }
      at += source.startsWith(part, at)
        ? part.length
        : (/^ */.exec(source.slice(at))?.[0].length ?? 0) + text.trimStart().length
      continue
    }
    const { std } = part
    if (std === '2006') c = { ...c, year: Number(take(/\d{4}/)) }
    else if (std === '06') {
      const y = two()
      c = { ...c, year: y >= 69 ? 1900 + y : 2000 + y }
    } else if (std === 'January') c = { ...c, month: name(MONTHS, false) + 1 }
    else if (std === 'Jan') c = { ...c, month: name(MONTHS, true) + 1 }
    else if (std === '01') c = { ...c, month: two() }
    else if (std === '1') c = { ...c, month: loose() }
    else if (std === 'Monday') name(DAYS, false)
    else if (std === 'Mon') name(DAYS, true)
    else if (std === '02') c = { ...c, day: two() }
    else if (std === '_2' || std === '2') {
      if (std === '_2' && source[at] === ' ') at++
      c = { ...c, day: loose() }
    } else if (std === '002' || std === '__2') yearDay = Number(take(/\s*\d{1,3}/))
    else if (std === '15') c = { ...c, hour: two() }
    else if (std === '03') c = { ...c, hour: two() }
    else if (std === '3') c = { ...c, hour: loose() }
    else if (std === '04') c = { ...c, minute: two() }
    else if (std === '4') c = { ...c, minute: loose() }
    else if (std === '05' || std === '5') {
      c = { ...c, second: std === '05' ? two() : loose() }
      // A fraction may follow the seconds even where the layout has none.
      const extra = /^[.,]\d+/.exec(source.slice(at))
      const next = layout.slice(layout.indexOf(std) + std.length)
      if (extra && !/^[.,][09]/.test(next)) {
        c = { ...c, nano: fraction(extra[0]) }
        at += extra[0].length
      }
    } else if (std === 'PM' || std === 'pm') pm = take(/[AaPp][Mm]/).toLowerCase() === 'pm'
    else if (std === 'MST') {
      zone = take(/[A-Z]{3,5}|[+-]\d{2,4}/)
    } else if (/^[.,]0/.test(std))
      c = { ...c, nano: fraction(take(new RegExp(`[.,]\\d{${std.length - 1}}`))) }
    else if (/^[.,]9/.test(std)) {
      const extra = /^[.,]\d+/.exec(source.slice(at))
      if (extra) {
        c = { ...c, nano: fraction(extra[0]) }
        at += extra[0].length
      }
    } else if (std.startsWith('Z') && source[at] === 'Z') at++
    else {
      const body = std.slice(1)
      const pattern =
        body === '07'
          ? /[+-]\d{2}/
          : body.includes(':')
            ? body.length > 5
              ? /[+-]\d{2}:\d{2}:\d{2}/
              : /[+-]\d{2}:\d{2}/
            : body.length > 4
              ? /[+-]\d{6}/
              : /[+-]\d{4}/
      const digits = take(pattern)
      const plain = digits.slice(1).replaceAll(':', '').padEnd(6, '0')
      offset =
        (Number(plain.slice(0, 2)) * 3600 +
          Number(plain.slice(2, 4)) * 60 +
          Number(plain.slice(4, 6))) *
        (digits[0] === '-' ? -1 : 1)
    }
  }
  if (at < source.length) fail(`parsing time "${source}": extra text: "${source.slice(at)}"`)
  if (pm !== undefined) c = { ...c, hour: pm ? (c.hour % 12) + 12 : c.hour % 12 }
  if (yearDay > 0) c = { ...c, month: 1, day: yearDay }
  const last = new Date(Date.UTC(2000 + (((c.year % 400) + 400) % 400), c.month, 0)).getUTCDate()
  if (yearDay === 0 && (c.month < 1 || c.month > 12 || c.day < 1 || c.day > last))
    fail(`parsing time "${source}": day out of range`)
  if (c.hour > 23 || c.minute > 59 || c.second > 59)
    fail(`parsing time "${source}": hour out of range`)
  void zone
  return inRange(nanos(c) - BigInt(offset) * SECOND, 'time outside of valid range')
}

function diff(a: Moment, b: Moment): Value {
  // Both in the zone of the first; the earlier one is subtracted, field by field.
  const zone = a.zone
  let [from, to] = [
    { ...a, zone },
    { ...b, zone },
  ]
  if (from.ns > to.ns) [from, to] = [to, from]
  const x = local(from)
  const y = local(to)
  let year = y.year - x.year
  let month = y.month - x.month
  let day = y.day - x.day
  let hour = y.hour - x.hour
  let minute = y.minute - x.minute
  let second = y.second - x.second
  if (second < 0) {
    second += 60
    minute--
  }
  if (minute < 0) {
    minute += 60
    hour--
  }
  if (hour < 0) {
    hour += 24
    day--
  }
  if (day < 0) {
    const lengthOf = new Date(Date.UTC(x.year, x.month, 0)).getUTCDate()
    day += lengthOf
    month--
  }
  if (month < 0) {
    month += 12
    year--
  }
  return [year, month, day, hour, minute, second].map((n) => num(n))
}

let frozen: bigint | undefined
/** All calls within one turn of the event loop see one clock: an evaluation is synchronous. */
function now(): bigint {
  if (frozen === undefined) {
    frozen = BigInt(Date.now()) * 1_000_000n
    queueMicrotask(() => {
      frozen = undefined
    })
  }
  return frozen
}
export { now }

export const time: Family = {
  'time.now_ns': () => num(now()),
  'time.parse_ns': (layout, s) =>
    num(parseTime(LAYOUTS[text(layout, 1)] ?? text(layout, 1), text(s, 2))),
  'time.parse_rfc3339_ns': (s) => {
    const source = text(s, 1)
    return num(parseTime('2006-01-02T15:04:05Z07:00', source))
  },
  'time.parse_duration_ns': (s) => parseDuration(text(s, 1)),
  'time.date': (v) => {
    const { year, month, day } = local(moment(v))
    return [num(year), num(month), num(day)]
  },
  'time.clock': (v) => {
    const { hour, minute, second } = local(moment(v))
    return [num(hour), num(minute), num(second)]
  },
  'time.weekday': (v) => DAYS[weekday(local(moment(v)))] ?? '',
  'time.add_date': (ns, y, m, d) => {
    const base = moment(ns)
    const c = civilOf(base.ns)
    const sum = nanos({
      ...c,
      year: c.year + int(y, 2),
      month: c.month + int(m, 3),
      day: c.day + int(d, 4),
    })
    return num(inRange(sum, 'time outside of valid range'))
  },
  'time.diff': (a, b) => diff(moment(a, 1), moment(b, 2)),
  'time.format': (v) => {
    const m = moment(v)
    const layout = m.layout === undefined ? 'RFC3339Nano' : m.layout
    return formatTime(m, LAYOUTS[layout] ?? layout)
  },
}
