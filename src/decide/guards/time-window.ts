import type { CompileContext, GuardInput, GuardKind, GuardSpec } from '../../bundle/types.ts'
import { effectOf, reasonOf, says, silent } from '../answers.ts'
import { type Day, DAY_MINUTES, daysOf, isWithin, localClock, minutesOf } from '../calendar.ts'

interface Config {
  readonly timezone: string
  readonly days?: readonly Day[]
  readonly from?: string
  readonly to?: string
}

/** Only at certain times: outside of them the guard bites. */
export const timeWindow: GuardKind = { kind: 'time_window', compile }

function compile(spec: GuardSpec, context: CompileContext) {
  const config = spec.config as unknown as Config
  const clock = localClock(config.timezone)
  if (!clock) context.report(['timezone'], 'bad_timezone', `no time zone \`${config.timezone}\``)
  if (config.from !== undefined && config.from === config.to) {
    context.report(['to'], 'bad_time_span', 'the window has no length')
  }
  const from = minutesOf(config.from ?? '00:00')
  const to = config.to === undefined ? DAY_MINUTES : minutesOf(config.to)
  const span = { days: daysOf(config.days), from, to }
  const message = `only ${describe(config)}`
  const outside = reasonOf(spec, effectOf(spec), 'outside_time_window', message)
  return ({ facts }: GuardInput) => {
    const local = clock?.(facts.nowMs)
    if (!local) throw new Error('no clock')
    const observed = { day: local.day + 1, minute: local.minute, timezone: config.timezone }
    return isWithin(span, local) ? silent(observed) : says([outside], observed)
  }
}

function describe({ days, from, to, timezone }: Config): string {
  const when = days ? `on ${days.join(', ')}` : 'every day'
  return `${when}${from === undefined ? '' : ` from ${from} to ${to ?? ''}`} (${timezone})`
}
