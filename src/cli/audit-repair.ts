import { type Config, readConfig } from '../config.ts'
import { acceptLoss, newKey, NothingToDo } from '../maintenance.ts'
import { CliError, EXIT, say } from './exit.ts'
import { causeOf } from './start-causes.ts'

/** `portcullis audit accept-loss`: exits 2 when nothing is lost. */
export async function acceptAuditLoss(options: { reason: string }): Promise<void> {
  const config = readConfig()
  const count = await repaired(config, () => acceptLoss(config, options.reason))
  say(`on record: ${count} entries are gone; every verification shows it from now on`)
}

/** `portcullis audit new-key`. */
export async function newAuditKey(options: { reason: string }): Promise<void> {
  const config = readConfig()
  await repaired(config, () => newKey(config, options.reason))
  say('a new signing key is in the data directory, and the record says why')
}

async function repaired<Output>(config: Config, work: () => Promise<Output>): Promise<Output> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof NothingToDo ? EXIT.usage : EXIT.internal
    throw new CliError(code, causeOf(error, config) ?? (error as Error).message)
  }
}
