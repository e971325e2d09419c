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

/**
 * Text that others wrote, for a terminal: what could steer it is written as an escape. Line breaks and tabs stay.
 */
export const visible = (text: string): string =>
  text.replace(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16)
    return `\\u{${code}}`
  })
