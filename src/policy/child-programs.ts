import { variablesIn } from '../bundle/child-env.ts'
import type { ChildProgram } from '../model/tool.ts'
import type { PathStep } from '../sources/yaml.ts'

/** An MCP server as `tools.yaml` has it, its shape checked. */
export interface RawMcpServer {
  readonly url?: string
  readonly command?: readonly string[]
  readonly env?: readonly string[]
  readonly cwd?: string
}

type Report = (at: readonly PathStep[], code: string, message: string) => void
type Fill = (text: string, ...at: readonly PathStep[]) => string

/** What nobody but the gate itself is to have. */
const OWN: ReadonlySet<string> = new Set([
  ...['DATABASE_URL', 'API_TOKENS', 'API_KEY', 'PORTCULLIS_KEY', 'WEBHOOK_SECRET'],
  ...['POLICY_BUNDLE_TOKEN', 'BUNDLE_SIGNING_KEY'],
])

/** The program that an upstream is; undefined: it has an address. */
export function readProgram(
  raw: RawMcpServer,
  fill: Fill,
  report: Report,
): ChildProgram | undefined {
  const { url, command, env = [], cwd } = raw
  if ((url === undefined) === (command === undefined)) {
    report(['mcp'], 'bad_mcp', 'an MCP server has one of `url` and `command`')
  }
  if (!command) {
    if (raw.env ?? cwd) report(['mcp'], 'bad_mcp', '`env` and `cwd` go with `command`')
    return undefined
  }
  if (command[0] === '') report(['mcp', 'command', 0], 'bad_mcp', 'the program has no name')
  for (const [index, entry] of env.entries()) {
    const own = variablesIn(entry).find((name) => OWN.has(name))
    if (own === undefined) continue
    report(['mcp', 'env', index], 'bad_env', `\`${own}\` is the gate's own: no program is given it`)
  }
  return {
    command: command.map((word, index) => fill(word, 'mcp', 'command', index)),
    env: [...env],
    cwd: cwd === undefined ? null : fill(cwd, 'mcp', 'cwd'),
  }
}

/** What says nothing to a program. */
export function reportUnused(raw: Readonly<Record<string, unknown>>, report: Report): void {
  for (const key of ['credential', 'headers'] as const) {
    if (raw[key] === undefined) continue
    const message = `\`${key}\` is of HTTP; a program is given its credentials by \`env\``
    report([key], 'bad_mcp', message)
  }
}
