// What each MCP client wants to be told so that it calls through the gate, in its own words. The command line prints it, and
// the dashboard shows it.

export const MCP_CLIENTS = ['claude-code', 'claude-desktop', 'cursor', 'vscode'] as const
export type McpClientName = (typeof MCP_CLIENTS)[number]

/** The place of an agent's key in what can be shown around. */
export const NO_KEY = '<agent key>'

export interface McpClientConfig {
  readonly text: string
  /** What to do with it. */
  readonly where: string
}

/** In place of a server: all of them, under one path. */
export const ALL_SERVERS = '*'

/**
 * What a client is told of a server of a gate: `tools`, an MCP server behind it, or all of them. Without a key it gets a token by
 * itself, where the gate is set up for that.
 */
export function mcpClientConfig(
  client: McpClientName,
  {
    gate,
    server,
    key,
  }: { readonly gate: string; readonly server: string; readonly key: string | null },
): McpClientConfig {
  const isAll = server === ALL_SERVERS
  const name = isAll ? 'portcullis' : `portcullis-${server}`
  return WAYS[client]({ name, url: isAll ? `${gate}/mcp` : `${gate}/mcp/${server}`, key })
}

interface At {
  readonly name: string
  readonly url: string
  /** Null: it gets a token by itself. */
  readonly key: string | null
}

const json = (value: unknown): string => JSON.stringify(value, null, 2)

const WAYS: Readonly<Record<McpClientName, (at: At) => McpClientConfig>> = {
  'claude-code': ({ name, url, key }) => ({
    where: 'run this where Claude Code works:',
    text: `claude mcp add --transport http ${name} ${url}${key === null ? '' : ` --header ${quoted(`X-API-Key: ${key}`)}`}`,
  }),
  // It starts programs and speaks to them over standard input; this one speaks HTTP for it.
  'claude-desktop': ({ name, url, key }) => ({
    where: 'into claude_desktop_config.json (Settings, Developer, Edit Config); it needs Node:',
    text: json({
      mcpServers: {
        [name]: {
          command: 'npx',
          args: [
            ...['-y', 'mcp-remote', url],
            ...(key === null ? [] : ['--header', 'X-API-Key:${PORTCULLIS_KEY}']),
          ],
          ...(key === null ? {} : { env: { PORTCULLIS_KEY: key } }),
        },
      },
    }),
  }),
  cursor: ({ name, url, key }) => ({
    where: 'into .cursor/mcp.json of a project, or ~/.cursor/mcp.json:',
    text: json({ mcpServers: { [name]: { url, ...headersWith(key) } } }),
  }),
  vscode: ({ name, url, key }) => ({
    where: 'into .vscode/mcp.json:',
    text: json({ servers: { [name]: { type: 'http', url, ...headersWith(key) } } }),
  }),
}

const headersWith = (key: string | null) => (key === null ? {} : { headers: { 'X-API-Key': key } })

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`
