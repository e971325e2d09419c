import type { Calls } from '../client/index.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { ask, type ClientOptions } from './gate-client.ts'
import { refusedWell } from './policy-history.ts'
import { readSent } from './policy-push.ts'
import { policyText } from './policy-report.ts'
import { spanIn } from './span.ts'
import { listing, time } from './table.ts'

type Options = ClientOptions & { readonly json?: boolean }
type One = Calls['POST /policy/canary']['answer']
type Canary = One['canary']

const SHORT = 12

export interface StartOptions extends Options {
  readonly revision?: string
  readonly mode: 'compare' | 'enforce'
  readonly percent: string
  readonly agent?: readonly string[]
  readonly role?: readonly string[]
  readonly for: string
  readonly abortErrors?: string
  readonly abortDenyRateX?: string
  readonly abortNewDenials?: string
  readonly abortUnplayable?: string
  readonly abortLate?: string
  readonly note?: string
}

/** `portcullis policy canary start`: tries a directory, or a revision that is kept. */
export async function start(dir: string | undefined, options: StartOptions): Promise<void> {
  if (dir !== undefined && options.revision !== undefined) {
    throw new CliError(EXIT.usage, 'give a directory, or --revision')
  }
  const { revision, mode, percent, agent, role, note } = options
  const candidate =
    revision === undefined ? { files: await readSent(dir ?? 'policies', options) } : { revision }
  const body = {
    ...candidate,
    mode,
    percent: numberIn(percent, '--percent'),
    until: new Date(Date.now() + spanIn(options.for, '--for')).toISOString(),
    abort_when: conditions(options),
    ...(agent ? { agents: agent } : {}),
    ...(role ? { roles: role } : {}),
    ...(note === undefined ? {} : { note }),
  }
  const { canary } = await refusedWell(ask<One>(options, 'POST', '/policy/canary', body))
  if (options.json) return print(JSON.stringify({ canary }, null, 2))
  print(`${canary.id}: ${canary.revision.slice(0, SHORT)} is on trial until ${time(canary.until)}`)
}

/** `portcullis policy canary status`: what is on trial, or was last, and what came of it. */
export async function status(options: Options): Promise<void> {
  const answer = await ask<Calls['GET /policy/canary']['answer']>(options, 'GET', '/policy/canary')
  if (options.json) return print(JSON.stringify(answer, null, 2))
  print(answer.canary ? described(answer.canary) : 'nothing was ever on trial')
}

/** `portcullis policy canary promote`: publishes what is on trial. */
export async function promote(options: Options & { reason?: string }): Promise<void> {
  const { reason } = options
  const body = reason === undefined ? {} : { reason }
  type Promoted = Calls['POST /policy/canary/promote']['answer']
  const answer = await refusedWell(ask<Promoted>(options, 'POST', '/policy/canary/promote', body))
  if (options.json) return print(JSON.stringify(answer, null, 2))
  if ('publish' in answer) {
    return print(
      `held as ${answer.publish.id}: ${answer.publish.quorum} other people have to agree`,
    )
  }
  if (answer.warnings.length > 0) say(policyText('.', answer.warnings))
  for (const replica of answer.unconfirmed) say(`${replica} does not decide by it yet`)
  print(`${answer.revision.slice(0, SHORT)} is live`)
}

/** `portcullis policy canary abort`: the live policy decides for all again. */
export async function abort(options: Options & { reason: string }): Promise<void> {
  const { reason } = options
  const { canary } = await ask<One>(options, 'POST', '/policy/canary/abort', { reason })
  if (options.json) return print(JSON.stringify({ canary }, null, 2))
  print(`${canary.id} is over; ${canary.base.slice(0, SHORT)} decides for all`)
}

function described(canary: Canary): string {
  const { ended_because: why, last_5_min: last } = canary
  const list = (names: readonly string[] | null) => (names ?? []).join(', ')
  return listing([
    ['id', canary.id],
    ['status', why ? `${canary.status}: ${why.message}` : canary.status],
    ['revision', canary.revision.slice(0, SHORT)],
    ['instead of', canary.base.slice(0, SHORT)],
    ['mode', `${canary.mode}, ${canary.percent} %`],
    ['agents', list(canary.agents)],
    ['roles', list(canary.roles)],
    ['started', `${time(canary.started_at)} by ${canary.author}`],
    ['note', canary.note ?? ''],
    ['until', time(canary.until)],
    [
      'ended',
      canary.ended_at === null ? '' : `${time(canary.ended_at)} ${canary.ended_by ?? 'by itself'}`,
    ],
    ['changes', canary.changes === null ? UNREADABLE : counted(canary.changes)],
    ['last 5 min', last === null ? UNREADABLE : recent(last)],
  ])
}

const UNREADABLE = 'cannot be read at the moment'

const recent = (last: NonNullable<Canary['last_5_min']>): string =>
  [
    `${last.decisions} decisions, ${last.denied_by_candidate} denied (live: ${last.denied_live})`,
    `${last.new_denials} newly, ${last.errors} errors`,
    `${last.unplayable} unplayable, ${last.late} late`,
  ].join(', ')

const counted = (changes: NonNullable<Canary['changes']>): string =>
  Object.entries(changes)
    .toSorted(([, a], [, b]) => b - a)
    .map(([change, n]) => `${change} ${n}`)
    .join(', ')

function conditions(options: StartOptions) {
  const given = Object.entries(CONDITIONS).flatMap(([name, [option, flag]]) => {
    const text = options[option]
    return text === undefined ? [] : [[name, numberIn(text, flag)] as const]
  })
  return given.length > 0 ? Object.fromEntries(given) : DEFAULTS
}

const CONDITIONS = {
  errors: ['abortErrors', '--abort-errors'],
  deny_rate_x: ['abortDenyRateX', '--abort-deny-rate-x'],
  new_denials: ['abortNewDenials', '--abort-new-denials'],
  unplayable: ['abortUnplayable', '--abort-unplayable'],
  late: ['abortLate', '--abort-late'],
} as const

/** Where nothing is said of when it has to end. */
const DEFAULTS = { errors: 1, deny_rate_x: 3, new_denials: 50, unplayable: 50, late: 50 }

function numberIn(text: string, option: string): number {
  if (/^\d{1,9}(?:\.\d{1,3})?$/.test(text)) return Number(text)
  throw new CliError(EXIT.usage, `${option} is a number`)
}
