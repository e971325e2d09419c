import { setTimeout as delay } from 'node:timers/promises'
import { CliError, EXIT, print, say } from './exit.ts'
import { ask, call, type ClientOptions, query } from './gate-client.ts'
import { cell, time } from './table.ts'

// The last entries come from the timeline, the ones after from the stream of events, which starts behind the last that
// was shown: an event's id is its place in the record, so nothing is missed or shown twice, over a cut as well.

type Options = ClientOptions & {
  readonly json?: boolean
  readonly lines: string
  readonly follow: boolean
  readonly agent?: string
  readonly types?: string
}

interface Entry extends Readonly<Record<string, unknown>> {
  readonly seq: number | string
  readonly at: string
  readonly kind: string
}

/** The gate is asked again after this; a start takes longer. */
const AGAIN_MS = 1_000
/** Members of an entry that stand in its line already, or that a line leaves to --json. */
const QUIET = new Set(['seq', 'at', 'kind', 'revision', 'agent', 'agent_name', 'tool', 'actor'])

/** `portcullis logs tail`: the record, as it is written. */
export async function tail(options: Options): Promise<void> {
  const { agent, lines, types } = options
  const wanted = kindsIn(types)
  const route = query('/audit/timeline', { agent, limit: lines })
  const { entries } = await ask<{ entries: readonly Entry[] }>(options, 'GET', route)
  for (const entry of entries.toReversed()) if (wanted(entry.kind)) show(entry, options)
  if (!options.follow) return
  const newest = agent === undefined ? entries[0] : await newestEntry(options)
  await follow(options, newest === undefined ? undefined : String(newest.seq))
}

async function newestEntry(options: Options): Promise<Entry | undefined> {
  const route = query('/audit/timeline', { limit: '1' })
  return (await ask<{ entries: readonly Entry[] }>(options, 'GET', route)).entries[0]
}

function kindsIn(types: string | undefined): (kind: string) => boolean {
  if (types === undefined) return () => true
  const names = types.split(',')
  return (kind) => names.some((name) => kind === name || kind.startsWith(`${name}.`))
}

async function follow(options: Options, from: string | undefined): Promise<never> {
  let last = from ?? '0'
  let wasThere = true
  for (;;) {
    try {
      for await (const entry of events(options, last)) {
        last = String(entry.seq)
        wasThere = true
        show(entry, options)
      }
    } catch (error) {
      // A key that is refused stays refused; a gate that restarts comes back.
      if (error instanceof CliError && error.exit !== EXIT.internal) throw error
      if (error instanceof CliError && !isGone(error)) throw error
    }
    if (wasThere) say('the gate is gone; waiting for it (Ctrl-C ends)')
    wasThere = false
    await delay(AGAIN_MS)
  }
}

const isGone = (error: CliError): boolean => error.message.startsWith('no gate answers')

async function* events(options: Options, last: string): AsyncGenerator<Entry> {
  const { agent, types } = options
  const route = query('/events', { agent, types, last_event_id: last })
  const response = await call(options, 'GET', route)
  if (!response.body) return
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = `${rest}${chunk}`.split('\n\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const data = /^data: (.*)$/m.exec(part)?.[1]
      if (data !== undefined) yield JSON.parse(data) as Entry
    }
  }
}

function show(entry: Entry, { json }: Options): void {
  print(json ? JSON.stringify(entry) : line(entry))
}

function line(entry: Entry): string {
  const { seq, at, kind, agent_name: agent, actor, tool } = entry
  const members = Object.entries(entry).map(([name, value]) => [name, inLine(name, value)] as const)
  const more = members
    .filter(([name, text]) => text !== '' && !QUIET.has(name) && !/_id$|hash$/.test(name))
    .map(([name, text]) => `${name}=${text}`)
  const words = [time(at), String(seq), kind, actor ?? '', agent ?? '', tool ?? '', ...more]
  return words
    .map((word) => (typeof word === 'string' ? word : cell(word)))
    .filter((word) => word !== '')
    .join(' ')
}

/** A member as a line shows it: of reasons their codes, of what is empty, false or long-winded nothing. */
function inLine(name: string, value: unknown): string {
  if (value === null || value === '' || value === false) return ''
  if (Array.isArray(value)) {
    const codes = value.flatMap((one: { code?: unknown }) => one?.code ?? [])
    return codes.map(cell).join(',')
  }
  return typeof value !== 'object' || name === 'args' || name === 'scope' ? cell(value) : ''
}
