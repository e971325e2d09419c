import { Command } from 'commander'
import { readVersion } from '../lib/version.ts'
import { addRego } from './rego-commands.ts'
import { run } from './run.ts'
import { shortRun } from './short-run.ts'

// The command of the compiler's own package: it knows nothing of gates, so folders are read as `opa` reads them.
const program = new Command('portcullis-rego')
  .description('Rego to WebAssembly: check, evaluate, test, format and build policies.')
  .version(readVersion())
  .exitOverride()
program.hook('preAction', shortRun)
addRego(program, async () => undefined)
await run(program)
