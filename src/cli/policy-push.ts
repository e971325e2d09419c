import fs from 'node:fs'
import path from 'node:path'
import type { Calls } from '../client/index.ts'
import { sha256 } from '../lib/canonical.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { ask, type ClientOptions, GateRefusal, query } from './gate-client.ts'
import { policyFailure, policyText } from './policy-report.ts'

type Options = ClientOptions & { readonly json?: boolean }
type Files = Calls['GET /policy/files']['answer']
type Live = Calls['GET /policy']['answer']
type Outcome = Calls['PUT /policy/files']['answer']

/** What a directory was pulled from, or pushed as: beside its files, where the gate does not look. */
const BASE_FILE = '.portcullis-revision'

/** `portcullis policy push`: publishes a directory; what the gate has already is sent as digests. */
export async function push(
  dir: string,
  options: Options & { note?: string; base?: string; dryRun?: boolean },
): Promise<void> {
  const live = await ask<Live>(options, 'GET', '/policy')
  const body = {
    files: await readSent(dir, options, live),
    ...(options.note === undefined ? {} : { note: options.note }),
  }
  const base = options.base ?? baseOf(dir) ?? live.revision
  const route = query('/policy/files', { dry_run: options.dryRun ? 'true' : undefined })
  const answer = await publish(dir, options, route, body, base)
  if (options.json) return print(JSON.stringify(answer, null, 2))
  if ('publish' in answer) {
    const { id, quorum } = answer.publish
    return print(`held as ${id}: ${quorum} other people have to agree`)
  }
  const { revision, changed, warnings, unconfirmed } = answer
  if (warnings.length > 0) say(policyText(dir, warnings))
  for (const replica of unconfirmed) say(`${replica} does not decide by it yet`)
  const short = revision.slice(0, 12)
  if (options.dryRun) return print(`${short} would be live; nothing changed`)
  fs.writeFileSync(path.join(dir, BASE_FILE), `${revision}\n`)
  print(changed ? `${short} is live` : `${short} was live already`)
}

/** A policy directory as it is sent: what is live already goes as digests. */
export async function readSent(dir: string, options: Options, known?: Live) {
  const found = new Findings()
  const files = await readPolicyDir(dir, found)
  if (!files) throw new CliError(EXIT.policy, `${dir} keeps changing while it is read`)
  if (found.hasErrors) throw policyFailure(dir, found.list('error', 100))
  const live = known ?? (await ask<Live>(options, 'GET', '/policy'))
  const kept = new Set(live.files.map((one) => one.sha256))
  return Object.fromEntries([...files].map(([name, bytes]) => [name, sent(bytes, kept)]))
}

async function publish(
  dir: string,
  options: Options,
  route: string,
  body: object,
  base: string,
): Promise<Outcome> {
  try {
    return await ask<Outcome>(options, 'PUT', route, body, { 'if-match': `"${base}"` })
  } catch (error) {
    if (!(error instanceof GateRefusal)) throw error
    if (error.patch !== undefined) print(error.patch)
    if (error.diagnostics.length > 0) throw policyFailure(dir, error.diagnostics)
    throw error
  }
}

function sent(bytes: Buffer, kept: ReadonlySet<string>) {
  const digest = sha256(bytes)
  if (kept.has(digest)) return { sha256: digest }
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

function baseOf(dir: string): string | undefined {
  const file = path.join(dir, BASE_FILE)
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : undefined
}

/** `portcullis policy pull`: the files of a revision; files that were changed are not written over unless forced. */
export async function pull(
  dir: string,
  options: Options & { revision?: string; force?: boolean },
): Promise<void> {
  const { revision } = options
  const answer = await ask<Files>(options, 'GET', query('/policy/files', { revision }))
  fs.mkdirSync(dir, { recursive: true })
  const present = await readPolicyDir(dir, new Findings())
  const touched = await changedSince(options, dir, present ?? new Map(), answer.files)
  if (touched.length > 0 && !options.force) {
    const names = touched.slice(0, 5).join(', ')
    throw new CliError(EXIT.usage, `${names} would be lost; push first, or pull with --force`)
  }
  const wanted = new Set(answer.files.map((one) => one.path))
  for (const one of answer.files) await write(options, dir, answer.revision, one)
  for (const name of present?.keys() ?? []) {
    if (!wanted.has(name)) fs.rmSync(inside(dir, name))
  }
  fs.writeFileSync(path.join(dir, BASE_FILE), `${answer.revision}\n`)
  if (options.json) return print(JSON.stringify({ revision: answer.revision, dir }, null, 2))
  print(`${dir}: revision ${answer.revision.slice(0, 12)}, ${answer.files.length} files`)
}

type Content = Files['files'][number]

/** Files that are neither what would be written nor what was pulled last. */
async function changedSince(
  options: Options,
  dir: string,
  present: ReadonlyMap<string, Buffer>,
  next: readonly Content[],
): Promise<string[]> {
  const base = baseOf(dir)
  const before = base === undefined ? [] : await digestsOf(options, base)
  const known = new Set([...before, ...next.map((one) => `${one.path} ${one.sha256}`)])
  return [...present]
    .filter(([name, bytes]) => !known.has(`${name} ${sha256(bytes)}`))
    .map(([name]) => name)
}

async function digestsOf(options: Options, revision: string): Promise<string[]> {
  const answer = await ask<Calls['GET /policy/revisions/{revision}']['answer']>(
    options,
    'GET',
    `/policy/revisions/${encodeURIComponent(revision)}`,
  ).catch(() => undefined)
  return (answer?.files ?? []).map((one) => `${one.path} ${one.sha256}`)
}

async function write(options: Options, dir: string, revision: string, one: Content): Promise<void> {
  const route = query('/policy/files', { revision, path: one.path })
  const whole = one.omitted ? (await ask<Files>(options, 'GET', route)).files[0] : one
  const bytes =
    whole?.content === undefined
      ? Buffer.from(whole?.base64 ?? '', 'base64')
      : Buffer.from(whole.content)
  const file = inside(dir, one.path)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, bytes)
}

// A gate that is not what it says must not write anywhere else.
function inside(dir: string, name: string): string {
  const file = path.resolve(dir, name)
  if (file.startsWith(path.resolve(dir) + path.sep)) return file
  throw new CliError(EXIT.internal, 'the gate names a file outside the directory')
}
