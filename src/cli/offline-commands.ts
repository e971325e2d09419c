import { type Command, Option } from 'commander'
import { withClient } from './gate-options.ts'

/** The gate itself, what looks after its folder, and its record. */
export function addOffline(program: Command): void {
  program
    .command('init')
    .description('make a folder in which `portcullis start` works: policies, settings, secrets')
    .argument('[dir]', 'the folder', '.')
    .option('--from <document>', 'tools for the API of an OpenAPI document: a file, a URL, or -')
    .option('--upstream <name>', 'what that API is called; default: after its title')
    .action(async (dir: string, options: { from?: string; upstream?: string }) =>
      (await import('./init.ts')).init(dir, options),
    )
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
    .option('--json', 'diagnostics as JSON, the same as --format json')
    .addOption(
      new Option('--format <format>', 'github: annotations of a workflow; sarif: code scanning')
        .choices(['text', 'json', 'github', 'sarif'])
        .default('text'),
    )
    .option('--strict', 'warnings are errors')
    .action(async (dir: string, { json = false, ...options }) =>
      (await import('./check.ts')).check(dir, { ...options, ...(json ? { format: 'json' } : {}) }),
    )
  program
    .command('doctor')
    .description('check Node, settings, ports, database, policies and write rights')
    .action(async () => (await import('./doctor.ts')).doctor())
  addImport(program.command('import').description('policies from what others describe'))
  addAudit(program.command('audit').description('the audit record'))
  addManifest(program.command('manifest').description('signed manifests of agents'))
}

function addImport(importing: Command): void {
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
}

function addAudit(audit: Command): void {
  withClient(audit.command('export'))
    .description('write the whole record as newline-delimited JSON')
    .option('--out <file>', 'file to write; default: standard output')
    .action(async (options) => (await import('./audit.ts')).exportAudit(options))
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
    .action(async (file: string, options) =>
      (await import('./audit.ts')).verifyAudit(file, options),
    )
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
}

function addManifest(manifest: Command): void {
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
}
