import { type Config, ConfigError, parseConfig, readConfig } from './config.ts'
import { type ErrorCode, ERRORS, GatewayError } from './errors.ts'

export { type Config, ConfigError, type ErrorCode, ERRORS, GatewayError, parseConfig, readConfig }

/** A gate that runs in this process. */
export interface RunningGate {
  /** Where it answers. */
  readonly url: string
  /** Finishes what is under way, then lets go of the port, the database and the policies. */
  stop(): Promise<void>
}

/**
 * Starts a gate in this process, as `portcullis start` does, without the demo, keys or signals: `API_TOKENS` of the
 * configuration opens it.
 * @throws GatewayError `policy_invalid` and others; nothing is left running then
 */
export async function startGate(config: Config = readConfig()): Promise<RunningGate> {
  const { Gate } = await import('./main.ts')
  const gate = new Gate(config)
  await gate.start()
  return { url: gate.url, stop: () => gate.stop() }
}
