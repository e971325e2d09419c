import type { Effect, Reason, Reservation } from '../../model/decision.ts'
import type { Json } from '../../model/json.ts'
import type {
  CompileContext,
  GuardInput,
  GuardKind,
  GuardSpec,
  PointerReader,
} from '../../bundle/types.ts'
import { effectOf, reasonOf, says, silent } from '../answers.ts'
import { type Day, daysOf, isWithin, localClock, minutesOf } from '../calendar.ts'
import { type ContactList, readContactList } from '../contact-list.ts'
import { reservationOf, windowOf } from '../reservation.ts'
import {
  canonicalRecipient,
  memberDigest,
  readersByTool,
  type Recipient,
  valuesAt,
} from '../recipients.ts'

interface FactPointer {
  readonly fact: string
  readonly pointer: string
}

interface Config {
  readonly lists?: readonly string[]
  readonly recipients?: readonly string[]
  readonly recipients_from_facts?: readonly FactPointer[]
  readonly flag?: FactPointer & { readonly equals?: boolean }
  readonly ids?: boolean
  readonly strip_plus_tags?: boolean
  readonly ignore_dots?: boolean
  readonly recipients_max?: number
  readonly quiet_hours?: {
    readonly from: string
    readonly to: string
    readonly timezone: string
    readonly days?: readonly Day[]
    readonly effect?: Effect
  }
  readonly frequency?: {
    readonly limit: number
    readonly per_s: number
    readonly effect?: Effect
  }
}

type Check = (input: GuardInput) => Reason | undefined
type FactReader = (input: GuardInput) => Json | undefined

const RECIPIENTS_MAX = 100

/** Whom an action reaches, against lists, a flag of the upstream, quiet hours and frequency. */
export const doNotContact: GuardKind = { kind: 'do_not_contact', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const config = spec.config as unknown as Config
  const find = recipientFinder(spec, config, context)
  const checks = [flagCheck(spec, config, context), quietCheck(spec, config, context)]
  const judge = recipientJudge(spec, config, context)
  const reserve = frequencyOf(spec, config)
  return (input: GuardInput) => {
    const values = find(input)
    if (values === undefined) return silent()
    const { reasons, found } = judge(values)
    for (const check of checks) {
      const reason = check(input)
      if (reason) reasons.push(reason)
    }
    return says(reasons, { recipients: values.length }, reserve(found))
  }
}

// Undefined for a tool that contacts nobody.
function recipientFinder(
  spec: GuardSpec,
  config: Config,
  context: CompileContext,
): (input: GuardInput) => readonly (Json | undefined)[] | undefined {
  const own = config.recipients ?? []
  for (const [index, pointer] of own.entries()) context.argPointer(pointer, ['recipients', index])
  const args = readersByTool(context, (tool) => [...tool.recipients, ...own])
  const facts = (config.recipients_from_facts ?? []).map((one, index) =>
    factReader(one, ['recipients_from_facts', index], spec, context),
  )
  const flagged = config.flag !== undefined
  const reaches = (tool: string) => flagged || facts.length > 0 || (args.get(tool) ?? []).length > 0
  const mute = context.subjectTools.find((tool) => !reaches(tool.name))
  if (spec.tools !== null && mute) {
    const message = `tool \`${mute.name}\` declares no \`recipients\`, so nothing would be checked`
    context.report(['tools'], 'nothing_to_check', message)
  }
  return (input) => {
    if (!reaches(input.request.action.name)) return undefined
    const fromArgs = valuesAt(
      args.get(input.request.action.name) ?? [],
      input.request.action.properties,
    )
    return [...fromArgs, ...facts.flatMap((read) => listed(read(input)))]
  }
}

const listed = (value: Json | undefined): readonly (Json | undefined)[] =>
  Array.isArray(value) ? (value as readonly Json[]) : [value]

function factReader(
  { fact, pointer }: FactPointer,
  path: readonly (string | number)[],
  spec: GuardSpec,
  context: CompileContext,
): FactReader {
  const lacking = context.subjectTools.find((tool) => tool.facts.every((one) => one.name !== fact))
  if (lacking) {
    const message = `tool \`${lacking.name}\` looks up no fact \`${fact}\``
    const hint = spec.tools === null ? 'name the tools this guard is for under `tools`' : undefined
    context.report([...path, 'fact'], 'no_such_fact', message, hint)
  }
  const read: PointerReader = context.pointer(pointer, [...path, 'pointer']) ?? (() => undefined)
  return ({ facts }) =>
    Object.hasOwn(facts.lookups, fact) ? read(facts.lookups[fact] as Json) : undefined
}

// A flag that cannot be read denies: a missing answer is not a permission.
function flagCheck(spec: GuardSpec, config: Config, context: CompileContext): Check {
  const { flag } = config
  if (!flag) return () => undefined
  const read = factReader(flag, ['flag'], spec, context)
  const message = 'the recipient asked not to be contacted'
  const flagged = reasonOf(spec, effectOf(spec), 'do_not_contact', message)
  const unreadable = reasonOf(spec, 'deny', 'flag_unreadable', `\`${flag.fact}\` has no such flag`)
  return (input) => {
    const value = read(input)
    if (typeof value !== 'boolean') return unreadable
    return value === (flag.equals ?? true) ? flagged : undefined
  }
}

function quietCheck(spec: GuardSpec, config: Config, context: CompileContext): Check {
  const quiet = config.quiet_hours
  if (!quiet) return () => undefined
  const clock = localClock(quiet.timezone)
  if (!clock) {
    const message = `no time zone \`${quiet.timezone}\``
    context.report(['quiet_hours', 'timezone'], 'bad_timezone', message)
  }
  if (quiet.from === quiet.to) {
    context.report(['quiet_hours', 'to'], 'bad_time_span', 'the quiet hours have no length')
  }
  const span = { days: daysOf(quiet.days), from: minutesOf(quiet.from), to: minutesOf(quiet.to) }
  const message = `quiet hours from ${quiet.from} to ${quiet.to} (${quiet.timezone})`
  const reason = reasonOf(spec, quiet.effect ?? effectOf(spec), 'quiet_hours', message)
  return ({ facts }) => {
    if (!clock) throw new Error('no clock')
    return isWithin(span, clock(facts.nowMs)) ? reason : undefined
  }
}

interface Judged {
  readonly reasons: Reason[]
  readonly found: readonly Recipient[]
}

function recipientJudge(
  spec: GuardSpec,
  config: Config,
  context: CompileContext,
): (values: readonly (Json | undefined)[]) => Judged {
  const options = {
    ids: config.ids ?? false,
    stripPlusTags: config.strip_plus_tags ?? false,
    ignoreDots: config.ignore_dots ?? false,
  }
  const lists = (config.lists ?? []).map((name, index) =>
    readContactList(name, options, context, ['lists', index]),
  )
  const max = config.recipients_max ?? RECIPIENTS_MAX
  const listedReason = reasonOf(spec, effectOf(spec), 'do_not_contact', 'a recipient is on a list')
  const tooMany = reasonOf(spec, 'deny', 'too_many_recipients', `more than ${max} recipients`)
  const unreadable = reasonOf(spec, 'deny', 'recipient_unreadable', 'a recipient cannot be read')
  return (values) => {
    if (values.length > max) return { reasons: [tooMany], found: [] }
    const all = values.map((value) =>
      value === undefined ? undefined : canonicalRecipient(value, options),
    )
    const found = all.filter((one) => one !== undefined)
    const reasons = found.length < all.length ? [unreadable] : []
    if (found.some((one) => lists.some((list) => isOn(list, one)))) reasons.push(listedReason)
    return { reasons, found }
  }
}

function isOn({ exact, domains }: ContactList, { canonical, domain }: Recipient): boolean {
  if (exact.has(canonical)) return true
  for (let rest = domain; rest !== ''; ) {
    if (domains.has(rest)) return true
    const dot = rest.indexOf('.')
    rest = dot < 0 ? '' : rest.slice(dot + 1)
  }
  return false
}

function frequencyOf(
  spec: GuardSpec,
  { frequency }: Config,
): (found: readonly Recipient[]) => readonly Reservation[] {
  if (!frequency) return () => []
  const { limit, per_s: perS, effect } = frequency
  const message = `a recipient was contacted ${limit} times in ${perS} s`
  const exceeded = reasonOf(spec, effect ?? effectOf(spec), 'contact_frequency', message)
  const fixed = windowOf(spec, { phase: 'effect', limit, perS, exceeded })
  return (found) => {
    const digests = new Set(found.map((one) => memberDigest(one.canonical)))
    return [...digests].map((digest) => reservationOf(fixed, `${spec.id}:contact:${digest}`, 1n))
  }
}
