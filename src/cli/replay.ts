import { setTimeout as pause } from 'node:timers/promises'
import type { Calls } from '../client/index.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { ask, type ClientOptions, path } from './gate-client.ts'
import { readSent } from './policy-push.ts'
import { FAIL_ON, type FailOn, hits, REPLAY_FORMATS, type ReplayFormat } from './replay-report.ts'
import { spanIn } from './span.ts'

interface ReplayOptions extends ClientOptions {
  readonly since?: string
  readonly from?: string
  readonly to?: string
  readonly policy?: string
  readonly revision?: string
  readonly agent?: string
  readonly tool?: string
  readonly effect?: 'allow' | 'deny' | 'require_approval'
  readonly sample?: string
  readonly failOn?: string
  readonly format: ReplayFormat
}

type Replay = Calls['GET /policy/replays/{id}']['answer']
type Asked = Calls['POST /policy/replays']['body']

const LOOK_MS = 250

/** `portcullis replay`: what is on record, decided again by another policy; the gate does it. */
export async function replay(options: ReplayOptions): Promise<void> {
  const failOn = failOnIn(options.failOn)
  const body = await bodyOf(options)
  const { id } = await ask<{ id: string }>(options, 'POST', '/policy/replays', body)
  const ended = await over(options, id)
  const { report } = ended
  if (!report) throw new CliError(EXIT.policy, ended.error ?? 'the replay failed')
  print(REPLAY_FORMATS[options.format]({ ...ended, report }, failOn))
  const hit = hits(report, failOn)
  if (hit.length > 0) throw new CliError(EXIT.finding, `decided otherwise: ${hit.join(', ')}`)
}

async function bodyOf(options: ReplayOptions): Promise<Asked> {
  const { since, from, to, policy, revision, agent, tool, effect, sample } = options
  if (since !== undefined && from !== undefined) {
    throw new CliError(EXIT.usage, 'give --since or --from')
  }
  if (policy !== undefined && revision !== undefined) {
    throw new CliError(EXIT.usage, 'give --policy or --revision')
  }
  const begin =
    since === undefined ? from : new Date(Date.now() - spanIn(since, '--since')).toISOString()
  return {
    ...(policy === undefined ? {} : { files: await readSent(policy, options) }),
    ...(revision === undefined ? {} : { revision }),
    ...(begin === undefined ? {} : { from: begin }),
    ...(to === undefined ? {} : { to }),
    ...(agent === undefined ? {} : { agent }),
    ...(tool === undefined ? {} : { tool }),
    ...(effect === undefined ? {} : { effect }),
    ...(sample === undefined ? {} : { sample: countIn(sample) }),
  }
}

/** Waits for the end of a replay, and says on a terminal how far it is. */
async function over(options: ClientOptions, id: string): Promise<Replay> {
  for (;;) {
    const one = await ask<Replay>(options, 'GET', path`/policy/replays/${id}`)
    if (one.finished_at !== null) return one
    if (process.stderr.isTTY && one.total > 0) say(`${one.done} of ${one.total} decisions`)
    await pause(LOOK_MS)
  }
}

function countIn(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new CliError(EXIT.usage, '--sample is a number of decisions')
}

function failOnIn(text: string | undefined): readonly FailOn[] {
  const wanted = (text ?? '').split(',').filter((one) => one !== '')
  const wrong = wanted.find((one) => !(FAIL_ON as readonly string[]).includes(one))
  if (wrong === undefined) return wanted as FailOn[]
  throw new CliError(EXIT.usage, `--fail-on takes ${FAIL_ON.join(', ')}; not \`${wrong}\``)
}
