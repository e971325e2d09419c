// Suspends the gate, cuts it off from its database without a word, freezes that database, holds the ledger's lock and
// fills the disk, at random moments under load. What has to hold: once the trouble is over the gate carries actions
// out again within three seconds, nothing acknowledged is lost, nothing happens twice, and whoever throws the kill
// switch while it lasts gets an answer.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { PostgresServer, prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Campaign, type CampaignReport } from './campaign.ts'

interface Limits {
  /** From the end of the trouble to the first action carried out. */
  readonly wellMs: number
  /** From throwing the kill switch to an answer, while it lasts. */
  readonly killMs: number
}
const LIMITS: Limits = { wellMs: 3_000, killMs: 5_000 }
/** For the suite, which must not depend on how busy the machine is. */
const UNTIMED: Limits = { wellMs: Infinity, killMs: Infinity }
const LASTS_MS_MAX = 4_000
/** Now and then somebody closes a lid for longer than any time-out. */
const LONG_MS = 30_000
const LONG_EVERY = 20
const DISK_MIB = 320
const SCOPE = { tool: 'people.get' }

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

interface Fault {
  readonly name: string
  /** Whether the gate itself can answer while it lasts. */
  readonly answers: boolean
  begin(): Promise<void>
  end(): Promise<void>
}

export interface FaultsReport extends CampaignReport {
  readonly byFault: Readonly<Record<string, { rounds: number; slowestMs: number }>>
  readonly slowestKillMs: number
}

interface Setting {
  readonly campaign: Campaign
  readonly faults: readonly Fault[]
  close(): Promise<void>
}

const suspension = (campaign: Campaign): Fault => ({
  name: 'suspended gate',
  answers: false,
  begin: async () => void process.kill(campaign.gate.pid, 'SIGSTOP'),
  end: async () => void process.kill(campaign.gate.pid, 'SIGCONT'),
})

async function onServer(): Promise<Setting> {
  const postgres = await PostgresServer.start()
  const direct = await postgres.createDatabase()
  const url = new URL(direct)
  const proxy = await TcpProxy.start(Number(url.port))
  url.port = String(proxy.port)
  const campaign = await Campaign.prepare(scratch('faults'), url.href)
  let holder: pg.Client | undefined
  return {
    campaign,
    faults: [
      suspension(campaign),
      {
        name: 'silent network',
        answers: true,
        begin: async () => proxy.fallSilent(),
        end: async () => proxy.heal(),
      },
      {
        name: 'frozen database',
        answers: true,
        begin: async () => postgres.freeze(),
        end: async () => postgres.thaw(),
      },
      {
        name: 'lock of the ledger held',
        answers: true,
        begin: async () => {
          holder = new pg.Client({ connectionString: direct })
          await holder.connect()
          await holder.query('begin; select 1 from ledger_head for update')
        },
        end: async () => holder?.end(),
      },
    ],
    close: async () => {
      await campaign.stop()
      await proxy.stop()
      postgres.stop()
    },
  }
}

async function onEmbedded(): Promise<Setting> {
  const dataDir = scratch('faults')
  const isBounded = mountBounded(dataDir)
  await prepareEmbedded(dataDir)
  const campaign = await Campaign.prepare(dataDir, null)
  const filler = path.join(dataDir, 'filler')
  const fullDisk: Fault = {
    name: 'full disk',
    answers: true,
    begin: async () => fillUp(filler),
    end: async () => fs.rmSync(filler, { force: true }),
  }
  if (!isBounded)
    console.log('the full disk is left out: no size-limited file system can be mounted')
  return {
    campaign,
    faults: [suspension(campaign), ...(isBounded ? [fullDisk] : [])],
    close: async () => {
      await campaign.stop()
      if (isBounded) execFileSync('umount', ['-l', dataDir])
    },
  }
}

function mountBounded(dir: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=0700`, 'tmpfs', dir], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}

function fillUp(file: string): void {
  const fd = fs.openSync(file, 'w')
  const piece = Buffer.alloc(1 << 16)
  try {
    for (;;) fs.writeSync(fd, piece)
  } catch {
    // No space left, as wanted.
  } finally {
    fs.closeSync(fd)
  }
}

export async function faultsCampaign(
  kind: 'server' | 'embedded',
  rounds: number,
  options: { readonly isTimed: boolean; readonly report?: (line: string) => void },
): Promise<FaultsReport> {
  const { isTimed, report } = options
  const setting = kind === 'server' ? await onServer() : await onEmbedded()
  const { campaign, faults } = setting
  const limits = isTimed ? LIMITS : UNTIMED
  const byFault: Record<string, { rounds: number; slowestMs: number }> = {}
  let slowestKillMs = 0
  try {
    for (let round = 1; round <= rounds; round++) {
      const fault = faults[round % faults.length]
      if (!fault) throw new Error('there are no faults to try')
      const lastsMs = round % LONG_EVERY === 0 ? LONG_MS : 300 + Math.random() * LASTS_MS_MAX
      campaign.load()
      await pause(100 + Math.random() * 500)
      await fault.begin()
      const over = pause(lastsMs)
      if (fault.answers)
        slowestKillMs = Math.max(slowestKillMs, await throwSwitch(campaign, limits))
      await over
      await fault.end()
      const wellMs = await wellAgain(campaign, fault.name, limits)
      const known = (byFault[fault.name] ??= { rounds: 0, slowestMs: 0 })
      known.rounds++
      known.slowestMs = Math.max(known.slowestMs, wellMs)
      await campaign.rest()
      await campaign.settled()
      if (fault.answers) await releaseSwitch(campaign)
      await campaign.check()
      report?.(
        `${round}/${rounds} ${fault.name} ${Math.round(lastsMs)} ms, well after ${wellMs} ms`,
      )
    }
    return { ...campaign.report(rounds), byFault, slowestKillMs }
  } finally {
    await setting.close()
  }
}

async function throwSwitch(campaign: Campaign, { killMs }: Limits): Promise<number> {
  const startedAt = performance.now()
  const body = { engaged: true, scope: SCOPE, reason: 'campaign' }
  const answer = await campaign.call('PUT', '/kill-switch', body)
  const tookMs = Math.round(performance.now() - startedAt)
  if (answer?.status !== 200 && answer?.status !== 202) {
    throw new Error(`the kill switch answered ${JSON.stringify(answer)}`)
  }
  if (tookMs > killMs) throw new Error(`the kill switch answered after ${tookMs} ms`)
  return tookMs
}

const releaseSwitch = (campaign: Campaign): Promise<void> =>
  campaign.until('the switch is released', async () => {
    const body = { engaged: false, scope: SCOPE, reason: 'campaign' }
    const answer = await campaign.call('PUT', '/kill-switch', body)
    return answer?.status === 200
  })

async function wellAgain(campaign: Campaign, fault: string, { wellMs }: Limits): Promise<number> {
  const startedAt = performance.now()
  await campaign.until('it carries actions out', async () => (await campaign.tries()) === 200)
  const tookMs = Math.round(performance.now() - startedAt)
  if (tookMs > wellMs) throw new Error(`${fault}: well again only after ${tookMs} ms`)
  return tookMs
}

const isMain = process.argv[1] === import.meta.filename
if (isMain) {
  const rounds = Number(process.argv[2] ?? 100)
  const kinds = (process.argv[3]?.split(',') ?? ['server', 'embedded']) as ('server' | 'embedded')[]
  for (const kind of kinds) {
    const result = await faultsCampaign(kind, rounds, { isTimed: true, report: console.log })
    console.log(`${kind}: held in ${rounds} rounds: ${JSON.stringify(result)}`)
  }
}
