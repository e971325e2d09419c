// Which expressions decided: what a trace build with values saw in one evaluation, in the words of the source.
import type { Compiled } from './compile.ts'
import type { Loaded, PointCount, TraceValue } from './host/load.ts'
import type { TracePoint } from './planner/points.ts'

/** One expression of a rule (or of the query) that was reached. */
export interface Expression {
  readonly file: string
  readonly row: number
  readonly col: number
  /** The rule it stands in and the line where that begins; absent in a query. */
  readonly rule?: { readonly path: string; readonly row: number }
  readonly text: string
  /** `undefined`: something in it had no value, which is not the same as false. */
  readonly outcome: 'true' | 'false' | 'undefined'
  /** How often it was reached and how often it held: more than once inside a loop. */
  readonly reached: number
  readonly held: number
  /** What was in it: when it held first, else when it was reached last. */
  readonly values: Readonly<Record<string, unknown>>
  /** What in it had no value. */
  readonly missing: readonly string[]
  /** Names of values too long to show; theirs is the beginning of the JSON text. */
  readonly cut: readonly string[]
}

/** Longer than this, the JSON text of a value or the text of an expression is cut. */
const SHOWN_MAX = 200

/** Reads what the last evaluation of a build with `trace: 'values'` saw. Call `resetTrace` before that evaluation. */
export function expressionsOf(
  { tracePoints }: Pick<Compiled, 'tracePoints'>,
  loaded: Loaded,
  sources: Readonly<Record<string, string>>,
): Expression[] {
  const counts = loaded.trace()
  const values = loaded.traceValues()
  const texts = new Texts(sources)
  const found = new Map<string, Seen>()
  for (const [at, point] of tracePoints.entries()) {
    const count = counts[at]
    if (!count || count.reached === 0 || point.kind === 'generated') continue
    if (texts.at(point) === undefined) continue
    const key = `${point.file}:${point.row}:${point.col}:${point.length}`
    found.set(key, merged(found.get(key), { point, count }))
  }
  return [...found.values()].sort(byPlace).map((one) => described(one, values, texts))
}

interface Seen {
  readonly point: TracePoint
  readonly count: PointCount
}

/** One place is planned several times when a `with` changes what it means; what held is worth more. */
function merged(before: Seen | undefined, one: Seen): Seen {
  if (!before) return one
  const count = {
    reached: before.count.reached + one.count.reached,
    held: before.count.held + one.count.held,
    valued: before.count.valued + one.count.valued,
  }
  return { point: one.count.held > 0 && before.count.held === 0 ? one.point : before.point, count }
}

const byPlace = ({ point: a }: Seen, { point: b }: Seen): number =>
  (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.row - b.row || a.col - b.col

function described({ point, count }: Seen, kept: readonly TraceValue[], texts: Texts): Expression {
  const { file, row, col, rule } = point
  const values: Record<string, unknown> = {}
  const missing: string[] = []
  const cut: string[] = []
  for (const { slot, name, loc } of point.values) {
    const label = name ?? texts.at(loc)
    if (label === undefined || Object.hasOwn(values, label) || missing.includes(label)) continue
    const value = kept[slot] ?? 'unseen'
    if (value === 'missing') missing.push(label)
    if (typeof value === 'string') continue
    if (value.json.length > SHOWN_MAX) cut.push(label)
    values[label] = shown(value.json)
  }
  return {
    file,
    row,
    col,
    ...(rule ? { rule } : {}),
    text: shorten(texts.at(point) ?? ''),
    outcome: count.held > 0 ? 'true' : count.valued > 0 ? 'false' : 'undefined',
    reached: count.reached,
    held: count.held,
    values,
    missing,
    cut,
  }
}

function shown(json: string): unknown {
  return json.length > SHOWN_MAX ? shorten(json) : (JSON.parse(json) as unknown)
}

const shorten = (text: string): string =>
  text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX - 1)}…` : text

/** Pieces of the sources, in one line. */
class Texts {
  readonly #sources: Readonly<Record<string, string>>
  readonly #lines = new Map<string, readonly number[]>()

  constructor(sources: Readonly<Record<string, string>>) {
    this.#sources = sources
  }

  at(loc: { file: string; row: number; col: number; length: number }): string | undefined {
    const source = this.#sources[loc.file]
    if (source === undefined || loc.row < 1) return undefined
    const lines = this.#lines.get(loc.file) ?? lineStarts(source)
    this.#lines.set(loc.file, lines)
    const start = (lines[loc.row - 1] ?? 0) + loc.col - 1
    const text = source
      .slice(start, start + loc.length)
      .replace(/\s+/g, ' ')
      .trim()
    return text === '' ? undefined : text
  }
}

function lineStarts(source: string): number[] {
  const starts = [0]
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1))
    starts.push(at + 1)
  return starts
}

/** Expressions as lines of text: a mark, the line's number, the text and what was in it. */
export function renderExpressions(expressions: readonly Expression[]): string {
  const lines: string[] = []
  let heading: string | undefined
  for (const one of expressions) {
    const own = one.rule ? `${one.rule.path}  ${one.file}:${one.rule.row}` : 'query'
    if (own !== heading) lines.push(own)
    heading = own
    lines.push(renderExpression(one))
  }
  return lines.join('\n')
}

/** One expression as a line of text, without the rule it stands in. */
export function renderExpression(one: Rendered): string {
  return `  ${MARKS[one.outcome]} ${String(one.row).padStart(3)}  ${one.text}${detail(one)}`
}

type Rendered = Omit<Expression, 'file' | 'col' | 'rule'>

const MARKS = { true: '✓', false: '✗', undefined: '–' } as const

function detail({ values, missing, cut, outcome, reached, held }: Rendered): string {
  const parts = [
    ...Object.entries(values).map(([name, value]) =>
      cut.includes(name) ? `${name} = ${String(value)}` : `${name} = ${JSON.stringify(value)}`,
    ),
    ...missing.map((name) => `${name} = undefined`),
  ]
  const times = reached > 1 ? [`held ${held} of ${reached} times`] : []
  const state = outcome === 'true' ? [] : [outcome]
  const all = [...state, ...parts, ...times]
  return all.length === 0 ? '' : `    ${all.join(', ')}`
}
