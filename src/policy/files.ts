import { Buffer } from 'node:buffer'
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
    const names = await list(root, '')
    if (!withinCount(names, found)) return files
    let total = 0
    for (let at = 0; at < names.length; at += READ_AT_ONCE) {
      const some = names.slice(at, at + READ_AT_ONCE)
      const contents = await Promise.all(
        some.map((name) => readFile(path.join(root, name), name, found)),
      )
      for (const [index, content] of contents.entries()) {
        total += content.length
        if (total > POLICY_LIMITS.totalBytesMax) return tooLarge(found)
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

async function readFile(file: string, name: string, found: Findings): Promise<Buffer> {
  const { size } = await fs.stat(file)
  if (size <= POLICY_LIMITS.fileBytesMax) return fs.readFile(file)
  found.error(wholeFile(name), 'file_too_large', `more than ${POLICY_LIMITS.fileBytesMax} bytes`)
  return Buffer.alloc(0)
}

// Names that start with a dot are left out: editors' leftovers, and `..data` of a mounted ConfigMap,
// whose files appear beside it as links.
async function list(root: string, under: string, depth = 0): Promise<string[]> {
  const entries = await fs.readdir(path.join(root, under), { withFileTypes: true })
  const names: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || entry.name.endsWith('~')) continue
    const name = under === '' ? entry.name : `${under}/${entry.name}`
    const kind = entry.isSymbolicLink() ? await fs.stat(path.join(root, name)) : entry
    if (kind.isDirectory() && depth < DIR_DEPTH_MAX)
      names.push(...(await list(root, name, depth + 1)))
    else if (kind.isFile()) names.push(name)
    if (names.length > POLICY_LIMITS.filesMax) return names
  }
  return names
}

const DIR_DEPTH_MAX = 8

async function exists(dir: string): Promise<boolean> {
  return fs.access(dir).then(
    () => true,
    () => false,
  )
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** The revision: a digest over names, contents and what the environment put in. */
export function revisionOf(
  files: PolicyFiles,
  extra: readonly (readonly [string, string])[],
): string {
  const parts = [...files].sort(([a], [b]) => (a < b ? -1 : 1))
  const list = parts.map(([name, content]) => [name, sha256(content)])
  return sha256(JSON.stringify([list, [...extra].sort(([a], [b]) => (a < b ? -1 : 1))]))
}
