import fs from 'node:fs'
import path from 'node:path'
import type { Pool } from 'pg'
import { liveReplicas } from './control/replica.ts'
import { ensureDirectory } from './lib/directories.ts'
import { createLogger } from './lib/log.ts'
import type { Config } from './config.ts'
import { Checkpointer } from './record/checkpoints.ts'
import { readHead } from './record/audit.ts'
import { Ledger } from './record/ledger.ts'
import { prepareWeeks } from './record/retention.ts'
import { HeadFloor } from './store/head-floor.ts'
import { Store } from './store/store.ts'

// What is done to a record by hand, on the machine that holds its signing key, while no gate runs on it:
// saying that a restored backup lost entries, and that a signing key is gone.

/** Nothing of the work was there to be done. */
export class NothingToDo extends Error {}

const DEADLINE_MS = 10_000

/**
 * Puts on record, signed, that the entries behind the largest checkpoint are gone. Answers how many. Where another gate on
 * this database has accepted the same loss, this one accepts it too, by its own key, however far the record has grown.
 * @throws NothingToDo when the record is whole
 */
export async function acceptLoss(config: Config, reason: string): Promise<bigint> {
  return withRecord(config, async ({ store, ledger, checkpoints }) => {
    await checkpoints.open()
    const lost = checkpoints.rolledBackBehind
    if (!lost) throw new NothingToDo('the record is whole: there is no loss to accept')
    const left = (await checkpoints.acceptedElsewhere(lost)) ?? (await readHead(store.db))
    if (left.size >= lost.size) {
      throw new Error('the record was not cut but rewritten; restore a backup of it first')
    }
    const entry = checkpoints.acceptLoss(lost, left, reason)
    await ledger.write(async (tx) => tx.append(entry))
    await checkpoints.checkpoint()
    return lost.size - left.size
  })
}

/** Makes a new signing key and puts on record that the one before is gone, and why. */
export async function newKey(config: Config, reason: string): Promise<void> {
  await withRecord(config, ({ ledger, checkpoints }) =>
    ledger.write((tx) => checkpoints.replaceKey(tx, reason)),
  )
}

/**
 * Opens the database as a start does, and changes nothing. What a start would make is made in it, and taken back.
 * @throws what a start would
 */
export async function tryDatabase(
  { databaseUrl, dataDir }: Config,
  look: (pool: Pool) => Promise<void>,
): Promise<void> {
  const store = new Store({ databaseUrl, dataDir, log: createLogger('silent', null) })
  await store.tryOut(look)
}

interface Parts {
  readonly store: Store
  readonly ledger: Ledger
  readonly checkpoints: Checkpointer
}

// A mistyped directory must not become one with a record of its own.
function assertRecord({ databaseUrl, dataDir }: Config): void {
  const isThere = (name: string) => fs.existsSync(path.join(dataDir, name))
  if (databaseUrl !== null || isThere('db') || isThere('checkpoints.jsonl')) return
  throw new NothingToDo(`there is no record in ${dataDir}; set DATA_DIR or DATABASE_URL`)
}

async function withRecord<Output>(
  config: Config,
  work: (parts: Parts) => Promise<Output>,
): Promise<Output> {
  assertRecord(config)
  ensureDirectory(config.dataDir, 0o700)
  const log = createLogger(config.logLevel, config.logFile)
  const store = new Store({ databaseUrl: config.databaseUrl, dataDir: config.dataDir, log })
  const floor = new HeadFloor()
  await store.start()
  const ledger = new Ledger({
    config: store.clientConfig('portcullis-ledger'),
    log,
    deadlineMs: DEADLINE_MS,
    floor,
    isServer: !store.isEmbedded,
  })
  try {
    await assertNoGate(store)
    await ledger.start()
    await ledger.write((tx) => prepareWeeks(tx, tx.nowMs))
    const { db } = store
    const checkpoints = new Checkpointer({
      db,
      dataDir: config.dataDir,
      log,
      floor,
      sinks: [],
      othersAlive: async () => false,
    })
    return await work({ store, ledger, checkpoints })
  } finally {
    await ledger.stop()
    await store.stop()
  }
}

// The embedded database has a lock of its own, and leases that a dead gate left there are over.
async function assertNoGate(store: Store): Promise<void> {
  if (store.isEmbedded) return
  const [running] = await liveReplicas(store.db)
  if (running) throw new Error(`a gate on ${running.host} is running; stop it first`)
}
