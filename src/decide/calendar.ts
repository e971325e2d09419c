/** A moment on the clock of a place. */
export interface LocalTime {
  /** 0 is Monday. */
  readonly day: number
  /** Minutes since midnight. */
  readonly minute: number
}

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof DAYS)[number]

const MINUTE_MS = 60_000

/** Reads the clock of an IANA time zone; undefined when there is no such zone. */
export function localClock(timezone: string): ((ms: number) => LocalTime) | undefined {
  const format = formatFor(timezone)
  if (!format) return undefined
  // Formatting costs microseconds and the answer changes once a minute.
  let [lastMinute, last]: [number, LocalTime] = [Number.NaN, { day: 0, minute: 0 }]
  return (ms) => {
    const minute = Math.floor(ms / MINUTE_MS)
    if (minute !== lastMinute) [lastMinute, last] = [minute, read(format, ms)]
    return last
  }
}

function formatFor(timeZone: string): Intl.DateTimeFormat | undefined {
  const parts = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone, ...parts })
  } catch {
    return undefined
  }
}

function read(format: Intl.DateTimeFormat, ms: number): LocalTime {
  const parts = new Map(format.formatToParts(ms).map((part) => [part.type, part.value]))
  const day = DAYS.indexOf((parts.get('weekday') ?? '').toLowerCase() as Day)
  const minute = Number(parts.get('hour')) * 60 + Number(parts.get('minute'))
  if (day < 0 || Number.isNaN(minute)) throw new Error('the local time cannot be read')
  return { day, minute }
}

/** A span of the day on some days of the week; one that ends before it starts goes past midnight. */
export interface Span {
  readonly days: ReadonlySet<number>
  readonly from: number
  readonly to: number
}

export const DAY_MINUTES = 24 * 60

/** Whether a moment lies in a span. Past midnight, the day on which the span began counts. */
export function isWithin({ days, from, to }: Span, { day, minute }: LocalTime): boolean {
  if (from < to) return days.has(day) && minute >= from && minute < to
  if (minute >= from) return days.has(day)
  return minute < to && days.has((day + 6) % 7)
}

/** `HH:MM` as minutes since midnight. */
export const minutesOf = (text: string): number =>
  Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5))

/** Day names as numbers; absent: every day. */
export const daysOf = (names: readonly Day[] | undefined): ReadonlySet<number> =>
  new Set((names ?? DAYS).map((name) => DAYS.indexOf(name)))
