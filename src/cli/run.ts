import { type Command, CommanderError } from 'commander'
import { EXIT } from './exit.ts'
import { endUnread } from './unread.ts'

/** A command that failed and has said so ends, whatever of it is still open. */
const END_MS = 5_000

/** Runs a program; how it ended becomes the exit code, in one line and without a stack trace where it was expected. */
export async function run(program: Command): Promise<void> {
  pointToHelp(program)
  endUnread()
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = exitCode(error)
    setTimeout(() => process.exit(), END_MS).unref()
  }
}

/** Whoever mistypes an option learns where the right ones stand. */
export function pointToHelp(command: Command): void {
  const words: string[] = []
  for (let at: Command | null = command; at; at = at.parent) words.unshift(at.name())
  command.showHelpAfterError(`run \`${words.join(' ')} --help\` for what there is`)
  for (const one of command.commands) pointToHelp(one)
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const { exit, message, name } = error as { exit?: number; message: string; name: string }
  const isExpected = exit !== undefined || name === 'ConfigError' || name === 'GatewayError'
  process.stderr.write(`${isExpected ? message : ((error as Error).stack ?? message)}\n`)
  if (exit !== undefined) return exit
  return name === 'ConfigError' ? EXIT.usage : EXIT.internal
}
