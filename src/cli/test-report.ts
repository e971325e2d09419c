import type { Decider } from '../policy/index.ts'
import { type Expression, renderExpression, renderExpressions } from '../rego/index.ts'
import type { Coverage } from '../rego/testing/run.ts'

export interface TestResult {
  readonly kind: 'rego' | 'matrix'
  readonly name: string
  readonly file: string
  readonly row: number
  readonly outcome: 'passed' | 'failed' | 'todo'
  readonly ms: number
  readonly want?: string
  readonly got?: string
  /** rego: the rule, and when it failed the first of its expressions that did not hold, and those of the policy. */
  readonly entrypoint?: string
  readonly stopped?: Expression
  readonly expressions?: readonly Expression[]
  /** matrix: the combination, and when it failed who decided. */
  readonly subject?: string
  readonly action?: string
  readonly resource?: string | null
  readonly decidedBy?: readonly (Decider & { readonly summary: string })[]
}

export interface Report {
  readonly results: readonly TestResult[]
  /** With --coverage. */
  readonly coverage?: Coverage
}

const titleOf = ({ name, entrypoint }: TestResult): string => entrypoint ?? name

function asText({ results, coverage }: Report): string {
  const lines = results.filter(({ outcome }) => outcome !== 'passed').map(failureText)
  const count = (outcome: TestResult['outcome']) =>
    results.filter((one) => one.outcome === outcome).length
  const missed = Object.entries(coverage?.missed ?? {}).map(
    ([file, rows]) => `  ${file}: lines ${rows.join(', ')} never reached`,
  )
  const summary = [
    `${count('passed')} passed, ${count('failed')} failed, ${count('todo')} todo`,
    ...(coverage ? [`coverage ${coverage.percent} %`] : []),
  ].join(' · ')
  return [...lines, summary, ...missed].join('\n')
}

function failureText(one: TestResult): string {
  const { file, row, ms, want = '', got = '', stopped, expressions = [], decidedBy = [] } = one
  if (one.outcome === 'todo') return `TODO ${titleOf(one)}  ${file}:${row}`
  return [
    `FAIL ${titleOf(one)}  ${file}:${row}  ${ms} ms`,
    `  want ${want}      got ${got}`,
    ...(stopped ? ['  the first that did not hold', indented(renderExpression(stopped))] : []),
    ...(expressions.length > 0 ? [indented(renderExpressions(expressions))] : []),
    ...decidedBy.flatMap((decider) => [
      `  decided by ${decider.summary}`,
      ...(decider.expressions ?? []).map((expression) => indented(traceText(expression))),
    ]),
  ].join('\n')
}

const indented = (text: string): string => text.replaceAll(/^/gm, '    ')

const traceText = (one: NonNullable<Decider['expressions']>[number]): string =>
  renderExpression({ ...one, row: one.line, cut: one.shortened })

const escapeXml = (text: string): string =>
  text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`)

function asJunit({ results }: Report): string {
  const failures = results.filter(({ outcome }) => outcome === 'failed').length
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="portcullis" tests="${results.length}" failures="${failures}">`,
    ...results.map(junitCase),
    '</testsuite>',
  ].join('\n')
}

function junitCase(one: TestResult): string {
  const { file, ms, outcome, want = '', got = '', decidedBy = [] } = one
  const open = `  <testcase name="${escapeXml(titleOf(one))}" classname="${escapeXml(file)}" time="${(ms / 1000).toFixed(5)}"`
  if (outcome === 'passed') return `${open}/>`
  if (outcome === 'todo') return `${open}><skipped/></testcase>`
  const message = [`want ${want}, got ${got}`, ...decidedBy.map(({ summary }) => summary)].join(
    '; ',
  )
  return `${open}><failure message="${escapeXml(message)}"/></testcase>`
}

export const FORMATS: Readonly<Record<'text' | 'json' | 'junit', (report: Report) => string>> = {
  text: asText,
  json: (report) => JSON.stringify(report, null, 2),
  junit: asJunit,
}
