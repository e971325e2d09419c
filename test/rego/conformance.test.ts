import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { requireData } from './data.ts'

const PASSING = path.join(import.meta.dirname, 'conformance.passing')
const ADAPTER = path.join(import.meta.dirname, 'conformance-adapter.mjs')

interface Result {
  readonly file: string
  readonly note: string
  readonly status: string
}

/** Runs one dialect on one host and returns the cases that pass, each as a line. */
function passing(data: string, dialect: 'v1' | 'v0', host: 'sdk' | 'raw'): string[] {
  const folder = path.join(data, 'conformance')
  const out = path.join(mkdtempSync(path.join(tmpdir(), 'rego-')), 'out.json')
  const args = [
    '--import',
    'tsx',
    path.join(folder, 'run.mjs'),
    '--compiler',
    ADAPTER,
    '--out',
    out,
    '--only',
    dialect,
    '--cases',
    path.join(folder, `cases/${dialect}.jsonl`),
    '--host',
    path.join(folder, `harness/host-${host}.mjs`),
  ]
  spawnSync(process.execPath, args, {
    stdio: 'ignore',
    cwd: path.resolve(import.meta.dirname, '../..'),
    timeout: 580_000,
  })
  const { results } = JSON.parse(readFileSync(out, 'utf8')) as { results: Result[] }
  rmSync(path.dirname(out), { recursive: true })
  return results
    .filter(({ status }) => status.startsWith('pass'))
    .map(({ file, note }) => `${host} ${file}: ${note}`)
}

describe('rego: conformance', () => {
  it('keeps every case that has passed (REGO_REWRITE=1 records new ones)', function () {
    this.timeout(600_000)
    const data = requireData(this)
    const now = [
      ...passing(data, 'v1', 'sdk'),
      ...passing(data, 'v1', 'raw'),
      ...passing(data, 'v0', 'raw'),
    ].sort()
    const rewrite = process.env['REGO_REWRITE'] === '1'
    if (rewrite) writeFileSync(PASSING, `${now.join('\n')}\n`)
    const before = readFileSync(PASSING, 'utf8').trim().split('\n')
    const have = new Set(now)
    expect(before.filter((line) => !have.has(line))).to.deep.equal([])
  })
})
