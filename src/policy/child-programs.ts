import { variablesIn } from '../bundle/child-env.ts'
import type { ChildProgram, ServerRequest } from '../model/tool.ts'
import type { PathStep } from '../sources/yaml.ts'

/** An MCP server as `tools.yaml` has it, its shape checked. */
export interface RawMcpServer {
  readonly url?: string
  readonly command?: readonly string[]
  readonly env?: readonly string[]
  readonly cwd?: string
  readonly allow_server_requests?: readonly ServerRequest[]
}

/** What says which code a program loads: with these, a policy would run what it likes in a program that is allowed. */
const LOADING =
  /^(?:PATH|ENV|BASH_ENV|NODE_OPTIONS|NODE_PATH|CLASSPATH)$|^(?:LD_|DYLD_|PYTHON|PERL5|RUBY|JAVA_|JDK_JAVA_|_JAVA_|DOTNET_|NPM_CONFIG_|UV_|PIP_|GIT_)/i

const NAMED = /\$\{([A-Za-z_][A-Za-z0-9_]*)/g

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
  checkEnv(env, report)
  const place = (text: string, ...at: readonly PathStep[]): string => {
    const own = [...text.matchAll(NAMED)].find(([, name = '']) => OWN.has(name))?.[1]
    if (own === undefined) return fill(text, ...at)
    report(at, 'bad_env', isOwn(own))
    return ''
  }
  const words = command.map((word, index) => place(word, 'mcp', 'command', index))
  const [program = ''] = words
  if (program.includes('/') && !program.startsWith('/')) {
    report(['mcp', 'command', 0], 'bad_mcp', 'the path of a program is absolute')
  }
  return {
    command: words,
    env: [...env],
    cwd: cwd === undefined ? null : place(cwd, 'mcp', 'cwd'),
  }
}

function checkEnv(env: readonly string[], report: Report): void {
  for (const [index, entry] of env.entries()) {
    const at = ['mcp', 'env', index]
    const own = variablesIn(entry).find((name) => OWN.has(name))
    const [name = ''] = entry.split('=', 1)
    if (own !== undefined) report(at, 'bad_env', isOwn(own))
    else if (entry.includes('=') && LOADING.test(name)) {
      const message = `\`${name}\` says what is run: only the gate's own value will do`
      report(at, 'bad_env', message)
    }
  }
}

const isOwn = (name: string): string => `\`${name}\` is the gate's own: no program is given it`

interface Unused {
  readonly credential?: unknown
  readonly headers?: unknown
  readonly mcp?: RawMcpServer
}

/** What says nothing to a program. */
export function reportUnused(raw: Unused, report: Report): void {
  for (const key of ['credential', 'headers'] as const) {
    if (raw[key] === undefined) continue
    const message = `\`${key}\` is of HTTP; a program is given its credentials by \`env\``
    report([key], 'bad_mcp', message)
  }
  // All its clients speak through one pipe, so that nobody can know for which of their calls it asks.
  if (raw.mcp?.allow_server_requests === undefined) return
  const message =
    '`allow_server_requests` is of servers over HTTP; of a program nothing is passed on'
  report(['mcp', 'allow_server_requests'], 'bad_mcp', message)
}
