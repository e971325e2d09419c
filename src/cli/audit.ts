import fs from 'node:fs'
import readline from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type ExportLine, readExportLine } from '../lib/audit-export.ts'
import { AuditVerifier, type AuditVerdict } from '../lib/audit-verify.ts'
import { parseCheckpoints } from '../lib/checkpoint.ts'
import type { Archive, Checkpoint } from '../model/audit.ts'
import { CliError, EXIT, print, say } from './exit.ts'
import { call, type ClientOptions } from './gate-client.ts'

export async function exportAudit(options: ClientOptions & { out?: string }): Promise<void> {
  const response = await call(options, 'GET', '/audit/export')
  if (!response.body) throw new CliError(EXIT.internal, 'the gate sent nothing')
  const source = Readable.fromWeb(response.body as never)
  if (!options.out) return pipeline(source, process.stdout, { end: false })
  await pipeline(source, fs.createWriteStream(options.out, { mode: 0o600 }))
  say(`wrote ${options.out}`)
}

/** Exits 5 when something is wrong, and names it. */
export async function verifyAudit(
  file: string,
  options: { publicKey: string[]; checkpoints?: string; json?: boolean },
): Promise<void> {
  if (!fs.existsSync(file)) throw new CliError(EXIT.usage, `no file ${file}`)
  const keys = options.publicKey.map(readKey)
  const outside = options.checkpoints ? parseCheckpoints(readText(options.checkpoints)) : []
  const verdict = await verifyExport(file, keys, outside)
  if (options.json) print(JSON.stringify(verdict, bigintAsText, 2))
  else describe(verdict)
  if (verdict.integrity === 'ok' && verdict.completeness === 'ok') return
  throw new CliError(
    EXIT.finding,
    `integrity ${verdict.integrity}, completeness ${verdict.completeness}`,
  )
}

function readText(file: string): string {
  if (!fs.existsSync(file)) throw new CliError(EXIT.usage, `no file ${file}`)
  return fs.readFileSync(file, 'utf8')
}

function readKey(file: string): string {
  const pem = readText(file)
  if (pem.includes('BEGIN PUBLIC KEY')) return pem
  throw new CliError(EXIT.usage, `${file} is not a public key in PEM form`)
}

// Checkpoints follow the entries in an export, so they are read in a first pass.
async function verifyExport(
  file: string,
  keys: readonly string[],
  outside: readonly Checkpoint[],
): Promise<AuditVerdict> {
  const inside: Checkpoint[] = []
  const archives: Archive[] = []
  let hasEnd = false
  for await (const { line } of linesOf(file)) {
    if (line.type === 'checkpoint') inside.push(line.statement)
    if (line.type === 'archive') archives.push(line.statement)
    hasEnd ||= line.type === 'end'
  }
  const verifier = new AuditVerifier(keys, [...inside, ...outside], archives)
  if (!hasEnd) verifier.malformed('end', 'the file has no end line: the export was cut off')
  for await (const { line, number } of linesOf(file)) {
    if (line.type === 'malformed') verifier.malformed(`line ${number}`, 'not JSON')
    else if (line.type === 'entry') verifier.entry(line.entry)
  }
  return verifier.finish()
}

async function* linesOf(file: string): AsyncGenerator<{ line: ExportLine; number: number }> {
  let number = 0
  for await (const text of readline.createInterface({ input: fs.createReadStream(file) })) {
    number++
    const line = readExportLine(text)
    if (line) yield { line, number }
  }
}

const bigintAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value

function describe(verdict: AuditVerdict): void {
  print(`entries       ${verdict.entries}`)
  if (verdict.archivedSize !== '0') {
    print(`archived      up to entry ${verdict.archivedSize}, by a signed statement`)
  }
  print(`head          ${verdict.head}`)
  print(`signed up to  ${verdict.signedSize} (${verdict.checkpoints} checkpoints verified)`)
  print(`integrity     ${verdict.integrity}`)
  print(`completeness  ${verdict.completeness}`)
  for (const { size, lostSize, at, reason, verified, keyId } of verdict.losses) {
    const by = verified ? '' : `, by key ${keyId}, which was not given`
    print(
      `accepted loss entries ${size + 1n} to ${lostSize} are gone, said on ${at}${by}: ${reason}`,
    )
  }
  for (const { code, seq, message } of verdict.findings) print(`  ${code}  entry ${seq} ${message}`)
}
