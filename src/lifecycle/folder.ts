import fs from 'node:fs/promises'
import path from 'node:path'
import { GatewayError } from '../errors.ts'
import { Findings } from '../sources/diagnostics.ts'
import { readPolicyDir } from '../sources/files.ts'
import type { BundleFile } from '../bundle/types.ts'
import { digestOf } from '../record/policy-contents.ts'

// Publishing into a directory, all or nothing: every file that changes is staged beside the others, under a name that the
// gate does not read, with a plan of what goes where. When the revision is on record the plan is committed by renaming
// it, and from then on it is carried out, by the next start if need be; a plan that was not committed is what a gate
// that ended had not recorded, unless the record says otherwise. Files move by rename, on one file system.

const STAGE = '.portcullis-publish'
const UNFINISHED = 'plan.json.new'
const PLAN = 'plan.json'
const COMMITTED = 'committed.json'
const READ_ONLY = new Set(['EACCES', 'EPERM', 'EROFS'])

interface Plan {
  readonly revision: string
  readonly put: readonly string[]
  readonly remove: readonly string[]
}

/** What is staged and waits for the record. */
export interface Staged {
  commit(): Promise<void>
  drop(): Promise<void>
}

/** The files on disk; null where they keep changing. */
export async function filesOnDisk(dir: string): Promise<ReadonlyMap<string, Buffer> | null> {
  return (await readPolicyDir(dir, new Findings())) ?? null
}

/** Whether a directory holds exactly these files. */
export async function holds(dir: string, files: readonly BundleFile[]): Promise<boolean> {
  const onDisk = await filesOnDisk(dir)
  if (onDisk?.size !== files.length) return false
  for (const { path: name, sha256 } of files) {
    const content = onDisk.get(name)
    if (!content || (await digestOf(content)) !== sha256) return false
  }
  return true
}

/**
 * Stages what makes one set of files of another.
 * @throws GatewayError `read_only_policy` where nothing can be written
 */
export async function stage(
  dir: string,
  revision: string,
  before: ReadonlyMap<string, Uint8Array>,
  after: Readonly<Record<string, Uint8Array>>,
): Promise<Staged> {
  const root = await fs.realpath(dir)
  const put = Object.entries(after)
    .filter(([name, content]) => !isSame(before.get(name), content))
    .map(([name]) => name)
  const remove = [...before.keys()].filter((name) => !Object.hasOwn(after, name))
  try {
    await fs.rm(path.join(root, STAGE), { recursive: true, force: true })
    for (const name of put) await writeDurably(staged(root, name), after[name] ?? Buffer.alloc(0))
    const plan: Plan = { revision, put, remove }
    // Under its name it is whole: a gate may end while it is written.
    await writeDurably(path.join(root, STAGE, UNFINISHED), Buffer.from(JSON.stringify(plan)))
    await fs.rename(path.join(root, STAGE, UNFINISHED), path.join(root, STAGE, PLAN))
  } catch (error) {
    await fs.rm(path.join(root, STAGE), { recursive: true, force: true }).catch(() => {})
    if (!READ_ONLY.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    throw new GatewayError('read_only_policy', 'the policy directory cannot be written', {
      cause: error,
    })
  }
  return { commit: () => commit(root), drop: () => drop(root) }
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0

const staged = (root: string, name: string): string => path.join(root, STAGE, 'files', name)

async function writeDurably(file: string, content: Uint8Array): Promise<void> {
  await fs.mkdir(path.dirname(file), { recursive: true })
  const handle = await fs.open(file, 'w', 0o644)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const drop = (root: string): Promise<void> =>
  fs.rm(path.join(root, STAGE), { recursive: true, force: true })

async function commit(root: string): Promise<void> {
  await fs.rename(path.join(root, STAGE, PLAN), path.join(root, STAGE, COMMITTED))
  await syncFolder(path.join(root, STAGE))
  await carryOut(root)
}

/** Carries out what was committed; done twice, it does the rest. */
async function carryOut(root: string): Promise<void> {
  const plan = await readPlan(path.join(root, STAGE, COMMITTED))
  if (!plan) return
  // First, so that a file may make way for a directory of its name.
  for (const name of plan.remove) {
    await fs.unlink(path.join(root, name)).catch(unlessMissing)
    await removeEmpty(root, path.dirname(name))
  }
  for (const name of plan.put) {
    await fs.mkdir(path.dirname(path.join(root, name)), { recursive: true })
    await fs.rename(staged(root, name), path.join(root, name)).catch(unlessMissing)
  }
  await syncFolder(root)
  await drop(root)
}

/** A directory that holds nothing any more, and those around it. */
async function removeEmpty(root: string, folder: string): Promise<void> {
  if (folder === '.') return
  const isRemoved = await fs.rmdir(path.join(root, folder)).then(
    () => true,
    () => false,
  )
  if (isRemoved) await removeEmpty(root, path.dirname(folder))
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The plan, or undefined where none was staged whole. */
async function readPlan(file: string): Promise<Plan | undefined> {
  try {
    return JSON.parse(await fs.readFile(file, 'utf8')) as Plan
  } catch {
    return undefined
  }
}

/** Finishes what was committed when a gate ended; before anything is loaded. */
export async function finishCommitted(dir: string): Promise<void> {
  const root = await fs.realpath(dir).catch(() => undefined)
  if (root !== undefined) await carryOut(root)
}

/**
 * Settles what was staged when a gate ended: committed where the record has the revision, else dropped. Answers
 * whether the files changed.
 */
export async function settleStaged(dir: string, recorded: string): Promise<boolean> {
  const root = await fs.realpath(dir).catch(() => undefined)
  if (root === undefined) return false
  const plan = await readPlan(path.join(root, STAGE, PLAN))
  const isRecorded = plan?.revision === recorded
  await (isRecorded ? commit(root) : drop(root))
  return isRecorded
}
