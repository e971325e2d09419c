/** Exit codes of every subcommand. */
export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  policy: 3,
  tests: 4,
  finding: 5,
} as const

/** Ends a subcommand with a message and a code, without a stack trace. */
export class CliError extends Error {
  readonly exit: number

  constructor(exit: number, message: string) {
    super(message)
    this.name = 'CliError'
    this.exit = exit
  }
}

/** Standard output is for data; everything said to a person goes to standard error. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}
