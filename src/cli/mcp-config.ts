import { gateUrl } from './gate-client.ts'
import { print, say } from './exit.ts'

// What each client wants to be told, in its own words. The key is an agent's: it is left for the user to fill in unless it
// is given, so that what is printed can be shown around.

export interface ConfigOptions {
  readonly client: 'claude-code' | 'claude-desktop' | 'cursor' | 'vscode'
  readonly server: string
  readonly url?: string
  readonly key?: string
}

const NO_KEY = '<agent key>'

/** `portcullis mcp config` */
export function printConfig({ client, server, url, key = NO_KEY }: ConfigOptions): void {
  const at = { name: `portcullis-${server}`, url: `${gateUrl(url)}/mcp/${server}`, key }
  const { text, where } = WAYS[client](at)
  say(where)
  print(text)
}

interface At {
  readonly name: string
  readonly url: string
  readonly key: string
}

interface Way {
  readonly text: string
  readonly where: string
}

const json = (value: unknown): string => JSON.stringify(value, null, 2)

const WAYS: Readonly<Record<ConfigOptions['client'], (at: At) => Way>> = {
  'claude-code': ({ name, url, key }) => ({
    where: 'run this where Claude Code works:',
    text: `claude mcp add --transport http ${name} ${url} --header ${quoted(`X-API-Key: ${key}`)}`,
  }),
  // It starts programs and speaks to them over standard input; this one speaks HTTP for it.
  'claude-desktop': ({ name, url, key }) => ({
    where: 'into claude_desktop_config.json (Settings, Developer, Edit Config); it needs Node:',
    text: json({
      mcpServers: {
        [name]: {
          command: 'npx',
          args: ['-y', 'mcp-remote', url, '--header', 'X-API-Key:${PORTCULLIS_KEY}'],
          env: { PORTCULLIS_KEY: key },
        },
      },
    }),
  }),
  cursor: ({ name, url, key }) => ({
    where: 'into .cursor/mcp.json of a project, or ~/.cursor/mcp.json:',
    text: json({ mcpServers: { [name]: { url, headers: { 'X-API-Key': key } } } }),
  }),
  vscode: ({ name, url, key }) => ({
    where: 'into .vscode/mcp.json:',
    text: json({ servers: { [name]: { type: 'http', url, headers: { 'X-API-Key': key } } } }),
  }),
}

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`
