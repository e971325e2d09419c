import { type Command, Option } from 'commander'
import type { PolicyDirectories } from './rego-files.ts'

/** What the gate makes of a policy directory; undefined where there is no gate. */
type Policies = () => Promise<PolicyDirectories | undefined>

/** The subcommands of the compiler: check, eval, test, fmt, migrate, parse, build. */
export function addRego(parent: Command, policies: Policies): void {
  dialect(parent.command('check').description('check modules').argument('<paths...>'))
    .option('--strict', 'unused imports, variables and arguments are errors')
    .action(async (paths: string[], options) =>
      (await import('./rego.ts')).regoCheck(paths, options),
    )
  dialect(parent.command('eval').description('evaluate a query').argument('<query>'))
    .option('-d, --data <paths...>', 'modules and JSON documents')
    .option('-i, --input <file>', 'input document')
    .option('--explain', 'also which expressions held, and with which values')
    .action(async (query: string, options) =>
      (await import('./rego.ts')).regoEval(query, options, await policies()),
    )
  dialect(parent.command('fmt').description('format files in place').argument('<paths...>'))
    .option('--list', 'only name the files that differ; exits 5 when there are any')
    .action(async (paths: string[], options) => (await import('./rego.ts')).regoFmt(paths, options))
  parent
    .command('migrate')
    .description('rewrite files of the old dialect in the new one')
    .argument('<paths...>')
    .option('--list', 'only name the files that would change')
    .option('--json', 'diagnostics as JSON')
    .action(async (paths: string[], options) =>
      (await import('./rego.ts')).regoMigrate(paths, options),
    )
  dialect(parent.command('parse').description('the syntax tree as JSON').argument('<file>')).action(
    async (file: string, options) => (await import('./rego.ts')).regoParse(file, options),
  )
  dialect(parent.command('build').description('write a bundle').argument('<paths...>'))
    .requiredOption('-e, --entrypoint <path...>', 'such as agent/allow')
    .option('-o, --out <file>', 'bundle to write', 'bundle.tar.gz')
    .action(async (paths: string[], options) =>
      (await import('./rego.ts')).regoBuild(paths, options, await policies()),
    )
  addTest(parent, 'run the test_ rules of Rego files; exits 4 when one does not hold', policies)
}

/** `test`, of the compiler and of the gate. */
export function addTest(parent: Command, description: string, policies: Policies): void {
  parent
    .command('test')
    .description(description)
    .argument('[paths...]', 'files and folders', ['policies'])
    .option('--run <regex>', 'only tests whose path matches')
    .addOption(new Option('--format <format>').choices(['text', 'json', 'junit']).default('text'))
    .option('--coverage', 'which expressions the tests reach')
    .option('--fail-under <percent>', 'least coverage')
    .option('--watch', 'run again at each change')
    .option('--require', 'exit 4 also when there is no test')
    .option('--v0', 'the old dialect')
    .action(async (paths: string[], options) =>
      (await import('./test.ts')).test(paths, options, await policies()),
    )
}

const dialect = (command: Command): Command =>
  command.option('--v0', 'the old dialect').option('--json', 'diagnostics as JSON')
