import { Argument, type Command, Option } from 'commander'
import { MCP_CLIENTS } from '../client/mcp-clients.ts'

/** MCP servers behind the gate, and clients before it. */
export function addMcp(mcp: Command): void {
  const directory = (command: Command): Command =>
    command.option('--dir <dir>', 'policy directory', 'policies')
  directory(mcp.command('pin').description('show what a server lists, and pin it: mcp-pins.json'))
    .argument('<server>', 'an upstream of tools.yaml with `mcp`')
    .option('--tool <name...>', 'only these tools')
    .option('--by <name>', 'who has looked at it; default: your account')
    .action(async (server: string, options) => (await import('./mcp.ts')).pin(server, options))
  directory(
    mcp.command('diff').description('what servers list otherwise than it is pinned; exits 5 then'),
  )
    .addArgument(new Argument('[server]', 'default: all'))
    .action(async (server: string | undefined, options) =>
      (await import('./mcp.ts')).diff(server, options),
    )
  directory(mcp.command('list').description('what servers list, and how it is pinned'))
    .addArgument(new Argument('[server]', 'default: all'))
    .action(async (server: string | undefined, options) =>
      (await import('./mcp.ts')).list(server, options),
    )
  mcp
    .command('config')
    .description('print what a client is to be given, so that it calls through the gate')
    .addOption(
      new Option('--client <client>', 'for which client')
        .choices(MCP_CLIENTS)
        .makeOptionMandatory(),
    )
    .option('--server <name>', 'tools, portcullis, or an MCP server of tools.yaml', 'tools')
    .option('--all', 'every server, under one path')
    .option('--url <url>', 'the gate; default: PORTCULLIS_URL, else HOST and PORT')
    .addOption(
      new Option('--key <key>', "an agent's key; default: a place for it").conflicts('oauth'),
    )
    .option('--oauth', 'without a key: the client gets tokens of the authorization server')
    .action(async (options) => (await import('./mcp-config.ts')).printConfig(options))
}
