// Rows as RFC 4180 has them, for whoever opens them in a spreadsheet: there, a cell that begins like a formula is one, and
// what agents write would be run by who reads it. Such a cell gets an apostrophe in front, which spreadsheets do not show.

const FORMULA = /^[=+\-@\t\r]/
const QUOTED = /[",\r\n]/

/** One row with its end. */
export const csvLine = (cells: readonly string[]): string => `${cells.map(cell).join(',')}\r\n`

function cell(text: string): string {
  const harmless = FORMULA.test(text) ? `'${text}` : text
  return QUOTED.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
