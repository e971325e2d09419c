// Checks and tests whatever folder of Rego policies it is given, such as a clone of a public collection, as its own tests
// expect. A collection says nowhere which of its files belong together: the whole folder is tried first, and what does
// not compile as one set is divided at its subfolders, down to single folders, whose refusals are then reported.
import fs from 'node:fs'
import path from 'node:path'
import { readRegoFiles, type RegoFiles } from '../../src/cli/rego-files.ts'
import { runRegoTests, type ForeignFunction } from '../../src/rego/testing/run.ts'
import { format } from '../../src/rego/index.ts'
import { shortRun } from '../../src/cli/short-run.ts'

export interface CorpusReport {
  sets: number
  modules: number
  refused: { readonly folder: string; readonly why: string }[]
  tests: number
  failed: { readonly test: string; readonly got: string }[]
}

/** What the programs that run these collections bring along; most of it their tests replace by `with`. */
export const FOREIGN: Readonly<Record<string, ForeignFunction>> = {
  ...absent('(any) any', [
    ...[
      'blob',
      'descriptor',
      'image_index',
      'image_manifest',
      'image_manifests',
      'image_referrers',
    ].map((name) => `ec.oci.${name}`),
    ...['ec.oci.image_tag_refs', 'image.parse_normalized_name'],
  ]),
  ...absent('(any, any) any', [
    ...['ec.oci.blob_files', 'ec.oci.image_files', 'ec.sigstore.verify_attestation'],
    ...['ec.sigstore.verify_image', 'cosign.verify', 'cosign.has_signature'],
  ]),
  'ec.purl.parse': { signature: '(any) any', call: parsePurl },
  'ec.purl.is_valid': { signature: '(any) boolean', call: (text) => parsePurl(text) !== undefined },
  isManaged: {
    signature: '(any) boolean',
    call: (thing) => ({ ...(thing as object), ...metadataOf(thing) })['managed'] !== false,
  },
  'sh.parse_commands': {
    signature: '(any) any',
    call: (text) =>
      String(text)
        .split(/&&|\|\||[;|&\n]/)
        .map((command) => command.trim())
        .filter((command) => command !== '')
        .map((command) => command.split(/\s+/)),
  },
  'cidr.count_addresses': {
    signature: '(any) number',
    call: (text) =>
      text === '*' ? 18_446_744_073_709_551_615n : 2 ** (sizeOf(text) - bitsOf(text)),
  },
  'cidr.is_public': {
    signature: '(any) boolean',
    call: (text) =>
      text !== '' &&
      !/^(?:10\.|127\.|169\.254\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|f[cd]|fe80|::1)/i.test(
        String(text),
      ),
  },
  'squealer.scan_string': {
    signature: '(any) any',
    call: (text) => ({
      transgressionFound: /AKIA[0-9A-Z]{16}|password|secret/i.test(String(text)),
      description: 'a secret',
    }),
  },
  'regal.parse_module': { signature: '(string, string) any', call: () => undefined },
  'regal.is_formatted': {
    signature: '(string, any) boolean',
    call: (text) => {
      const result = format(String(text))
      return result.ok && result.text === text
    },
  },
  'regal.last': {
    signature: '([any]) any',
    call: (list) => (Array.isArray(list) ? (list.at(-1) as unknown) : undefined),
  },
  'result.new': {
    signature: '(any, any) any',
    call: (msg, cause) => ({ msg, ...metadataOf(cause) }),
  },
}

/** Where something was found, as a scanner tells it to its checks. */
function metadataOf(thing: unknown): Readonly<Record<string, unknown>> {
  const { __defsec_metadata: found } = (thing ?? {}) as { __defsec_metadata?: object }
  return { ...found }
}

const sizeOf = (text: unknown): number => (String(text).includes(':') ? 128 : 32)
const bitsOf = (text: unknown): number => Number(String(text).split('/')[1] ?? sizeOf(text))

/** A package URL in its parts: `pkg:type/namespace/name@version?qualifiers#subpath`. */
function parsePurl(text: unknown): unknown {
  const parts =
    /^pkg:\/*([a-z][a-z0-9.+-]*)\/(?:([^@?#]+)\/)?([^/@?#]+)(?:@([^?#]*))?(?:\?([^#]*))?(?:#(.*))?$/i.exec(
      String(text),
    )
  if (!parts) return undefined
  const [type, namespace, name, version, query, subpath] = parts
    .slice(1)
    .map((part: string | undefined) => part ?? '')
  const qualifiers = [...new URLSearchParams(query?.replaceAll('+', '%2B'))]
    .map(([key, value]) => ({ key, value }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  const decoded = [namespace, name, version, subpath].map((part) => decodeURIComponent(part ?? ''))
  return {
    type: type?.toLowerCase(),
    namespace: decoded[0],
    name: decoded[1],
    version: decoded[2],
    subpath: decoded[3],
    qualifiers,
  }
}

function absent(
  signature: string,
  names: readonly string[],
): Readonly<Record<string, ForeignFunction>> {
  return Object.fromEntries(names.map((name) => [name, { signature, call: () => undefined }]))
}

const OPTIONS = { wanted: () => true, coverage: false, functions: FOREIGN } as const

/** Takes each set of the folder, and the libraries that every set may import. */
export async function corpus(dir: string, libraries: readonly string[]): Promise<CorpusReport> {
  const report: CorpusReport = { sets: 0, modules: 0, refused: [], tests: 0, failed: [] }
  await divide(path.resolve(dir), libraries, report)
  return report
}

async function divide(
  dir: string,
  libraries: readonly string[],
  report: CorpusReport,
): Promise<void> {
  const files = await readAll([dir, ...libraries.filter((one) => !dir.startsWith(one))])
  if (!files || Object.keys(files.modules).every((name) => !name.startsWith(dir))) return
  const problem = attempt(files, report)
  if (problem === undefined) return
  const folders = fs
    .readdirSync(dir, { withFileTypes: true })
    .filter((one) => one.isDirectory() && !one.name.startsWith('.'))
    .map((one) => path.join(dir, one.name))
    .filter(hasRego)
  for (const folder of folders) await divide(folder, libraries, report)
  if (folders.length === 0) report.refused.push({ folder: dir, why: problem })
  else await own(dir, libraries, report)
}

// What lies in the folder itself, beside the subfolders that were taken one by one.
async function own(dir: string, libraries: readonly string[], report: CorpusReport): Promise<void> {
  const names = fs.readdirSync(dir).filter((name) => name.endsWith('.rego'))
  if (names.length === 0) return
  const files = await readAll([...names.map((name) => path.join(dir, name)), ...libraries])
  const problem = files && attempt(files, report)
  if (problem !== undefined) report.refused.push({ folder: `${dir}/*.rego`, why: problem })
}

async function readAll(paths: readonly string[]): Promise<RegoFiles | undefined> {
  try {
    return await readRegoFiles(paths)
  } catch {
    // Its data documents clash: then they are not one set either, but its modules may be.
    const modules = paths.flatMap((one) => (fs.statSync(one).isFile() ? [one] : regoBelow(one)))
    return {
      modules: Object.fromEntries(modules.map((file) => [file, fs.readFileSync(file, 'utf8')])),
      data: {},
    }
  }
}

/** Why the files do not compile together in either dialect, or undefined when they did and were tested. */
function attempt(files: RegoFiles, report: CorpusReport): string | undefined {
  let why = ''
  for (const v0 of [false, true]) {
    const result = runRegoTests(files, { ...OPTIONS, v0 })
    if (!result.ok) {
      const [first] = result.diagnostics
      why ||= `${first?.location.file}:${first?.location.row}: ${first?.code}: ${first?.message}`
      continue
    }
    // Templates, each in a folder of its own, often use one package name for all: they are not one policy.
    const clash = result.results.find(({ got = '' }) => got.startsWith('eval_conflict_error'))
    if (clash) return `${clash.file} ${clash.name}: ${clash.got}`
    report.sets++
    report.modules += Object.keys(files.modules).length
    report.tests += result.results.length
    for (const { name, file, outcome, got = '' } of result.results) {
      if (outcome === 'failed') report.failed.push({ test: `${file} ${name}`, got })
    }
    return undefined
  }
  return why
}

const hasRego = (dir: string): boolean => regoBelow(dir).length > 0

function regoBelow(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rego'))
    .map((name) => path.join(dir, name))
}

const isMain = process.argv[1] === import.meta.filename
if (isMain) {
  const [dir, ...libraries] = process.argv.slice(2)
  if (dir === undefined) {
    console.error('usage: npm run campaign:corpora -- DIR [LIBRARY ...]')
    process.exit(2)
  }
  shortRun()
  const startedAt = process.cpuUsage()
  const { refused, failed, ...counts } = await corpus(
    dir,
    libraries.map((one) => path.resolve(one)),
  )
  const { user } = process.cpuUsage(startedAt)
  for (const { folder, why } of refused) console.log(`refused  ${folder}: ${why}`)
  for (const { test, got } of failed) console.log(`failed   ${test}: ${got}`)
  const summary = { ...counts, refused: refused.length, failed: failed.length }
  console.log(`${dir}: ${JSON.stringify(summary)}, ${(user / 1e6).toFixed(1)} s of CPU`)
  if (refused.length + failed.length > 0) process.exitCode = 5
}
