import { Command, CommanderError, Option } from 'commander'
import { EXIT } from './exit.ts'
import { shortRun } from './short-run.ts'

// Subcommands are imported when they run: the whole gate takes half a second to load.
const program = new Command('portcullis')
  .description('The gate between AI agents and the systems they act on.')
  .showSuggestionAfterError()
  .exitOverride()

/** Commands that stay. */
const SERVING = new Set(['start', 'demo'])
program.hook('preAction', (_, command) => {
  if (!SERVING.has(command.name())) shortRun()
})

const client = (command: Command): Command =>
  command
    .option('--url <url>', 'the gate; default: PORTCULLIS_URL, else HOST and PORT')
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
  .option('--strict', 'warnings are errors')
  .action(async (dir: string, options: { json?: boolean; strict?: boolean }) =>
    (await import('./check.ts')).check(dir, options),
  )

const importing = program.command('import').description('policies from what others describe')
importing
  .command('openapi')
  .description('tools.yaml from an OpenAPI 3 or Swagger 2 document; permits nothing')
  .argument('<document>', 'file, URL, or - for standard input')
  .requiredOption('--upstream <name>', 'what the upstream is called')
  .option('--only <pattern>', "names of tools, such as 'contacts.*'")
  .option('--tag <tag>', 'only operations with this tag')
  .option('--out <dir>', 'policy directory to write to; default: standard output')
  .action(async (document: string, options) =>
    (await import('./import-openapi.ts')).importDocument(document, options),
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
audit
  .command('accept-loss')
  .description('say that entries are gone because a backup was restored (while no gate runs)')
  .requiredOption('--reason <text>', 'why; every verification shows it from then on')
  .action(async (options) => (await import('./audit-repair.ts')).acceptAuditLoss(options))
audit
  .command('new-key')
  .description('make a new signing key when the one before is lost (while no gate runs)')
  .requiredOption('--reason <text>', 'why; it goes on record')
  .action(async (options) => (await import('./audit-repair.ts')).newAuditKey(options))

const manifest = program.command('manifest').description('signed manifests of agents')
manifest
  .command('keygen')
  .description('make an Ed25519 key pair: <out>.key.pem and <out>.pub.pem')
  .option('--out <prefix>', 'where to write', 'manifest')
  .action(async (options: { out: string }) =>
    (await import('./manifest.ts')).manifestKeygen(options.out),
  )
manifest
  .command('sign')
  .description('sign a manifest: JSON with `name`, `manifest_version` and members of an agent')
  .argument('<file>')
  .requiredOption('--key <file>', 'PEM file of the private key')
  .option('--out <file>', 'file to write; default: standard output')
  .action(async (file: string, options: { key: string; out?: string }) =>
    (await import('./manifest.ts')).manifestSign(file, options),
  )
manifest
  .command('verify')
  .description('check a signed manifest; exits 5 when it is not to be believed')
  .argument('<file>')
  .requiredOption('--public-key <file...>', 'PEM file(s) of the trusted key(s)')
  .action(async (file: string, options: { publicKey: string[] }) =>
    (await import('./manifest.ts')).manifestVerify(file, options),
  )

const testCommand = (command: Command): Command =>
  command
    .description(
      'run the test_ rules of Rego files and the matrices of tests/*.yaml; exits 4 when one does not hold',
    )
    .argument('[paths...]', 'files and folders', ['policies'])
    .option('--run <regex>', 'only tests whose path matches')
    .addOption(new Option('--format <format>').choices(['text', 'json', 'junit']).default('text'))
    .option('--coverage', 'which expressions the tests reach')
    .option('--fail-under <percent>', 'least coverage')
    .option('--watch', 'run again at each change')
    .option('--require', 'exit 4 also when there is no test')
    .option('--v0', 'the old dialect')
    .action(async (paths: string[], options) => (await import('./test.ts')).test(paths, options))
testCommand(program.command('test'))

const rego = program.command('rego').description('the Rego compiler')
const dialect = (command: Command): Command =>
  command.option('--v0', 'the old dialect').option('--json', 'diagnostics as JSON')
dialect(rego.command('check').description('check modules').argument('<paths...>'))
  .option('--strict', 'unused imports, variables and arguments are errors')
  .action(async (paths: string[], options) => (await import('./rego.ts')).regoCheck(paths, options))
dialect(rego.command('eval').description('evaluate a query').argument('<query>'))
  .option('-d, --data <paths...>', 'modules and JSON documents')
  .option('-i, --input <file>', 'input document')
  .option('--explain', 'also which expressions held, and with which values')
  .action(async (query: string, options) => (await import('./rego.ts')).regoEval(query, options))
dialect(rego.command('fmt').description('format files in place').argument('<paths...>'))
  .option('--list', 'only name the files that differ; exits 5 when there are any')
  .action(async (paths: string[], options) => (await import('./rego.ts')).regoFmt(paths, options))
rego
  .command('migrate')
  .description('rewrite files of the old dialect in the new one')
  .argument('<paths...>')
  .option('--list', 'only name the files that would change')
  .option('--json', 'diagnostics as JSON')
  .action(async (paths: string[], options) =>
    (await import('./rego.ts')).regoMigrate(paths, options),
  )
dialect(rego.command('parse').description('the syntax tree as JSON').argument('<file>')).action(
  async (file: string, options) => (await import('./rego.ts')).regoParse(file, options),
)
dialect(rego.command('build').description('write a bundle').argument('<paths...>'))
  .requiredOption('-e, --entrypoint <path...>', 'such as agent/allow')
  .option('-o, --out <file>', 'bundle to write', 'bundle.tar.gz')
  .action(async (paths: string[], options) => (await import('./rego.ts')).regoBuild(paths, options))
testCommand(rego.command('test'))

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
