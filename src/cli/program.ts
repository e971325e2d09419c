import { Command } from 'commander'
import { readVersion } from '../lib/version.ts'
import { addMcp } from './mcp-commands.ts'
import { addOffline } from './offline-commands.ts'
import { addPeople } from './people-commands.ts'
import { addRego, addTest } from './rego-commands.ts'
import { shortRun } from './short-run.ts'

/** Commands that stay. */
const SERVING = new Set(['start', 'demo', 'tail'])

const policies = async () => (await import('./policy-directories.ts')).POLICY_DIRECTORIES

/** The whole command. Subcommands are imported when they run: the whole gate takes half a second to load. */
export function portcullis(): Command {
  const program = new Command('portcullis')
    .description('The gate between AI agents and the systems they act on.')
    .version(readVersion())
    .exitOverride()
  program.hook('preAction', (_, command) => {
    if (!SERVING.has(command.name())) shortRun()
  })
  program.commandsGroup('The gate and its folder:')
  addOffline(program)
  program.commandsGroup('What people do with a running gate:')
  addPeople(program)
  program.commandsGroup('Policies and the shell:')
  addTest(
    program,
    'run the test_ rules of Rego files and the matrices of tests/*.yaml; exits 4 when one does not hold',
    policies,
  )
  addMcp(program.command('mcp').description('MCP servers behind the gate, and clients before it'))
  addRego(program.command('rego').description('the Rego compiler'), policies)
  addCompletion(program)
  return program
}

function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('completion for a shell; its head says how to install it')
    .argument('<shell>', 'bash, zsh or fish')
    .action(async (shell: string) => (await import('./completion.ts')).printCompletion(shell))
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: string[]) =>
      (await import('./completion.ts')).printCandidates(program, words),
    )
}
