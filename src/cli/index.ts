import { Command, CommanderError } from 'commander'
import { EXIT } from './exit.ts'

// Subcommands are imported when they run: the whole gate takes half a second to load.
const program = new Command('portcullis')
  .description('The gate between AI agents and the systems they act on.')
  .showSuggestionAfterError()
  .exitOverride()

const client = (command: Command): Command =>
  command
    .option('--url <url>', 'the gate', 'http://127.0.0.1:8787')
    .option('--key <key>', 'API key; default: $PORTCULLIS_KEY, then the admin key in DATA_DIR')

program
  .command('start')
  .description('start the gate (and the demo business system, unless DEMO=off)')
  .action(async () => (await import('./start.ts')).start())

program
  .command('demo')
  .description('play the five acts against a real gate and a real upstream')
  .action(async () => (await import('./demo.ts')).demo())

program
  .command('check')
  .description('check a policy directory')
  .argument('[dir]', 'policy directory', 'policies')
  .option('--json', 'diagnostics as JSON')
  .action(async (dir: string, options: { json?: boolean }) =>
    (await import('./check.ts')).check(dir, options.json ?? false),
  )

const keys = program.command('keys').description('API keys of a running gate')
client(keys.command('list').description('list keys')).action(async (options) =>
  (await import('./keys.ts')).listKeys(options),
)
client(
  keys
    .command('create')
    .description('create a key; it is shown once')
    .requiredOption('--role <role>', 'agent, observer, approver, operator or admin')
    .requiredOption('--name <name>', 'who holds it')
    .option('--agent <agent>', 'the agent it acts as (role agent)'),
).action(async (options) => (await import('./keys.ts')).createKey(options))
client(keys.command('revoke').description('revoke a key').argument('<id>')).action(
  async (id: string, options) => (await import('./keys.ts')).revokeKey(id, options),
)

const audit = program.command('audit').description('the audit record')
client(
  audit
    .command('export')
    .description('write the whole record as newline-delimited JSON')
    .option('--out <file>', 'file to write; default: standard output'),
).action(async (options) => (await import('./audit.ts')).exportAudit(options))
audit
  .command('verify')
  .description('verify an export with nothing but the public key')
  .argument('<export>', 'file written by `audit export`')
  .requiredOption('--public-key <file...>', 'PEM file(s) of the signing key(s)')
  .option(
    '--checkpoints <file>',
    'checkpoints kept outside the database (DATA_DIR/checkpoints.jsonl)',
  )
  .option('--json', 'the verdict as JSON')
  .action(async (file: string, options) => (await import('./audit.ts')).verifyAudit(file, options))

program
  .command('doctor')
  .description('check Node, settings, ports, database, policies and write rights')
  .action(async () => (await import('./doctor.ts')).doctor())

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCode(error)
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const { exit, message, name } = error as { exit?: number; message: string; name: string }
  const isExpected = exit !== undefined || name === 'ConfigError' || name === 'GatewayError'
  process.stderr.write(`${isExpected ? message : ((error as Error).stack ?? message)}\n`)
  if (exit !== undefined) return exit
  return name === 'ConfigError' ? EXIT.usage : EXIT.internal
}
