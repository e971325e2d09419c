// Kills the gate, or its database server, at random moments under load, and checks what must hold.
import { PostgresServer, prepareEmbedded } from '../support/database.ts'
import { scratch } from '../support/scratch.ts'
import { Campaign, type CampaignReport } from './campaign.ts'

const LOAD_MS_MAX = 900

export interface CrashOptions {
  readonly kills: number
  readonly victim: 'gate' | 'database'
  readonly report?: (line: string) => void
}

export async function crashCampaign({
  kills,
  victim,
  report,
}: CrashOptions): Promise<CampaignReport> {
  const dataDir = scratch('crash')
  const postgres = victim === 'database' ? await PostgresServer.start() : undefined
  if (!postgres) await prepareEmbedded(dataDir)
  const url = postgres ? await postgres.createDatabase() : null
  const campaign = await Campaign.prepare(dataDir, url)
  try {
    for (let round = 1; round <= kills; round++) {
      campaign.load()
      // Once at least it is killed after something was acknowledged, however busy the machine is.
      if (round === 1) {
        await campaign.until('one is acknowledged', async () => campaign.report(0).acknowledged > 0)
      }
      await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * LOAD_MS_MAX))
      if (postgres) postgres.kill()
      else await campaign.gate.kill()
      await campaign.rest()
      if (postgres) postgres.up()
      else await campaign.gate.start()
      await campaign.settled()
      await campaign.check()
      report?.(`${round}/${kills} ${JSON.stringify(campaign.report(round))}`)
    }
    return campaign.report(kills)
  } finally {
    await campaign.stop()
    postgres?.stop()
  }
}

const isMain = process.argv[1] === import.meta.filename
if (isMain) {
  const kills = Number(process.argv[2] ?? 50)
  const victims = (process.argv[3]?.split(',') ?? ['gate', 'database']) as ('gate' | 'database')[]
  for (const victim of victims) {
    const report = await crashCampaign({ kills, victim, report: console.log })
    console.log(`${victim}: held in ${kills} kills: ${JSON.stringify(report)}`)
  }
}
