import { type Command, Option } from 'commander'
import { withClient } from './gate-options.ts'

const STATUSES = ['pending', 'approved', 'denied', 'expired', 'cancelled', 'failed']
const STATES = [
  ...['held', 'executing', 'succeeded', 'failed', 'indeterminate', 'denied', 'expired'],
  'cancelled',
]
const EFFECTS = ['allow', 'deny', 'require_approval']
const AGENT_STATUSES = ['initializing', 'active', 'paused', 'stopped', 'retired']

/** What people do with a running gate. */
export function addPeople(program: Command): void {
  addApprovals(program.command('approvals').description('what waits for a person'))
  addKill(program.command('kill').description('the kill switch: stop everything, or a part of it'))
  addAgents(program.command('agents').description('the agents in the registry'))
  addActions(program.command('actions').description('what agents did, or tried to do'))
  addLogs(program.command('logs').description('the record as it is written'))
  addPolicy(program.command('policy').description('the policy of a running gate, and what it was'))
  addHooks(program.command('hook').description('hooks of clients that ask before they act'))
  addReplay(program)
  addKeys(program.command('keys').description('API keys of a running gate'))
}

/** A subcommand that asks a gate and prints what it says. */
const asking = (parent: Command, name: string, description: string): Command =>
  withClient(parent.command(name).description(description)).option('--json', 'the answer as JSON')

const limit = (command: Command): Command =>
  command.option('--limit <n>', 'how many at most, newest first', '50')

function addHooks(hook: Command): void {
  withClient(
    hook
      .command('claude')
      .description(
        'PreToolUse hook of Claude Code: exits 2, which blocks, on anything but an answer',
      ),
  ).action(async (options) => (await import('./hook.ts')).claudeHook(options))
}

function addApprovals(approvals: Command): void {
  limit(asking(approvals, 'list', 'list what is held'))
    .addOption(
      new Option('--status <status>', 'of this status').choices(STATUSES).default('pending'),
    )
    .option('--all', 'of any status')
    .option('--agent <agent>', "an agent's alone, by name or id")
    .action(async (options) => (await import('./approvals.ts')).listApprovals(options))
  asking(approvals, 'show', 'all it takes to judge one')
    .argument('<id>', 'id of the approval or of its action')
    .action(async (id: string, options) =>
      (await import('./approvals.ts')).showApproval(id, options),
    )
  for (const choice of ['approve', 'deny'] as const) {
    asking(approvals, choice, `${choice} what is held`)
      .argument('<id>', 'id of the approval or of its action')
      .option('--reason <text>', 'why; it goes on record')
      .action(async (id: string, options) =>
        (await import('./approvals.ts')).vote(choice, id, options),
      )
  }
}

function addKill(kill: Command): void {
  const scope = (command: Command): Command =>
    command
      .option('--agent <agent>', 'only this agent, by name or id; `*` works')
      .option('--tool <tool>', 'only this tool; `*` works')
      .option('--upstream <upstream>', 'only this upstream; `*` works')
      .requiredOption('--reason <text>', 'why; it goes on record')
  scope(
    asking(kill, 'on', 'no further effect starts; exits 5 while a replica has not confirmed'),
  ).action(async (options) => (await import('./kill.ts')).setKill(true, options))
  scope(asking(kill, 'off', 'release it; what is narrower or wider stays')).action(
    async (options) => (await import('./kill.ts')).setKill(false, options),
  )
  asking(kill, 'status', 'which switches are engaged').action(async (options) =>
    (await import('./kill.ts')).showKill(options),
  )
}

function addAgents(agents: Command): void {
  limit(asking(agents, 'list', 'list agents'))
    .addOption(new Option('--status <status>', 'of this status').choices(AGENT_STATUSES))
    .option('--role <role>', 'that have this role')
    .option('--owner <owner>', 'of this owner')
    .action(async (options) => (await import('./agents.ts')).listAgents(options))
  asking(agents, 'create', 'make an agent; its API key is printed alone, and shown once')
    .argument('<name>')
    .requiredOption('--role <role...>', 'what it may do is permitted to')
    .option('--owner <owner>', 'who answers for it')
    .option('--description <text>', 'what it is for')
    .action(async (name: string, options) =>
      (await import('./agents.ts')).createAgent(name, options),
    )
  asking(agents, 'show', 'one agent and its month')
    .argument('<agent>', 'name or id')
    .action(async (agent: string, options) =>
      (await import('./agents.ts')).showAgent(agent, options),
    )
  for (const [name, description] of [
    ['pause', 'refuse its actions until it is resumed'],
    ['resume', 'let it act again'],
  ] as const) {
    asking(agents, name, description)
      .argument('<agent>', 'name or id')
      .option('--reason <text>', 'why; it goes on record')
      .action(async (agent: string, options) =>
        (await import('./agents.ts')).changeAgent(name, agent, options),
      )
  }
}

function addActions(actions: Command): void {
  limit(asking(actions, 'list', 'list actions'))
    .addOption(new Option('--status <status>', 'of this status').choices(STATES))
    .option('--agent <agent>', "an agent's alone, by name or id")
    .option('--tool <tool>', 'of this tool')
    .action(async (options) => (await import('./actions.ts')).listActions(options))
  asking(actions, 'show', 'one action: what was asked, what was decided and why, what came of it')
    .argument('<id>')
    .action(async (id: string, options) => (await import('./actions.ts')).showAction(id, options))
  asking(actions, 'settle', 'say what became of an action whose outcome nobody knows')
    .argument('<id>')
    .addOption(
      new Option('--outcome <outcome>', 'what became of it')
        .choices(['succeeded', 'failed'])
        .makeOptionMandatory(),
    )
    .requiredOption('--reason <text>', 'how you know; it goes on record')
    .action(async (id: string, options) => (await import('./actions.ts')).settle(id, options))
}

function addLogs(logs: Command): void {
  asking(logs, 'tail', 'the last entries of the record, then each new one, until Ctrl-C')
    .option('-n, --lines <n>', 'how many of the last entries', '10')
    .option('--no-follow', 'end after these')
    .option('--agent <agent>', "an agent's alone, by name or id")
    .option('--types <kinds>', 'kinds of entries, or what comes before their dot, comma separated')
    .action(async (options) => (await import('./logs.ts')).tail(options))
}

function addKeys(keys: Command): void {
  asking(keys, 'list', 'list keys').action(async (options) =>
    (await import('./keys.ts')).listKeys(options),
  )
  withClient(keys.command('create'))
    .description('create a key; it is shown once')
    .requiredOption('--role <role>', 'agent, observer, approver, operator or admin')
    .requiredOption('--name <name>', 'who holds it')
    .option('--agent <agent>', 'the agent it acts as (role agent)')
    .action(async (options) => (await import('./keys.ts')).createKey(options))
  withClient(keys.command('revoke'))
    .description('revoke a key')
    .argument('<key>', 'id, or the name when only one live key has it')
    .action(async (id: string, options) => (await import('./keys.ts')).revokeKey(id, options))
}

function addReplay(program: Command): void {
  withClient(program.command('replay'))
    .description('decide what is on record again by another policy, with what was known then')
    .option('--since <span>', 'the last so long, such as 24h or 7d; default: a day')
    .option('--from <time>', 'from this time on, ISO 8601')
    .option('--to <time>', 'until then; default: now')
    .option('--policy <dir>', 'a policy directory; default: the live policy')
    .option('--revision <revision>', 'a revision that is kept, by its first characters')
    .option('--agent <agent>', "an agent's alone, by name or id")
    .option('--tool <tool>', 'of this tool')
    .addOption(new Option('--effect <effect>', 'that came out so').choices(EFFECTS))
    .option('--sample <n>', 'about as many, evenly taken')
    .option(
      '--fail-on <what>',
      'exits 5 where there is any of new-allow, new-deny, new-hold, error, unplayable',
    )
    .addOption(
      new Option('--format <format>', 'of the report')
        .choices(['text', 'json', 'junit', 'github'])
        .default('text'),
    )
    .option('--json', 'short for --format json')
    .action(async ({ json, ...options }) =>
      (await import('./replay.ts')).replay(json ? { ...options, format: 'json' } : options),
    )
}

function addPolicy(policy: Command): void {
  asking(policy, 'push', 'publish a policy directory; exits 3 when it does not load')
    .argument('[dir]', 'policy directory', 'policies')
    .option('--note <text>', 'why; it goes on record')
    .option('--base <revision>', 'what it was made from; default: what was pulled or pushed last')
    .option('--dry-run', 'check and test it there, and change nothing')
    .action(async (dir: string, options) => (await import('./policy-push.ts')).push(dir, options))
  asking(policy, 'pull', 'write what is live, or a past revision, into a directory')
    .argument('[dir]', 'policy directory', 'policies')
    .option(
      '--revision <revision>',
      'this revision, by its first characters; default: the live one',
    )
    .option('--force', 'also over files that were changed')
    .action(async (dir: string, options) => (await import('./policy-push.ts')).pull(dir, options))
  limit(asking(policy, 'log', 'what became the policy: who, when, why')).action(async (options) =>
    (await import('./policy-history.ts')).log(options),
  )
  asking(policy, 'show', 'one revision and its files')
    .argument('[revision]', 'its first characters; default: the live one')
    .option('--file <path>', 'the content of this file alone')
    .action(async (revision: string | undefined, options) =>
      (await import('./policy-history.ts')).show(revision, options),
    )
  asking(policy, 'diff', 'what differs between two revisions, and what it means')
    .argument('<from>')
    .argument('[to]', 'default: the live one')
    .action(async (from: string, to: string | undefined, options) =>
      (await import('./policy-history.ts')).diff(from, to, options),
    )
  asking(policy, 'rollback', 'go back to a revision that was live')
    .argument('<revision>', 'its first characters')
    .requiredOption('--reason <text>', 'why; it goes on record')
    .option('--dry-run', 'only say whether it could be done')
    .action(async (revision: string, options) =>
      (await import('./policy-history.ts')).rollback(revision, options),
    )
  asking(policy, 'publishes', 'publishes that wait, or waited, for other people').action(
    async (options) => (await import('./policy-history.ts')).publishes(options),
  )
  addCanary(
    policy
      .command('canary')
      .description('a policy on trial beside the live one: compare, or decide'),
  )
  for (const choice of ['approve', 'deny', 'cancel'] as const) {
    asking(policy, choice, `${choice} a publish that waits`)
      .argument('<id>')
      .option('--reason <text>', 'why; it goes on record')
      .action(async (id: string, options) =>
        (await import('./policy-history.ts')).decide(choice, id, options),
      )
  }
}

function addCanary(canary: Command): void {
  asking(canary, 'start', 'try a policy; exits 3 when it does not load')
    .argument('[dir]', 'policy directory; default: policies')
    .option('--revision <revision>', 'a revision that is kept, in place of a directory')
    .addOption(
      new Option('--mode <mode>', '`enforce`: it decides for its share of the agents')
        .choices(['compare', 'enforce'])
        .default('compare'),
    )
    .option('--percent <n>', 'of the agents; each is always on one side', '100')
    .option('--agent <agent...>', 'of these alone, by name or id')
    .option('--role <role...>', 'of those alone that have one of these')
    .option('--for <span>', 'how long, such as 24h or 7d', '24h')
    .option('--abort-errors <n>', 'end it at so many failures in five minutes')
    .option('--abort-deny-rate-x <n>', 'at so many times the denials of the live policy')
    .option('--abort-new-denials <n>', 'at so many denials that the live policy does not make')
    .option(
      '--abort-unplayable <n>',
      'at so many actions that only one of the two can be asked about',
    )
    .option('--abort-late <n>', 'at so many decisions that waited for the other policy in vain')
    .option('--note <text>', 'why; it goes on record')
    .addHelpText(
      'after',
      '\nWithout any --abort-…: at 1 failure, 3 times the denials, 50 new ones, 50 unplayable, or 50 late.',
    )
    .action(async (dir: string | undefined, options) =>
      (await import('./policy-canary.ts')).start(dir, options),
    )
  asking(canary, 'status', 'what is on trial, or was last, and what came of it').action(
    async (options) => (await import('./policy-canary.ts')).status(options),
  )
  asking(canary, 'promote', 'publish what is on trial')
    .option('--reason <text>', 'why; it goes on record')
    .action(async (options) => (await import('./policy-canary.ts')).promote(options))
  asking(canary, 'abort', 'end it: the live policy decides for all again')
    .requiredOption('--reason <text>', 'why; it goes on record')
    .action(async (options) => (await import('./policy-canary.ts')).abort(options))
}
