import { visible } from './exit.ts'

const CELL_CHARS_MAX = 60

/** Rows under a head, in columns as wide as what they hold; what others wrote cannot steer the terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows.map((row) => row.map(cell))]
  const widths = head.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)))
  return cells
    .map((row) =>
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Names and values, one a line; an empty value is left out. */
export function listing(members: readonly (readonly [name: string, value: string])[]): string {
  const shown = members.filter(([, value]) => value !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown
    .map(([name, value]) => {
      const lines = visible(value).split('\n')
      return `${name.padEnd(width)}  ${lines.join(`\n${' '.repeat(width + 2)}`)}`
    })
    .join('\n')
}

/** A value on one line, cut where it would run on. */
export function cell(value: unknown): string {
  const text = visible(typeof value === 'string' ? value : JSON.stringify(value))
  const line = text.replaceAll(/\s+/g, ' ')
  return line.length > CELL_CHARS_MAX ? `${line.slice(0, CELL_CHARS_MAX - 1)}…` : line
}

/** `2026-11-27 14:03:22`, in the time zone of whoever reads it. */
export function time(at: string | null): string {
  if (at === null) return ''
  const date = new Date(at)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}
