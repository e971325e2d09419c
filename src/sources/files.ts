import { Buffer } from 'node:buffer'
import { constants } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { sha256 } from '../lib/canonical.ts'
import { GatewayError } from '../errors.ts'
import { type Findings, wholeFile } from './diagnostics.ts'
import { POLICY_LIMITS } from './limits.ts'

/**
 * Read one after another, each file costs several turns of an event loop that also serves requests. Together
 * these hold no more than this many times the limit of one file.
 */
const READ_AT_ONCE = 16

/** The files of a policy directory: path relative to it, with `/`, to content. */
export type PolicyFiles = ReadonlyMap<string, Buffer>

/** Content given directly, as `POST /policy/check` does. */
export function filesFromRecord(
  record: Readonly<Record<string, string | Uint8Array>>,
): PolicyFiles {
  const entries = Object.entries(record).map(([name, content]): [string, Buffer] => [
    name,
    Buffer.from(content as string),
  ])
  return new Map(entries)
}

/**
 * Reads a policy directory. Undefined when something vanished meanwhile: then it is to be read again.
 * @throws GatewayError no_policy when it cannot be read at all.
 */
export async function readPolicyDir(
  dir: string,
  found: Findings,
): Promise<PolicyFiles | undefined> {
  try {
    // Resolved once for each snapshot: a link that is repointed meanwhile cannot mix two targets.
    const root = await fs.realpath(dir)
    const files = new Map<string, Buffer>()
    const names = await list(root, '', found)
    if (!withinCount(names, found)) return files
    const room = { left: POLICY_LIMITS.totalBytesMax }
    for (let at = 0; at < names.length; at += READ_AT_ONCE) {
      const some = names.slice(at, at + READ_AT_ONCE)
      const contents = await Promise.all(
        some.map((name) => readFile(path.join(root, name), name, room, found)),
      )
      if (room.left < 0) return tooLarge(found)
      for (const [index, content] of contents.entries()) {
        files.set(some[index] as string, content)
      }
    }
    return files
  } catch (error) {
    const isThere = await exists(dir)
    if (isMissing(error) && isThere) return undefined
    const name = `the policy directory \`${path.basename(dir)}\``
    const message = isThere ? `cannot read ${name}` : `${name} does not exist`
    throw new GatewayError('no_policy', message, { cause: error })
  }
}

/** Whether two readings of a directory gave the same. */
export const sameFiles = (a: PolicyFiles, b: PolicyFiles): boolean =>
  a.size === b.size && [...a].every(([name, content]) => b.get(name)?.equals(content) === true)

function withinCount(names: readonly string[], found: Findings): boolean {
  const max = POLICY_LIMITS.filesMax
  if (names.length <= max) return true
  found.error(wholeFile('.'), 'too_many_files', `more than ${max} files`)
  return false
}

function tooLarge(found: Findings): PolicyFiles {
  const max = POLICY_LIMITS.totalBytesMax
  found.error(wholeFile('.'), 'too_large', `more than ${max} bytes in all files together`)
  return new Map()
}

// Opened without waiting, so that a pipe that took the place of a file meanwhile cannot hold up the load.
async function readFile(
  file: string,
  name: string,
  room: { left: number },
  found: Findings,
): Promise<Buffer> {
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = await handle.stat()
    const max = bytesMaxOf(name)
    if (!stat.isFile()) found.error(wholeFile(name), 'not_a_file', NOT_A_FILE)
    else if (stat.size > max) reportTooLarge(name, max, found)
    else {
      room.left -= stat.size
      if (room.left >= 0) return await handle.readFile()
    }
    return Buffer.alloc(0)
  } finally {
    await handle.close()
  }
}

export function reportTooLarge(name: string, max: number, found: Findings): void {
  const isYamlList = /^data\/.*\.ya?ml$/.test(name)
  const hint = isYamlList ? 'write long lists as CSV or JSON' : undefined
  found.error(wholeFile(name), 'file_too_large', `more than ${max} bytes`, hint)
}

/** How large a file may be: lists may be long, what people write by hand is not. */
export function bytesMaxOf(name: string): number {
  if (name === 'tools.yaml') return POLICY_LIMITS.toolsBytesMax
  if (/\.ya?ml$/.test(name)) return POLICY_LIMITS.yamlBytesMax
  return name.startsWith('data/') ? POLICY_LIMITS.dataBytesMax : POLICY_LIMITS.fileBytesMax
}

const NOT_A_FILE = 'is neither a file nor a directory'

// Names that start with a dot are left out: editors' leftovers, and `..data` of a mounted ConfigMap,
// whose files appear beside it as links.
async function list(root: string, under: string, found: Findings, depth = 0): Promise<string[]> {
  const entries = await fs.readdir(path.join(root, under), { withFileTypes: true })
  const names: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || entry.name.endsWith('~')) continue
    const name = under === '' ? entry.name : `${under}/${entry.name}`
    const kind = entry.isSymbolicLink() ? await follow(root, name, found) : entry
    if (!kind) continue
    if (kind.isFile()) names.push(name)
    else if (!kind.isDirectory()) found.error(wholeFile(name), 'not_a_file', NOT_A_FILE)
    else if (KNOWN_ENDING.test(name)) {
      found.error(wholeFile(name), 'not_a_file', 'is a directory, but named like a file')
    } else if (depth >= DIR_DEPTH_MAX) {
      found.error(wholeFile(name), 'too_deep', `more than ${DIR_DEPTH_MAX} directories deep`)
    } else names.push(...(await list(root, name, found, depth + 1)))
    if (names.length > POLICY_LIMITS.filesMax) return names
  }
  return names
}

export const DIR_DEPTH_MAX = 8
export const KNOWN_ENDING = /\.(?:ya?ml|json|csv|rego|wasm|tar\.gz)$/

/** What a link leads to, or undefined when it leads nowhere or out of the directory. */
async function follow(root: string, name: string, found: Findings) {
  const link = path.join(root, name)
  try {
    const target = await fs.realpath(link)
    if (target.startsWith(root + path.sep)) return await fs.stat(target)
    const message = 'is a link that leads out of the policy directory'
    found.error(
      wholeFile(name),
      'link_outside',
      message,
      'copy what it leads to into the directory',
    )
  } catch (error) {
    if (!isMissing(error) && !isLoop(error)) throw error
    await fs.lstat(link) // or it is the link that vanished, and all is to be read again
    const message = `is a link to \`${(await fs.readlink(link)).slice(0, 200)}\`, where nothing is`
    found.error(
      wholeFile(name),
      'dangling_link',
      message,
      'remove the link, or put back what it led to',
    )
  }
  return undefined
}

async function exists(dir: string): Promise<boolean> {
  return fs.access(dir).then(
    () => true,
    () => false,
  )
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

const isMissing = (error: unknown): boolean => hasCode(error, 'ENOENT')
const isLoop = (error: unknown): boolean => hasCode(error, 'ELOOP')

/** The revision: a digest over names, contents and what the environment put in. */
export function revisionOf(
  files: PolicyFiles,
  extra: readonly (readonly [string, string])[],
): string {
  const parts = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  const list = parts.map(([name, content]) => [name, sha256(content)])
  return sha256(JSON.stringify([list, [...extra].sort(([a], [b]) => (a < b ? -1 : 1))]))
}
