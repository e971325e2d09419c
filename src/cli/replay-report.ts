import type { Calls } from '../client/index.ts'
import { visible } from './exit.ts'
import { listing, table } from './table.ts'

type Replay = Calls['GET /policy/replays/{id}']['answer']
type Report = NonNullable<Replay['report']>
type Rule = Report['rules'][number]
/** A replay that came to its end. */
export type Replayed = Omit<Replay, 'report'> & { readonly report: Report }

export const FAIL_ON = ['new-allow', 'new-deny', 'new-hold', 'error', 'unplayable'] as const
export type FailOn = (typeof FAIL_ON)[number]
export type ReplayFormat = keyof typeof REPLAY_FORMATS

const SHORT = 12

/** What of it was asked to fail on, with how many there are. */
export const hits = (report: Report, failOn: readonly FailOn[]): string[] =>
  failOn
    .map((one) => [one, countOf(report, one)] as const)
    .filter(([, count]) => count > 0)
    .map(([one, count]) => `${count} ${one}`)

function countOf(report: Report, what: FailOn): number {
  switch (what) {
    case 'new-allow':
      return report.new_allow
    case 'new-deny':
      return report.new_deny
    case 'new-hold':
      return report.new_hold
    case 'error':
      return report.errors
    case 'unplayable':
      return unplayable(report)
  }
}

const unplayable = (report: Report): number =>
  Object.values(report.unplayable).reduce((sum, count) => sum + count, 0)

const placeOf = ({ file, line }: Rule): string => (file === null ? '' : `${file}:${line}`)
const changeOf = ({ from, to }: Rule): string => `${from} -> ${to}`
const whyNot = (report: Report): string =>
  Object.entries(report.unplayable)
    .map(([why, count]) => `${count} ${why.replaceAll('_', ' ')}`)
    .join(', ')

function asText({ report, from, to }: Replayed): string {
  const { same, new_allow: allowed, new_deny: denied, new_hold: held, errors } = report
  const head = listing([
    ['revision', report.revision.slice(0, SHORT)],
    ['from', `${from} to ${to}`],
    ['decisions', `${report.decisions}${report.sampled ? ' (a sample)' : ''}`],
    ['same', String(same)],
    ['new', `${allowed} allow, ${denied} deny, ${held} hold`],
    ['made by', `${report.by_policy} policy, ${report.by_counter} counters`],
    ['errors', errors === 0 ? '' : String(errors)],
    ['not decided', whyNot(report)],
    ['begun at 0', report.begun_at_zero.join(', ')],
    ['cut off', report.truncated ? 'more was asked for than one replay decides' : ''],
  ])
  if (report.rules.length === 0) return head
  const rows = report.rules.map((rule) => [
    String(rule.count),
    changeOf(rule),
    rule.made_by,
    rule.source,
    rule.message,
    placeOf(rule),
  ])
  const rules = table(['COUNT', 'CHANGE', 'BY', 'RULE', 'SAYS', 'AT'], rows)
  const named = (title: string, list: Report['agents']) =>
    table(
      [title, 'CHANGED'],
      list.slice(0, NAMES_MAX).map(({ name, changed }) => [name, String(changed)]),
    )
  return [head, rules, named('AGENT', report.agents), named('TOOL', report.tools)].join('\n\n')
}

const NAMES_MAX = 20

function asGithub({ report }: Replayed, failOn: readonly FailOn[]): string {
  const level = hits(report, failOn).length > 0 ? 'error' : 'notice'
  const summary = `${report.same} of ${report.decisions} decided the same, ${report.new_allow} new allow, ${report.new_deny} new deny, ${report.new_hold} new hold`
  const lines = report.rules.map((rule) => {
    const { file, line, policy } = rule
    const place =
      file === null || policy === 'recorded' ? '' : ` file=${property(file)},line=${line}`
    const says = `${rule.count} ${changeOf(rule)} (${rule.made_by}): ${rule.source}: ${rule.message}`
    return `::${level}${place}::${data(says)}`
  })
  return [`::notice::${data(summary)}`, ...lines].join('\n')
}

// A workflow command ends at a line break, and its properties at `,` and `:`.
const data = (text: string): string =>
  visible(text).replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const property = (text: string): string => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

function asJunit({ report }: Replayed, failOn: readonly FailOn[]): string {
  const cases = FAIL_ON.map((what) => {
    const count = countOf(report, what)
    const isFailure = count > 0 && failOn.includes(what)
    const open = `  <testcase classname="replay" name="${what}: ${count} of ${report.decisions}"`
    if (!isFailure) return `${open}/>`
    const rules = report.rules
      .map(
        (rule) => `${rule.count} ${changeOf(rule)} ${rule.source} ${placeOf(rule)} ${rule.message}`,
      )
      .join('\n')
    return `${open}>\n    <failure message="${count} ${what}">${xml(rules)}</failure>\n  </testcase>`
  })
  const failures = hits(report, failOn).length
  const suite = `<testsuite name="portcullis replay" tests="${FAIL_ON.length}" failures="${failures}">`
  return ['<?xml version="1.0" encoding="UTF-8"?>', suite, ...cases, '</testsuite>'].join('\n')
}

const xml = (text: string): string =>
  visible(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

export const REPLAY_FORMATS = {
  text: asText,
  json: (one: Replayed) => JSON.stringify(one, null, 2),
  github: asGithub,
  junit: asJunit,
} as const
