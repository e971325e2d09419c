import type { Calls } from '../client/index.ts'
import { CliError, EXIT, print, visible } from './exit.ts'
import { ask, type ClientOptions } from './gate-client.ts'
import { table, time } from './table.ts'
import { namedAgent } from './agents.ts'

interface Scope {
  readonly agent?: string | null
  readonly tool?: string | null
  readonly upstream?: string | null
}
type Options = ClientOptions & { readonly json?: boolean }

/** `portcullis kill on|off`. Exits 5 when it is engaged and not yet proven everywhere. */
export async function setKill(
  engaged: boolean,
  options: Options & { agent?: string; tool?: string; upstream?: string; reason: string },
): Promise<void> {
  const { tool, upstream, reason } = options
  // A switch for an agent that is not there would stop nothing; one for an agent that is gone is still released.
  const isOne = engaged && options.agent !== undefined && !options.agent.includes('*')
  const agent = isOne ? (await namedAgent(options.agent ?? '', options)).name : options.agent
  const scope = { ...(agent && { agent }), ...(tool && { tool }), ...(upstream && { upstream }) }
  const body = { engaged, reason, scope }
  const answer = await ask<Calls['PUT /kill-switch']['answer']>(
    options,
    'PUT',
    '/kill-switch',
    body,
  )
  if (options.json) print(JSON.stringify(answer, null, 2))
  else if (!engaged) print(`released for ${scopeText(scope)}`)
  else print(`engaged for ${scopeText(scope)}: no further effect starts`)
  const open = answer.unconfirmed ?? []
  if (open.length > 0) {
    throw new CliError(EXIT.finding, `not confirmed by ${open.join(', ')}; ask again in a second`)
  }
  if (answer.recorded === false) {
    throw new CliError(EXIT.finding, 'engaged, and not yet on record; see `portcullis kill status`')
  }
}

/** `portcullis kill status`. */
export async function showKill(options: Options): Promise<void> {
  const state = await ask<Calls['GET /kill-switch']['answer']>(options, 'GET', '/kill-switch')
  if (options.json) return print(JSON.stringify(state, null, 2))
  if (!state.known)
    print('not known: the gate cannot read it, and lets nothing through until it can')
  if (state.switches.length === 0) return print('no switch is engaged')
  const rows = state.switches.map((one) => [
    scopeText(one.scope),
    one.reason,
    one.actor,
    time(one.engaged_at),
  ])
  print(table(['FOR', 'REASON', 'BY', 'SINCE'], rows))
}

function scopeText({ agent, tool, upstream }: Scope): string {
  const parts = [
    agent && `agent ${agent}`,
    tool && `tool ${tool}`,
    upstream && `upstream ${upstream}`,
  ].filter((part): part is string => Boolean(part))
  return visible(parts.length === 0 ? 'everything' : parts.join(', '))
}
