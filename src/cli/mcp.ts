import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readConfig } from '../config.ts'
import { KINDS } from '../decide/index.ts'
import { compileForeignSchema } from '../bundle/ajv.ts'
import { type Pin, type Pins, PINS_FILE, pinKey, readPins, writePins } from '../bundle/pins.ts'
import { diffTexts } from '../lib/unified-diff.ts'
import type { JsonObject } from '../model/json.ts'
import type { Upstream } from '../model/tool.ts'
import { readTools } from '../policy/tools.ts'
import { credentialVariables } from '../protocols/http/credential-variables.ts'
import { UpstreamClient } from '../protocols/http/upstream-client.ts'
import { connection } from '../protocols/mcp/connect.ts'
import { PeerError } from '../protocols/mcp/connection.ts'
import { type Listed, type Listing, Peer } from '../protocols/mcp/peer.ts'
import { Findings } from '../sources/diagnostics.ts'
import { parseYaml } from '../sources/yaml.ts'
import { CliError, EXIT, print, say, visible } from './exit.ts'
import { policyFailure } from './policy-report.ts'
import { table } from './table.ts'

// Pins are made by a person who has seen what a server lists: it is shown first, as a diff against what was pinned before,
// and goes into a file of the policy directory, which is reviewed and recorded like the rest of it.

export interface PinOptions {
  readonly dir: string
  readonly tool?: readonly string[]
  readonly by?: string
}

const DIFF_LINES_MAX = 2_000

/** `portcullis mcp pin`: writes what a server lists now into the pins. */
export async function pin(server: string, { dir, tool: only, by }: PinOptions): Promise<void> {
  const { pins, changes } = await compared(dir, server, only)
  if (changes.length === 0) {
    print(`${server}: everything is pinned as it is listed`)
    return
  }
  const at = { first_seen: new Date().toISOString(), by: by ?? os.userInfo().username }
  const next: Record<string, Pin> = { ...pins }
  for (const { key, listed } of changes) {
    if (!listed) delete next[key]
    else {
      const made = { hash: listed.hash, tool: listed.tool, ...at }
      if (isReadable(key, made)) next[key] = made
    }
  }
  show(changes)
  warnOfUnusable(changes)
  fs.writeFileSync(path.join(dir, PINS_FILE), writePins(next))
  say(
    `${PINS_FILE}: ${changes.length} changed; permissions say who may call them (mcp.${server}.*)`,
  )
}

/** `portcullis mcp diff`: exits 5 where a server lists something else than is pinned. */
export async function diff(server: string | undefined, { dir }: PinOptions): Promise<void> {
  let count = 0
  for (const { name } of server === undefined ? serversIn(dir) : [serverNamed(dir, server)]) {
    const { changes } = await compared(dir, name)
    show(changes)
    count += changes.length
  }
  if (count > 0) throw new CliError(EXIT.finding, `${count} tools are not as they are pinned`)
  say('everything is as it is pinned')
}

/** `portcullis mcp list`: what servers list, and how it is pinned. */
export async function list(server: string | undefined, { dir }: PinOptions): Promise<void> {
  const rows: string[][] = []
  for (const upstream of server === undefined ? serversIn(dir) : [serverNamed(dir, server)]) {
    const listing = await listed(upstream)
    const pins = pinsIn(dir)
    for (const [name, { hash, tool }] of listing) {
      const pinned = pins[pinKey(upstream.name, name)]
      const state = pinned ? (pinned.hash === hash ? 'pinned' : 'changed') : 'not pinned'
      const { title } = tool
      rows.push([upstream.name, name, state, typeof title === 'string' ? title : ''])
    }
  }
  print(table(['SERVER', 'TOOL', 'STATE', 'TITLE'], rows))
}

interface Change {
  readonly key: string
  readonly pinned: Pin | undefined
  /** Undefined: it is not listed any more. */
  readonly listed: Listed | undefined
}

async function compared(
  dir: string,
  server: string,
  only?: readonly string[],
): Promise<{ pins: Pins; changes: readonly Change[] }> {
  const listing = await listed(serverNamed(dir, server))
  const pins = pinsIn(dir)
  const before = Object.keys(pins).filter((key) => key.startsWith(pinKey(server, '')))
  const keys = new Set([...before, ...[...listing.keys()].map((name) => pinKey(server, name))])
  const wanted = only?.map((name) => pinKey(server, name))
  for (const key of wanted ?? []) {
    if (!keys.has(key)) throw new CliError(EXIT.usage, `${server} lists no such tool: ${key}`)
  }
  const changes = [...keys]
    .filter((key) => wanted === undefined || wanted.includes(key))
    .toSorted()
    .map((key) => ({ key, pinned: pins[key], listed: listing.get(key.slice(server.length + 1)) }))
    .filter(({ pinned, listed: now }) => pinned?.hash !== now?.hash)
  return { pins, changes }
}

function show(changes: readonly Change[]): void {
  for (const { key, pinned, listed: now } of changes) {
    const result = diffTexts(key, text(pinned?.tool), text(now?.tool), DIFF_LINES_MAX)
    print(result.ok ? visible(result.diff.text).trimEnd() : `${visible(key)}: ${result.message}`)
  }
}

/** Null: there is none. */
const text = (tool: JsonObject | undefined): string | null =>
  tool === undefined ? null : `${JSON.stringify(tool, null, 2)}\n`

/** What the policy could not read back would take all of it along. */
function isReadable(key: string, made: Pin): boolean {
  try {
    readPins(writePins({ [key]: made }))
    return true
  } catch (error) {
    say(visible(`${key} is left out: ${error instanceof Error ? error.message : ''}`))
    return false
  }
}

function warnOfUnusable(changes: readonly Change[]): void {
  for (const { key, listed: now } of changes) {
    const compiled = now && compileForeignSchema(now.tool['inputSchema'] as JsonObject)
    if (compiled?.ok === false) {
      say(`${visible(key)}: its schema does not compile, nobody can call it: ${compiled.message}`)
    }
  }
}

// A server that is a program is started for it, as whoever runs the command.
async function listed(upstream: Upstream): Promise<Listing> {
  const { env, mcpPrograms: programs } = readConfig()
  const credentials = () => credentialVariables(null, [upstream])
  const onEcho = () => {}
  const client = new UpstreamClient({ env, credentials, onEcho })
  const log = (server: string, _pid: number, text: string) => say(visible(`${server}: ${text}`))
  const parts = { client, env, programs, onEcho, onDown: () => {}, log }
  const peer = new Peer(connection(upstream, parts))
  try {
    return await peer.list({ requestId: 'cli', actionId: '', mayStart: () => true })
  } catch (error) {
    if (!(error instanceof PeerError)) throw error
    throw new CliError(EXIT.internal, `${upstream.name}: ${error.message}`)
  } finally {
    await peer.stop()
    await client.stop()
  }
}

function pinsIn(dir: string): Pins {
  const file = path.join(dir, PINS_FILE)
  if (!fs.existsSync(file)) return {}
  try {
    return readPins(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    const why = error instanceof Error ? error.message : ''
    throw new CliError(EXIT.policy, `${file}: ${why}`)
  }
}

function serverNamed(dir: string, server: string): Upstream {
  const all = serversIn(dir)
  const found = all.find(({ name }) => name === server)
  if (found) return found
  const names = all.map(({ name }) => name).join(', ') || 'none'
  throw new CliError(
    EXIT.usage,
    `no MCP server ${server} in ${dir}/tools.yaml; there are: ${names}`,
  )
}

// Only tools.yaml: a gate.yaml that speaks of tools which are not pinned yet does not load.
function serversIn(dir: string): readonly Upstream[] {
  const file = path.join(dir, 'tools.yaml')
  if (!fs.existsSync(file)) throw new CliError(EXIT.usage, `no tools.yaml in ${dir}`)
  const content = fs.readFileSync(file, 'utf8')
  const found = new Findings()
  const source = parseYaml('tools.yaml', content, found)
  const { env, ticketingApiUrl } = readConfig()
  const all = { ...env, TICKETING_API_URL: ticketingApiUrl }
  const tools = source && readTools(source, all, KINDS.protocols, found)
  if (!tools || found.hasErrors) {
    throw policyFailure(dir, found.list('error', 100), new Map([['tools.yaml', content]]))
  }
  return [...tools.upstreams.values()].filter(({ protocol }) => protocol === 'mcp')
}
